"""What pods are called in the service graph: the Service that they are behind, and their version.

Counts outlive their pods by up to ``KEPT`` seconds, and so do the names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from mesh.resolve.objects import version_of
from mesh.telemetry.edges import KEPT

if TYPE_CHECKING:
    from collections.abc import Callable

    from mesh.ir.services import ServiceKey
    from mesh.resolve.world import World

__all__ = ["PodNames"]

_LABELS: Final = ("app.kubernetes.io/name", "app", "k8s-app")


class _Known(NamedTuple):
    service: str
    version: str
    seen: float


class PodNames:
    """Names of the pods that are there, or were until lately.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[ServiceKey, _Known] = {}
        self._world: World | None = None

    def learn(self, world: World) -> None:
        """Take in the pods that are there. Nothing is done for a world that was taken in already."""
        if world is self._world:
            return
        now = self._clock()
        if self._world is not None:  # until now it was true
            for key in self._world.workloads:
                self._known[key] = self._known[key]._replace(seen=now)
        self._world = world
        services: dict[ServiceKey, str] = {}
        for (namespace, service), ports in sorted(world.endpoints.items()):
            for endpoint in (e for found in ports.values() for e in found):
                services.setdefault((namespace, endpoint.pod), service)
        for key, workload in world.workloads.items():
            labels = dict(workload.labels)
            before = self._known.get(key)
            # A pod that is about to end, or not ready for a moment, is behind no Service and still the same pod.
            service = services.get(key) or (before.service if before else "")
            service = service or next((labels[name] for name in _LABELS if labels.get(name)), "")
            self._known[key] = _Known(service, version_of(workload.labels), now)
        self._known = {key: known for key, known in self._known.items() if now - known.seen <= 2 * KEPT}

    def service(self, namespace: str, pod: str) -> str:
        """Return the Service that a pod is behind, or else its app label or its own name."""
        known = self._known.get((namespace, pod))
        return known.service if known and known.service else pod

    def version(self, namespace: str, pod: str) -> str:
        """Return a pod's version; empty where its labels tell none."""
        known = self._known.get((namespace, pod))
        return known.version if known else ""
