"""What one proxy is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mesh.ir.authz import Authorization
from mesh.ir.tracing import NO_TRACING, Tracing

if TYPE_CHECKING:
    from mesh.ir.authz import JwtRule
    from mesh.ir.identity import MtlsMode
    from mesh.ir.services import ContainerPort, ServiceKey
    from mesh.ir.splits import Split
    from mesh.ir.traffic import ClusterKey, TcpHost, Upstream, VirtualHost

__all__ = ["Capture", "Inbound", "Outbound", "ProxyView"]

Capture = Literal["env", "iptables"]
"""How an app's requests reach its sidecar: ``http_proxy`` in its environment, or redirected packets."""


@dataclass(frozen=True, slots=True)
class Inbound:
    """A declared port of the proxy's own pod.

    Attributes:
        listen: The port of the sidecar in front of it.
        target: The port; number 0 stands for all ports that a captured pod does not declare.
        mtls: What callers must speak.
    """

    listen: int
    target: ContainerPort
    mtls: MtlsMode = "PERMISSIVE"


@dataclass(frozen=True, slots=True)
class Outbound:
    """Whom the pods of a namespace may call; pods with the same scope share one."""

    virtual_hosts: tuple[VirtualHost, ...]
    upstreams: tuple[Upstream, ...]
    splits: tuple[Split, ...]
    tcp_hosts: tuple[TcpHost, ...] = ()
    """Used where packets are captured: an explicit proxy carries HTTP only."""
    unknown: Literal["ALLOW_ANY", "REGISTRY_ONLY"] | None = None
    """Whether requests to other hosts are passed on or refused; None leaves it to how requests are captured."""

    @property
    def vital(self) -> frozenset[ClusterKey]:
        """Clusters that a split sends requests to; a proxy must have them before it may hear of the weights."""
        used = {key for split in self.splits for key in split.used}
        return frozenset(u.key for u in self.upstreams if u.key.host in used)

    def carries(self, host: ServiceKey) -> bool:
        """Say whether requests to the host can leave through this."""
        return any(v.host == host for v in self.virtual_hosts)


@dataclass(frozen=True, slots=True)
class ProxyView:
    """Everything one proxy is told.

    Attributes:
        namespace: Namespace of its pod.
        pod: Name of its pod.
        address: IP of its pod, to listen on.
        inbound: The pod's own ports.
        outbound: Whom it may call.
        captured: Its pod's packets are redirected to it.
        authorization: Who may call it.
        tokens: The tokens that it takes.
        tracing: The spans that it reports.
    """

    namespace: str
    pod: str
    address: str
    inbound: tuple[Inbound, ...]
    outbound: Outbound
    captured: bool = False
    authorization: Authorization = field(default_factory=Authorization)
    tokens: tuple[JwtRule, ...] = ()
    tracing: Tracing = NO_TRACING
