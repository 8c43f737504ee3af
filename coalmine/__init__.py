"""The command, the local Kubernetes and the demo."""
