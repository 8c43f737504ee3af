"""Services and the workloads behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mesh.api.names import inbound_port
from mesh.ir.identity import Identity

__all__ = [
    "DEFAULT_HTTP_PORT",
    "ContainerPort",
    "Endpoint",
    "Protocol",
    "Service",
    "ServiceKey",
    "ServicePort",
    "Workload",
]

Protocol = Literal["http", "tcp"]
ServiceKey = tuple[str, str]
"""Namespace and name of a Service."""


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service.

    Attributes:
        name: The port's name; empty where a Service has a single unnamed port.
        port: The number that callers use.
        target: The container port, by number or by name.
        protocol: ``http`` unless the Service says otherwise.
    """

    name: str
    port: int
    target: int | str
    protocol: Protocol = "http"


@dataclass(frozen=True, slots=True)
class Service:
    """A host that can be called.

    Attributes:
        namespace: Namespace of the Service; empty for a host that is none.
        name: Name of the Service, or the host.
        ports: Its TCP ports.
        selector: Labels that choose its pods, sorted; empty chooses none.
        addresses: Its cluster IPs; none for a headless Service.
        uid: Its uid.
        kinds: The kinds of requests that it names for telemetry, as its author wrote them.
    """

    namespace: str
    name: str
    ports: tuple[ServicePort, ...]
    selector: tuple[tuple[str, str], ...] = ()
    addresses: tuple[str, ...] = ()
    uid: str = ""
    kinds: str = ""

    @property
    def key(self) -> ServiceKey:
        """Namespace and name."""
        return (self.namespace, self.name)

    @property
    def fqdn(self) -> str:
        """The name under which the whole cluster knows it."""
        return f"{self.name}.{self.namespace}.svc.cluster.local" if self.namespace else self.name

    def port(self, number: int | None) -> ServicePort | None:
        """Return the port of that number; without a number the HTTP port: 80, or else the first one."""
        if number is None:
            return next((p for p in self.ports if p.port == DEFAULT_HTTP_PORT), self.ports[0] if self.ports else None)
        return next((p for p in self.ports if p.port == number), None)


DEFAULT_HTTP_PORT = 80


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A declared TCP port of a pod, in the order of declaration over all its app containers."""

    name: str
    number: int
    protocol: Protocol = "http"


@dataclass(frozen=True, slots=True)
class Workload:
    """A pod, as far as the mesh is concerned.

    Attributes:
        namespace: Namespace of the pod.
        name: Name of the pod.
        address: Its IP; empty before it has one.
        labels: Its labels, sorted.
        ports: Its declared TCP ports.
        node: The node it is bound to.
        phase: Kubernetes' pod phase.
        ready: The Ready condition is True.
        terminating: It has been told to end.
        meshed: It has a sidecar.
        egress: Hosts that it says it calls, from its annotation; None means all.
        service_account: The service account that it runs under.
        captured: Its packets are redirected to its sidecar.
        bypassed: Ports that it excludes from that.
        gateway: It is no application but a gateway's proxy.
        owner: Kind and name of what it was made by, a Deployment rather than its ReplicaSet; empty where by hand.
        host: IP of its node; that of the pod itself where it is on the node's network.
    """

    namespace: str
    name: str
    address: str
    labels: tuple[tuple[str, str], ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    node: str = ""
    phase: str = "Running"
    ready: bool = True
    terminating: bool = False
    meshed: bool = False
    egress: tuple[str, ...] | None = None
    service_account: str = "default"
    captured: bool = False
    bypassed: frozenset[int] = frozenset()
    gateway: bool = False
    owner: tuple[str, str] = ("", "")
    host: str = ""

    @property
    def key(self) -> ServiceKey:
        """Namespace and name."""
        return (self.namespace, self.name)

    @property
    def maker(self) -> tuple[str, str]:
        """Kind and name of its owner, or else of the pod itself."""
        return self.owner if self.owner[0] else ("Pod", self.name)

    @property
    def identity(self) -> Identity:
        """Who it is."""
        return Identity(self.namespace, self.service_account)

    def entry(self, number: int) -> int | None:
        """Return where callers connect to so that its sidecar takes calls to a port; None where it takes none."""
        if not self.meshed or self.gateway:
            return None
        if self.captured:
            return None if number in self.bypassed else number
        declared = [p.number for p in self.ports]
        return inbound_port(declared.index(number)) if number in declared else None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One pod behind one port of one Service, as a caller reaches it.

    Attributes:
        address: IP of the pod.
        port: Port to connect to: the sidecar's inbound port where the pod is meshed.
        pod: Name of the pod; empty for an address that no pod has.
        draining: It ends: it gets no new request, those it has may finish.
        version: The pod's version label, for telemetry.
        node: The node it runs on.
        labels: The pod's labels, sorted; subsets choose by them.
        identity: Who the pod must prove to be, over mutual TLS; None where it is reached in plaintext.
        weight: Its share of the requests among others; 0 where all are alike.
    """

    address: str
    port: int
    pod: str = ""
    draining: bool = False
    version: str = ""
    node: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    identity: Identity | None = None
    weight: int = 0
