"""Where endpoints come from: Pods (a local cluster, whose EndpointSlices refuse loopback) or EndpointSlices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from mesh.resolve.endpoints import PodIndex, from_pods, from_slices
from mesh.wiring.kinds import ENDPOINT_SLICES
from mesh.wiring.reflector import Reflector

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mesh.ir.services import Endpoint, Service, ServiceKey, Workload
    from mesh.wiring.kube import Kube

__all__ = ["EndpointSource", "PodEndpoints", "SliceEndpoints"]

_SERVICE_LABEL = "kubernetes.io/service-name"
Endpoints = dict["ServiceKey", dict[int, tuple["Endpoint", ...]]]


class EndpointSource(Protocol):
    """Knows which pods are behind which Service."""

    @property
    def reflectors(self) -> tuple[Reflector[Any], ...]:
        """What it watches beside Services and Pods."""
        ...

    def endpoints(self, services: Mapping[ServiceKey, Service], workloads: Mapping[ServiceKey, Workload]) -> Endpoints:
        """Return all endpoints by Service and port."""
        ...


class PodEndpoints:
    """Endpoints from the Pods that each Service's selector chooses."""

    reflectors: tuple[Reflector[Any], ...] = ()

    def endpoints(self, services: Mapping[ServiceKey, Service], workloads: Mapping[ServiceKey, Workload]) -> Endpoints:
        """Return all endpoints by Service and port."""
        index = PodIndex(workloads.values())
        return {key: from_pods(service, index) for key, service in services.items()}


class SliceEndpoints:
    """Endpoints from EndpointSlices, as Kubernetes' own controller or another author writes them."""

    def __init__(self, kube: Kube, changed: Callable[[], None]) -> None:
        self._slices: Reflector[dict[str, Any]] = Reflector(kube, (ENDPOINT_SLICES,), _essence, changed)
        self.reflectors: tuple[Reflector[Any], ...] = (self._slices,)

    def endpoints(self, services: Mapping[ServiceKey, Service], workloads: Mapping[ServiceKey, Workload]) -> Endpoints:
        """Return all endpoints by Service and port."""
        found: dict[ServiceKey, list[dict[str, Any]]] = {}
        for (namespace, _), manifest in sorted(self._slices.items.items()):
            found.setdefault((namespace, manifest["service"]), []).append(manifest)
        return {key: from_slices(service, found.get(key, ()), workloads) for key, service in services.items()}


def _essence(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a slice that matters, so that changes to the rest change nothing."""
    labels = manifest["metadata"].get("labels") or {}
    return {
        "service": labels.get(_SERVICE_LABEL, ""),
        "ports": manifest.get("ports"),
        "endpoints": manifest.get("endpoints"),
    }
