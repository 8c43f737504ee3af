"""Which pods are behind a Service's port: from Pods or from EndpointSlices, with one meaning.

A pod that is not ready is absent. A pod that ends is draining; when no ready pod is left, those that end but still
serve take the requests, as kube-proxy does it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mesh.ir.services import Endpoint, Workload
from mesh.resolve.objects import version_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesh.ir.services import Service, ServiceKey, ServicePort

__all__ = ["PodIndex", "from_pods", "from_slices"]


class PodIndex:
    """Pods by namespace and label, so that a Service's pods are found without looking at all."""

    def __init__(self, workloads: Iterable[Workload]) -> None:
        self._by_label: dict[tuple[str, str, str], list[Workload]] = {}
        for workload in workloads:
            for key, value in workload.labels:
                self._by_label.setdefault((workload.namespace, key, value), []).append(workload)

    def select(self, service: Service) -> list[Workload]:
        """Return the pods that the Service's selector chooses."""
        if not service.selector:
            return []
        wanted = set(service.selector)
        candidates = min((self._by_label.get((service.namespace, k, v), []) for k, v in service.selector), key=len)
        return [w for w in candidates if wanted.issubset(w.labels)]


def from_pods(service: Service, pods: PodIndex) -> dict[int, tuple[Endpoint, ...]]:
    """Return a Service's endpoints by port number, from Pods alone."""
    chosen = pods.select(service)
    return {port.port: _order((w, w.ready, _target(w, port)) for w in chosen) for port in service.ports}


def from_slices(
    service: Service, slices: Iterable[dict[str, Any]], workloads: Mapping[ServiceKey, Workload]
) -> dict[int, tuple[Endpoint, ...]]:
    """Return a Service's endpoints by port number, from its EndpointSlices.

    The pod that an endpoint names tells labels and whether there is a sidecar; an address without a pod (a Service
    with hand-written slices) is used as it is.
    """
    found: dict[int, list[_Candidate]] = {port.port: [] for port in service.ports}
    for manifest in slices:
        numbers = {p.get("name") or "": p.get("port") for p in manifest.get("ports") or ()}
        for entry in manifest.get("endpoints") or ():
            workload, serving = _slice_workload(service, entry, workloads)
            for port in service.ports:
                if (number := numbers.get(port.name)) is not None:
                    found[port.port].append((workload, serving, number))
    return {number: _order(candidates) for number, candidates in found.items()}


_Candidate = tuple[Workload, bool, "int | None"]


def _slice_workload(
    service: Service, entry: dict[str, Any], workloads: Mapping[ServiceKey, Workload]
) -> tuple[Workload, bool]:
    """Return the entry's workload, with the slice's word on termination, and whether it serves."""
    conditions = entry.get("conditions") or {}
    ready = conditions.get("ready") is not False
    terminating = bool(conditions.get("terminating"))
    serving = conditions.get("serving", ready) is not False
    target = entry.get("targetRef") or {}
    pod = workloads.get((service.namespace, target.get("name", ""))) if target.get("kind") == "Pod" else None
    address = entry["addresses"][0]
    if pod is None:
        pod = Workload(namespace=service.namespace, name="", address=address, node=entry.get("nodeName") or "")
    return replace(pod, address=address, terminating=terminating or pod.terminating), serving


def _target(workload: Workload, port: ServicePort) -> int | None:
    """Return the container port that a Service port means on this pod; None when the pod has no port of that name."""
    if isinstance(port.target, int):
        return port.target
    return next((p.number for p in workload.ports if p.name == port.target), None)


def _order(candidates: Iterable[_Candidate]) -> tuple[Endpoint, ...]:
    """Return the endpoints in a fixed order; draining ones step in when none is ready."""
    endpoints = [
        (_endpoint(workload, number), serving)
        for workload, serving, number in candidates
        if number is not None and workload.address and workload.phase not in {"Succeeded", "Failed"}
        if serving or workload.terminating
    ]
    if not any(not e.draining for e, _ in endpoints):
        endpoints = [(replace(e, draining=not serving), serving) for e, serving in endpoints]
    return tuple(sorted({e for e, _ in endpoints}, key=lambda e: (e.address, e.port, e.pod)))


def _endpoint(workload: Workload, number: int) -> Endpoint:
    entry = workload.entry(number)
    return Endpoint(
        address=workload.address,
        port=number if entry is None else entry,
        pod=workload.name,
        draining=workload.terminating,
        version=version_of(workload.labels),
        node=workload.node,
        labels=workload.labels,
        identity=None if entry is None else workload.identity,
    )
