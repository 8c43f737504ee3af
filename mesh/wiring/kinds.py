"""The kinds of objects that the mesh reads and writes."""

from __future__ import annotations

from typing import Final

from mesh.api.istio import ISTIO_GROUP, ISTIO_VERSIONS
from mesh.api.names import MESH_GROUP, MESH_VERSION
from mesh.wiring.kube import Kind

__all__ = [
    "DESTINATION_RULES",
    "ENDPOINT_SLICES",
    "EVENTS",
    "PODS",
    "SERVICES",
    "TRAFFIC_SPLITS",
    "VIRTUAL_SERVICES",
    "WEBHOOKS",
]

SERVICES: Final = Kind("", "v1", "Service", "services")
PODS: Final = Kind("", "v1", "Pod", "pods")
EVENTS: Final = Kind("", "v1", "Event", "events")
ENDPOINT_SLICES: Final = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
WEBHOOKS: Final = Kind(
    "admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations"
)
TRAFFIC_SPLITS: Final = Kind(MESH_GROUP, MESH_VERSION, "TrafficSplit", "trafficsplits")
VIRTUAL_SERVICES: Final = tuple(Kind(ISTIO_GROUP, v, "VirtualService", "virtualservices") for v in ISTIO_VERSIONS)
DESTINATION_RULES: Final = tuple(Kind(ISTIO_GROUP, v, "DestinationRule", "destinationrules") for v in ISTIO_VERSIONS)
