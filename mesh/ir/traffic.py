"""How requests are matched, where they go, and how a destination is treated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mesh.ir.actions import UNCHANGED
from mesh.ir.matching import Match, StringMatch
from mesh.ir.policies import OutlierDetection, Policy

if TYPE_CHECKING:
    from mesh.ir.actions import Answer, Cors, Fault, HeaderChanges, Redirect, Rewrite
    from mesh.ir.identity import Identity
    from mesh.ir.policies import HashKey
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
    "Share",
    "StringMatch",
    "TcpHost",
    "TcpRoute",
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
    def host(self) -> ServiceKey:
        """The Service."""
        return (self.namespace, self.service)

    @property
    def name(self) -> str:
        """The Envoy cluster's name, in the form that Istio made common."""
        host = f"{self.service}.{self.namespace}.svc.cluster.local" if self.namespace else self.service
        return f"outbound|{self.port}|{self.subset}|{host}"


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
    host: ServiceKey | None = None
    """The Service whose requests telemetry counts them as copies of; None does not count them."""


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
    hash_keys: tuple[HashKey, ...] = ()
    """What of a request its endpoint is chosen by, for destinations that ask for it."""
    sticky: bool = False
    """Whether ``hash_keys`` choose among the destinations, too."""
    host: ServiceKey | None = None
    """The Service that its requests count for in telemetry; None for the virtual host's own."""

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


Discovery = Literal["eds", "dns", "dns-round-robin", "request"]


@dataclass(frozen=True, slots=True)
class Share:
    """The pods of one backend, and how many of the new connections go to them.

    Attributes:
        service: The backend.
        weight: Its share among the others; 0 keeps the connections that are open.
        endpoints: Its pods.
    """

    service: str
    weight: int
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class Upstream:
    """A cluster with its treatment and its endpoints.

    Attributes:
        key: The destination.
        policy: How it is treated.
        endpoints: Where its requests go; names instead of addresses where they are looked up.
        discovery: Where the endpoints come from: the control plane, DNS, DNS with one address at a time, or the host of
            each request.
        shares: The endpoints by backend, where a TrafficSplit lies over connections: a change of weights changes
            endpoints alone, so that no connection ends.
    """

    key: ClusterKey
    policy: Policy
    endpoints: tuple[Endpoint, ...]
    discovery: Discovery = "eds"
    shares: tuple[Share, ...] = ()

    @property
    def identities(self) -> tuple[Identity, ...]:
        """Whom its endpoints must prove to be, those that speak mutual TLS."""
        return tuple(sorted({e.identity for e in self.endpoints if e.identity}))


@dataclass(frozen=True, slots=True)
class TcpHost:
    """A TCP port of a Service, as callers reach it whose packets are captured.

    Attributes:
        cluster: Where connections go that no route takes.
        addresses: The Service's cluster IPs (IPv4).
        routes: What VirtualServices say; the first that matches is used.
        idle_timeout: Of connections that no route takes; see ``TcpRoute``.
    """

    cluster: ClusterKey
    addresses: tuple[str, ...]
    routes: tuple[TcpRoute, ...] = ()
    idle_timeout: float | None = None


@dataclass(frozen=True, slots=True)
class TcpRoute:
    """Where some of the connections to a TCP port go.

    Attributes:
        destinations: Clusters with their shares.
        subnets: Networks that the called address must be in; empty means any.
        names: Server names that TLS asks for, ``*.example.com`` and ``*`` among them; None takes every connection.
        idle_timeout: Seconds without a byte after which a connection ends; 0 never, None Envoy's hour.
    """

    destinations: tuple[Destination, ...]
    subnets: tuple[str, ...] = ()
    names: tuple[str, ...] | None = None
    idle_timeout: float | None = None
