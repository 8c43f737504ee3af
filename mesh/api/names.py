"""Names that the mesh, the controller and the manifests agree on."""

from __future__ import annotations

from typing import Final

MESH_GROUP: Final = "mesh.coalmine.dev"
MESH_VERSION: Final = "v1alpha1"
INJECT_LABEL: Final = "coalmine.dev/inject"
"""On a namespace or a pod: ``enabled`` gives pods a sidecar, ``disabled`` on a pod opts it out."""
PROXY_CONTAINER: Final = "coalmine-proxy"
"""Name of the sidecar's container; a pod that has it is in the mesh."""
INBOUND_PORT: Final = 15006
"""Inbound port of a pod's first declared container port."""
INBOUND_EXTRA_PORT: Final = 15100
"""Inbound port of the pod's second declared container port; the third has the next number, and so on."""
OUTBOUND_PORT: Final = 15001
READY_PORT: Final = 15021
ADMIN_PORT: Final = 15000


def inbound_port(index: int) -> int:
    """Return the sidecar's inbound port for the pod's declared container port number ``index``, counted from 0."""
    return INBOUND_PORT if index == 0 else INBOUND_EXTRA_PORT + index - 1
