"""The admission webhook that gives pods their sidecar."""
