"""What a gateway's proxy is told: ports, certificates, and the hosts behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mesh.ir.authz import Authorization
from mesh.ir.tracing import NO_TRACING, Tracing

if TYPE_CHECKING:
    from mesh.ir.authz import JwtRule
    from mesh.ir.services import ServiceKey
    from mesh.ir.traffic import Destination, VirtualHost
    from mesh.ir.views import Outbound

__all__ = ["Credential", "GatewayChain", "GatewayListener", "GatewayRoutes", "GatewayTls", "GatewayView", "TlsVersion"]

TlsVersion = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]


@dataclass(frozen=True, slots=True)
class Credential:
    """A Secret with a certificate.

    Attributes:
        chain: The certificate and those above it, PEM; empty where the Secret only holds roots.
        key: Its key, PEM.
        ca: The roots that callers' certificates are checked with, PEM.
        problem: Why it cannot be used; empty when it can.
    """

    chain: bytes = b""
    key: bytes = field(default=b"", repr=False)
    ca: bytes = b""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class GatewayTls:
    """How TLS is spoken with callers.

    Attributes:
        secret: Name of the SDS secret with the certificate.
        roots: Name of the SDS secret that callers' certificates are checked with; empty asks for none.
        required: Whether a caller must show one.
        lowest: The oldest version of TLS.
        highest: The newest one.
    """

    secret: str
    roots: str = ""
    required: bool = False
    lowest: TlsVersion = "TLS_AUTO"
    highest: TlsVersion = "TLS_AUTO"


@dataclass(frozen=True, slots=True)
class GatewayChain:
    """The connections of a port that are treated alike.

    Attributes:
        name: Its name, unique on the port.
        names: Server names of the TLS handshake, sorted; none takes any.
        tls: TLS that ends here; None leaves the bytes as they are.
        routes: Name of the route configuration of its requests; empty where connections are passed on whole.
        destinations: Where connections are passed on to.
        idle_timeout: Seconds without a byte after which such a connection ends; 0 never, None Envoy's hour.
    """

    name: str
    names: tuple[str, ...] = ()
    tls: GatewayTls | None = None
    routes: str = ""
    destinations: tuple[Destination, ...] = ()
    idle_timeout: float | None = None


@dataclass(frozen=True, slots=True)
class GatewayListener:
    """A port of the gateway's pods.

    Attributes:
        port: Where the proxy listens.
        encrypted: Connections are TLS, and told apart by server name.
        chains: What is done with them.
    """

    port: int
    encrypted: bool
    chains: tuple[GatewayChain, ...]


@dataclass(frozen=True, slots=True)
class GatewayRoutes:
    """The hosts behind a port, or behind one certificate of it.

    Attributes:
        name: Name of the route configuration.
        port: Where the proxy listens.
        hosts: Hosts with their routes; a request for another one is answered with 404.
    """

    name: str
    port: int
    hosts: tuple[VirtualHost, ...]


@dataclass(frozen=True, slots=True)
class GatewayView:
    """Everything one gateway's proxy is told.

    Attributes:
        namespace: Namespace of its pod.
        pod: Name of its pod.
        address: IP of its pod, to listen on.
        listeners: Its ports.
        routes: The hosts behind them.
        outbound: What is behind the hosts: clusters, and the splits among them.
        credentials: The certificates, by name of the SDS secret.
        authorization: Who may call it.
        tokens: The tokens that it takes.
        tracing: The spans that it reports.
    """

    namespace: str
    pod: str
    address: str
    listeners: tuple[GatewayListener, ...]
    routes: tuple[GatewayRoutes, ...]
    outbound: Outbound
    credentials: tuple[tuple[str, Credential], ...] = ()
    authorization: Authorization = field(default_factory=Authorization)
    tokens: tuple[JwtRule, ...] = ()
    tracing: Tracing = NO_TRACING

    def carries(self, host: ServiceKey) -> bool:
        """Say whether requests to the host can leave through this."""
        return any(split.host == host for split in self.outbound.splits)
