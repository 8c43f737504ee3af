"""Where a rollout waits for people."""
