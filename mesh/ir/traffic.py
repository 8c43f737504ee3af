"""How requests are matched, where they go, and how a destination is treated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mesh.ir.actions import UNCHANGED
from mesh.ir.matching import Match, StringMatch

if TYPE_CHECKING:
    from mesh.ir.actions import Answer, Cors, Fault, HeaderChanges, Redirect, Rewrite
    from mesh.ir.identity import Identity
    from mesh.ir.services import Endpoint, ServiceKey

__all__ = [
    "ClusterKey",
    "Destination",
    "Match",
    "Mirror",
    "OutlierDetection",
    "Policy",
    "Refusal",
    "Retries",
    "Route",
    "Split",
    "StringMatch",
    "TcpHost",
    "Upstream",
    "VirtualHost",
]


@dataclass(frozen=True, slots=True, order=True)
class ClusterKey:
    """A destination: a port of a Service, narrowed to a subset or not (empty)."""

    namespace: str
    service: str
    port: int
    subset: str = ""

    @property
    def name(self) -> str:
        """The Envoy cluster's name, in the form that Istio made common."""
        return f"outbound|{self.port}|{self.subset}|{self.service}.{self.namespace}.svc.cluster.local"


@dataclass(frozen=True, slots=True)
class Destination:
    """A cluster with its share of the requests."""

    cluster: ClusterKey
    weight: int
    changes: HeaderChanges = UNCHANGED
    """Changes of headers for this destination alone, after the route's."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """A cluster that gets copies of requests; its answers are thrown away."""

    cluster: ClusterKey
    percent: float


@dataclass(frozen=True, slots=True)
class Retries:
    """When a failed attempt is tried again.

    The default covers only what never reached the application (connection refused or reset before a byte of the
    request), so that a caller sees every error that an application answers with.
    """

    attempts: int = 2
    per_try_timeout: float | None = None
    """Seconds; None means the route's own timeout."""
    retry_on: tuple[str, ...] = ("connect-failure", "refused-stream", "unavailable", "cancelled")
    statuses: tuple[int, ...] = ()
    """Answers that count as a failed attempt."""
    elsewhere: bool = True
    """Whether a retry goes to an endpoint that was not tried yet."""
    backoff: float | None = None
    """Seconds before the first retry; None means Envoy's 25 ms."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A route that is answered by the proxy itself."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Route:
    """One rule of a virtual host; the first that matches is used."""

    name: str
    match: Match
    destinations: tuple[Destination, ...] = ()
    timeout: float | None = None
    """Seconds for the whole request with its retries; None means none, which is also Istio's default."""
    retries: Retries = Retries()
    refusal: Refusal | None = None
    rule: str = ""
    """The VirtualService's rule that it is from; empty where there is only one, and nobody named it."""
    kind: str = ""
    """What telemetry calls the requests that it takes; empty where they are not told apart."""
    redirect: Redirect | None = None
    answer: Answer | None = None
    rewrite: Rewrite | None = None
    changes: HeaderChanges = UNCHANGED
    mirrors: tuple[Mirror, ...] = ()
    fault: Fault | None = None
    cors: Cors | None = None

    @property
    def answered_by_proxy(self) -> bool:
        """Whether no backend ever sees its requests."""
        return bool(self.refusal or self.redirect or self.answer)

    @property
    def clusters(self) -> tuple[ClusterKey, ...]:
        """Where its requests and their copies go."""
        return (*(d.cluster for d in self.destinations), *(m.cluster for m in self.mirrors))


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """A host as callers name it, with its routes.

    Attributes:
        host: Namespace and name of the Service, or ``("", name)`` for a host that only a VirtualService knows.
        port: The Service's port.
        domains: Values of the Host header, lower case, in a fixed order.
        routes: Rules in order.
    """

    host: ServiceKey
    port: int
    domains: tuple[str, ...]
    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class OutlierDetection:
    """When an endpoint is taken out of load balancing. Times in seconds; docs in mesh.api.trafficsplit."""

    consecutive_5xx: int = 5
    consecutive_gateway_errors: int = 0
    interval: float = 30.0
    base_ejection_time: float = 30.0
    max_ejection_percent: int = 50


LoadBalancer = Literal["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"]


@dataclass(frozen=True, slots=True)
class Policy:
    """How a destination is treated. Limits that are None do not limit; times in seconds."""

    load_balancer: LoadBalancer = "LEAST_REQUEST"
    outlier_detection: OutlierDetection = OutlierDetection()
    connect_timeout: float = 10.0
    max_connections: int | None = None
    max_pending_requests: int | None = None
    max_requests: int | None = None
    max_retries: int | None = None
    max_requests_per_connection: int | None = None
    idle_timeout: float | None = None
    min_health_percent: int = 0


@dataclass(frozen=True, slots=True)
class Upstream:
    """A cluster with its treatment and its endpoints."""

    key: ClusterKey
    policy: Policy
    endpoints: tuple[Endpoint, ...]

    @property
    def identities(self) -> tuple[Identity, ...]:
        """Whom its endpoints must prove to be, those that speak mutual TLS."""
        return tuple(sorted({e.identity for e in self.endpoints if e.identity}))


@dataclass(frozen=True, slots=True)
class TcpHost:
    """A TCP port of a Service, as callers reach it whose packets are captured.

    Attributes:
        cluster: Where connections go.
        addresses: The Service's cluster IPs (IPv4).
    """

    cluster: ClusterKey
    addresses: tuple[str, ...]


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
    """

    namespace: str
    name: str
    uid: str
    generation: int
    service: str
    weights: tuple[tuple[str, int], ...]
    outlier_detection: OutlierDetection = OutlierDetection()

    @property
    def host(self) -> ServiceKey:
        """The host that is split."""
        return (self.namespace, self.service)
