"""From counts by caller to a graph of Services and versions. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from operator import itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mesh.api.debug import Edge, Graph, Node, Traffic
from mesh.api.telemetry import LATENCY_BOUNDS_MS
from mesh.telemetry.counters import Counts, add_buckets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.api.debug import Around
    from mesh.telemetry.edges import Call
    from mesh.telemetry.podnames import PodNames
    from mesh.telemetry.security import Secured

__all__ = ["graph", "quantile"]

_Version = tuple[str, str, str, str]
"""Namespace and name of the host, backend, version."""
_Source = tuple[str, str]
"""Namespace and name."""


@dataclass(slots=True)
class _Sum:
    counts: Counts = field(default_factory=Counts)
    pods: set[str] = field(default_factory=set)

    def add(self, pod: str, counts: Counts) -> None:
        self.counts += counts
        if pod:
            self.pods.add(pod)


def graph(
    seconds: float,
    calls: Mapping[Call, Counts],
    names: PodNames,
    secured: Mapping[Secured, int] = MappingProxyType({}),
    around: tuple[Around, ...] = (),
) -> Graph:
    """Return who calls whom.

    Args:
        seconds: The time that the counts are of.
        calls: Counts by caller.
        names: What pods are called.
        secured: Requests by caller and kind of connection.
        around: Calls that came around the mesh.
    """
    mutual = _mutual(secured, names)
    edges: dict[tuple[_Source, _Version], _Sum] = defaultdict(_Sum)
    services: dict[_Version, _Sum] = defaultdict(_Sum)
    for call, counts in calls.items():
        namespace, _, pod = call.source.partition("/")
        host, series = call.series.host, call.series
        backend, _, elsewhere = series.backend.partition(".")
        version = names.version(elsewhere or host.namespace, series.pod)
        called = (host.namespace, host.service, series.backend if backend else "", version)
        edges[(namespace, names.service(namespace, pod)), called].add(series.pod, counts)
        services[called].add(series.pod, counts)
    return Graph(
        seconds=seconds,
        edges=tuple(
            Edge(
                source=Node(namespace=source[0], name=source[1]),
                mutual=mutual.get((source, (called[0], called[2] or called[1]))),
                **_traffic(called, found, seconds),
            )
            for (source, called), found in sorted(edges.items(), key=itemgetter(0))
        ),
        services=tuple(
            Traffic(**_traffic(called, found, seconds)) for called, found in sorted(services.items(), key=itemgetter(0))
        ),
        around=around,
    )


def _mutual(secured: Mapping[Secured, int], names: PodNames) -> dict[tuple[_Source, _Source], float]:
    """Return the share of mutual TLS by caller and backend."""
    sums: dict[tuple[_Source, _Source], Counter[bool]] = defaultdict(Counter)
    for one, count in secured.items():
        namespace, _, pod = one.source.partition("/")
        key = (namespace, names.service(namespace, pod)), (one.namespace, one.service)
        sums[key][one.mutual] += count
    return {key: found[True] / found.total() for key, found in sums.items() if found.total()}


def _traffic(called: _Version, found: _Sum, seconds: float) -> dict[str, Any]:
    namespace, service, backend, version = called
    counts = found.counts
    latency = add_buckets(counts.answered, counts.silent)
    return {
        "destination": Node(namespace=namespace, name=service),
        "backend": backend,
        "version": version,
        "pods": len(found.pods),
        "requests": counts.requests,
        "request_errors": counts.request_errors,
        "attempts": counts.attempts,
        "attempt_errors": counts.attempt_errors,
        "rate": counts.requests / seconds if seconds else 0.0,
        "p50_ms": quantile(latency, 0.5),
        "p99_ms": quantile(latency, 0.99),
    }


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
