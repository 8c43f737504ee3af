"""What the mesh costs, measured with real Envoys: ``hop`` and ``propagation``."""
