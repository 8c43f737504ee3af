"""From Kubernetes and mesh resources to the intermediate representation. Pure; what cannot be used becomes a ``Problem``."""
