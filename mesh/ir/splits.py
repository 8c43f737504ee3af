"""TrafficSplits that can be applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.ir.policies import SAFE, OutlierDetection

if TYPE_CHECKING:
    from mesh.ir.matching import Named
    from mesh.ir.services import ServiceKey

__all__ = ["Affinity", "Copies", "Split", "SplitRoute"]


@dataclass(frozen=True, slots=True)
class SplitRoute:
    """Requests that go to one Service before the weights apply.

    Attributes:
        name: As telemetry and access logs have it behind the name of the rule that it lies over.
        matches: Headers that must be so, any of these.
        service: Where they go.
    """

    name: str
    matches: tuple[Named, ...]
    service: str


@dataclass(frozen=True, slots=True)
class Copies:
    """Copies of the requests that are shared by weight.

    Attributes:
        service: Who gets them.
        percent: How many of the requests.
        matches: Headers of those that are copied, any of these; empty for all.
    """

    service: str
    percent: float
    matches: tuple[Named, ...] = ()


@dataclass(frozen=True, slots=True)
class Affinity:
    """The cookie that keeps a caller on its side.

    Attributes:
        cookie: Its name.
        max_age: Seconds for which the caller keeps it.
    """

    cookie: str
    max_age: float


@dataclass(frozen=True, slots=True)
class Split:
    """A TrafficSplit that can be applied.

    Attributes:
        namespace: Namespace of the TrafficSplit and of its Services.
        name: Name of the TrafficSplit.
        uid: Its uid, so that one that was deleted and made again is not taken for the old one.
        generation: The generation of the spec.
        service: The host that is split.
        weights: Backend Service and percent, adding up to 100.
        outlier_detection: For every backend, under what a DestinationRule says.
        routes: What goes elsewhere before the weights apply; the first that matches counts.
        mirror: What is copied.
        affinity: How callers stay on their side.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    service: str
    weights: tuple[tuple[str, int], ...]
    outlier_detection: OutlierDetection = SAFE
    routes: tuple[SplitRoute, ...] = ()
    mirror: Copies | None = None
    affinity: Affinity | None = None

    @property
    def host(self) -> ServiceKey:
        """The host that is split."""
        return (self.namespace, self.service)

    @property
    def backends(self) -> tuple[ServiceKey, ...]:
        """The Services that share its requests, those with a weight of 0 among them."""
        return tuple((self.namespace, backend) for backend, _ in self.weights)

    @property
    def primary(self) -> ServiceKey:
        """The backend that the others' requests are taken from: the host itself, or else the first."""
        return self.host if self.host in self.backends else self.backends[0]

    @property
    def services(self) -> tuple[ServiceKey, ...]:
        """All Services that get its requests or copies of them."""
        more = [r.service for r in self.routes] + ([self.mirror.service] if self.mirror else [])
        return tuple(dict.fromkeys((*self.backends, *((self.namespace, service) for service in more))))

    @property
    def used(self) -> frozenset[ServiceKey]:
        """Of ``services`` those that get any: all but backends without weight."""
        idle = {b for b, weight in self.weights if not weight}
        elsewhere = {r.service for r in self.routes} | ({self.mirror.service} if self.mirror else set())
        return frozenset(key for key in self.services if key[1] not in idle or key[1] in elsewhere)
