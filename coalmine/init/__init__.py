"""``coalmine init``: a Rollout for a Deployment."""
