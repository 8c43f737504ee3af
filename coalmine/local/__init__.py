"""A real Kubernetes on this machine, without containers."""
