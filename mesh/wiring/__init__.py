"""Where the mesh's control plane meets the world: Kubernetes, the clock, its servers, the process."""
