"""Istio's standard metrics: what the sidecars count, summed by workload and version.

The sums live here, so a version's counts go on when its pods come and go. They begin at zero with the control plane, as
a counter may for its readers. https://istio.io/latest/docs/reference/config/metrics/
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from mesh.telemetry.directory import NOBODY, UNKNOWN, Directory, Known
from mesh.xds import standard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mesh.resolve.world import World
    from mesh.telemetry.counters import Point, Values

__all__ = ["LABELS", "TCP_LABELS", "Called", "StandardMetrics"]

MAX_SERIES: Final = 5_000
"""Of each metric, which keeps the page below seconds; beyond it those that stood still for the longest go. One that comes back begins at zero."""
_FORGOTTEN: Final = 0.1
_REFRESH: Final = 1.0
"""Seconds between two looks at the world."""
_CLUSTER: Final = "Kubernetes"
_MUTUAL: Final = "mutual_tls"
_PLAIN: Final = "none"
_SIDE: Final = ("workload", "workload_namespace", "app", "version", "principal", "canonical_service")
_COMMON: Final = (
    "reporter",
    *(f"source_{name}" for name in (*_SIDE, "canonical_revision", "cluster")),
    *(f"destination_{name}" for name in (*_SIDE, "canonical_revision", "cluster")),
    "destination_service",
    "destination_service_name",
    "destination_service_namespace",
    "request_protocol",
    "response_flags",
    "connection_security_policy",
)
TCP_LABELS: Final = _COMMON
LABELS: Final = (*_COMMON, "response_code", "grpc_response_status")


class Called(NamedTuple):
    """The Service that was called."""

    host: str = UNKNOWN
    name: str = UNKNOWN
    namespace: str = UNKNOWN


@dataclass(slots=True)
class _Sum:
    values: Values
    time: float


class StandardMetrics:
    """The sums.

    Args:
        world: Returns what is known now, or None.
        clock: Seconds.
    """

    def __init__(self, *, world: Callable[[], World | None], clock: Callable[[], float]) -> None:
        self._world = world
        self._clock = clock
        self._sums: dict[str, dict[tuple[str, ...], _Sum]] = {}
        self._directory = Directory()
        self._read: World | None = None
        self._read_at = clock() - _REFRESH

    def add(self, proxy: str, news: Mapping[Point, Values]) -> None:
        """Take what is new of a proxy (``namespace/pod``)."""
        now = self._clock()
        self._refresh(now)
        namespace, _, name = proxy.partition("/")
        for point, values in news.items():
            if point.stat.startswith(standard.PREFIX):
                self._add(point.stat, self._labels(namespace, name, point), values, now)

    def sums(self, stat: str) -> list[tuple[tuple[str, ...], Values]]:
        """Return labels (``LABELS``, or ``TCP_LABELS``) and values of all series of a stat of ``mesh.xds.standard``."""
        return [(labels, found.values) for labels, found in self._sums.get(stat, {}).items()]

    def _refresh(self, now: float) -> None:
        world = self._world()
        if world is not None and world is not self._read and now - self._read_at >= _REFRESH:
            self._directory.update(world)
            self._read, self._read_at = world, now

    def _add(self, stat: str, labels: tuple[str, ...], values: Values, now: float) -> None:
        series = self._sums.setdefault(stat, {})
        if (found := series.get(labels)) is not None:
            found.values = tuple([a + b for a, b in zip(found.values, values, strict=True)])
            found.time = now
            return
        if len(series) >= MAX_SERIES:
            oldest = sorted(series, key=lambda known: series[known].time)
            for known in oldest[: max(1, int(MAX_SERIES * _FORGOTTEN))]:
                del series[known]
        series[labels] = _Sum(values, now)

    def _labels(self, namespace: str, pod: str, point: Point) -> tuple[str, ...]:
        tags = {name: "" if value == "-" else value for name, value in zip(standard.TAGS, point.tags, strict=True)}
        own = self._directory.pod(namespace, pod)
        if tags["reporter"] == "source":
            source, (called, destination) = own, self._destination(tags)
        else:
            source, destination = self._directory.caller(tags["peer"]), own
            called = _service(namespace, self._directory.service_of(namespace, pod))
        http = point.stat in {standard.REQUESTS, *standard.HISTOGRAMS}
        common = (
            tags["reporter"],
            *_side(source),
            *_side(destination),
            *called,
            ("grpc" if tags["grpc"] else "http") if http else "tcp",
            tags["flags"] or "-",
            _MUTUAL if tags["peer"] else _PLAIN,
        )
        return (*common, tags["code"], tags["grpc"]) if http else common

    def _destination(self, tags: Mapping[str, str]) -> tuple[Called, Known]:
        """Return what a caller's sidecar sent a request to: the backend, or else what was asked for."""
        for tag in ("backend", "host"):
            namespace, _, service = tags[tag].replace("-/-", "/").partition("/")
            if service:
                known = self._directory.behind(namespace, service, tags["version"]) if tag == "backend" else NOBODY
                return _service(namespace, service), known._replace(principal=tags["peer"] or UNKNOWN)
        return Called(), NOBODY


def _service(namespace: str, service: str) -> Called:
    if not service:
        return Called(namespace=namespace)
    if not namespace:  # a host outside the cluster
        return Called(service, service)
    return Called(f"{service}.{namespace}.svc.cluster.local", service, namespace)


def _side(known: Known) -> tuple[str, ...]:
    return (*known, _CLUSTER)
