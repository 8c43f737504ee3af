"""Names that the mesh, the controller and the manifests agree on."""

from __future__ import annotations

from typing import Final

MESH_GROUP: Final = "mesh.coalmine.dev"
MESH_VERSION: Final = "v1alpha1"
INJECT_LABEL: Final = "coalmine.dev/inject"
"""On a namespace or a pod: ``enabled`` gives pods a sidecar, ``disabled`` on a pod opts it out."""
STATUS_ANNOTATION: Final = "coalmine.dev/status"
"""On a pod: what the injector has made of it, ``injected`` or ``gateway``."""
GATEWAY_ROLE: Final = "gateway"
SYSTEM_NAMESPACE: Final = "coalmine-system"
"""Where the control plane is, unless it is told otherwise."""
PROXY_CONTAINER: Final = "coalmine-proxy"
"""Name of the sidecar's container; a pod that has it is in the mesh."""
ISTIO_PROXY_CONTAINER: Final = "istio-proxy"
INIT_CONTAINER: Final = "coalmine-init"
"""Name of the init container that redirects packets; a pod that has it is captured by iptables."""
PROXY_UID: Final = 1337
"""User of the sidecar where packets are captured: what it sends itself is not redirected."""
INBOUND_SOURCE: Final = "127.0.0.6"
"""Where a captured pod's application sees its callers' connections come from (as in Istio), so that these are told from
the sidecar's own."""
METRICS_PORT: Final = 15090
"""Where Prometheus scrapes a sidecar."""
ISTIO_NAMESPACE_LABEL: Final = "istio-injection"
"""Istio's label of a namespace: ``enabled`` or ``disabled``."""
ISTIO_POD_LABEL: Final = "sidecar.istio.io/inject"
"""Istio's label or annotation of a pod: ``true`` or ``false``."""
INBOUND_PORT: Final = 15006
"""Inbound port of a pod's first declared container port."""
INBOUND_EXTRA_PORT: Final = 15100
"""Inbound port of the pod's second declared container port; the third has the next number, and so on."""
OUTBOUND_PORT: Final = 15001
PROBE_PORT: Final = 15020
"""Where the kubelet's probes of the application are taken when packets are captured; it is not captured itself."""
READY_PORT: Final = 15021
ADMIN_PORT: Final = 15000


def inbound_port(index: int) -> int:
    """Return the sidecar's inbound port for the pod's declared container port number ``index``, counted from 0."""
    return INBOUND_PORT if index == 0 else INBOUND_EXTRA_PORT + index - 1
