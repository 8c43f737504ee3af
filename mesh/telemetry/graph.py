"""From counts by caller to a graph of Services and versions. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mesh.api.debug import Edge, Graph, Node
from mesh.api.telemetry import LATENCY_BOUNDS_MS
from mesh.resolve.objects import version_of
from mesh.telemetry.counters import Counts, add_buckets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.resolve.world import World
    from mesh.telemetry.edges import Call

__all__ = ["graph", "quantile"]

_NAMES: Final = ("app.kubernetes.io/name", "app", "k8s-app")
_Key = tuple[tuple[str, str], tuple[str, str], str, str]
"""Source and destination as namespace and name, backend, version."""


@dataclass(slots=True)
class _Sum:
    counts: Counts = field(default_factory=Counts)
    pods: set[str] = field(default_factory=set)


def graph(seconds: float, calls: Mapping[Call, Counts], world: World) -> Graph:
    """Return who calls whom.

    Args:
        seconds: The time that the counts are of.
        calls: Counts by caller.
        world: Knows pods and Services. A pod that is gone is told by the name of its like.
    """
    names = _Names(world)
    sums: dict[_Key, _Sum] = {}
    for call, counts in calls.items():
        namespace, _, pod = call.source.partition("/")
        series = call.series
        backend, _, elsewhere = series.backend.partition(".")
        version = names.version(elsewhere or series.host.namespace, series.pod)
        source, host = (namespace, names.service(namespace, pod)), (series.host.namespace, series.host.service)
        found = sums.setdefault((source, host, series.backend if backend else "", version), _Sum())
        found.counts += counts
        if series.pod:
            found.pods.add(series.pod)
    return Graph(seconds=seconds, edges=tuple(_edge(key, found, seconds) for key, found in sorted(sums.items())))


def _edge(key: _Key, found: _Sum, seconds: float) -> Edge:
    source, destination, backend, version = key
    counts = found.counts
    latency = add_buckets(counts.answered, counts.silent)
    return Edge(
        source=Node(namespace=source[0], name=source[1]),
        destination=Node(namespace=destination[0], name=destination[1]),
        backend=backend,
        version=version,
        pods=len(found.pods),
        requests=counts.requests,
        request_errors=counts.request_errors,
        attempts=counts.attempts,
        attempt_errors=counts.attempt_errors,
        rate=counts.requests / seconds if seconds else 0.0,
        p50_ms=quantile(latency, 0.5),
        p99_ms=quantile(latency, 0.99),
    )


def quantile(buckets: tuple[int, ...], share: float) -> float | None:
    """Return the latency in milliseconds that a share of the attempts stayed below; None without attempts.

    Within a bucket attempts are taken to be spread evenly; in the last one, which has no upper bound, its lower bound
    is returned.

    Args:
        buckets: ``len(LATENCY_BOUNDS_MS) + 1`` counts, or none.
        share: Between 0 and 1.
    """
    total = sum(buckets)
    if not total:
        return None
    rank, below = share * total, 0
    for number, count in enumerate(buckets):
        lower = LATENCY_BOUNDS_MS[number - 1] if number else 0.0
        if count and below + count >= rank:
            upper = LATENCY_BOUNDS_MS[number] if number < len(LATENCY_BOUNDS_MS) else lower
            return lower + (upper - lower) * max(0.0, rank - below) / count
        below += count
    return math.nextafter(LATENCY_BOUNDS_MS[-1], math.inf)


class _Names:
    """What pods are called."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._services: dict[tuple[str, str], str] = {}
        for (namespace, service), ports in sorted(world.endpoints.items()):
            for endpoint in (e for found in ports.values() for e in found):
                self._services.setdefault((namespace, endpoint.pod), service)
        self._versions: dict[tuple[str, str], str] = {}
        for (namespace, pod), workload in world.workloads.items():
            if version := version_of(workload.labels):
                self._versions[namespace, pod] = version
                self._versions.setdefault((namespace, _stem(pod)), version)
        self._likes = {(namespace, _stem(pod)): service for (namespace, pod), service in self._services.items()}

    def service(self, namespace: str, pod: str) -> str:
        """Return the Service that a pod is behind, or else its app label or name."""
        found = self._services.get((namespace, pod)) or self._likes.get((namespace, _stem(pod)))
        if found:
            return found
        workload = self._world.workloads.get((namespace, pod))
        labels = dict(workload.labels) if workload else {}
        return next((labels[name] for name in _NAMES if labels.get(name)), pod)

    def version(self, namespace: str, pod: str) -> str:
        """Return a pod's version; of one that is gone, its like's."""
        known = self._versions.get((namespace, pod))
        return known if known is not None else self._versions.get((namespace, _stem(pod)), "")


def _stem(pod: str) -> str:
    """Return what the pods of one ReplicaSet have in common."""
    return f"{pod.rpartition('-')[0]}-*"
