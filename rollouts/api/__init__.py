"""The Rollout resource as pydantic models. No I/O."""
