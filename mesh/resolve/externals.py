"""ServiceEntries: hosts that are no Service of the cluster, as the Services that the mesh makes of them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from mesh.ir.services import Endpoint, Service, ServicePort
from mesh.resolve.hosts import service_key
from mesh.resolve.objects import version_of
from mesh.resolve.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mesh.api.serviceentry import EntryPort, ServiceEntrySpec, WorkloadEntry
    from mesh.ir.services import Protocol, ServiceKey
    from mesh.ir.traffic import Discovery
    from mesh.resolve.rules import Rule

__all__ = ["External", "Externals", "check_service_entry"]

_HTTP: Final = frozenset({"http", "http2", "grpc", "grpc-web"})
_DISCOVERY: Final[dict[str, Discovery]] = {
    "NONE": "request",
    "STATIC": "eds",
    "DNS": "dns",
    "DNS_ROUND_ROBIN": "dns-round-robin",
}


@dataclass(frozen=True)
class External:
    """A host of a ServiceEntry.

    Attributes:
        service: The host; its namespace is empty unless its name is like that of a Service.
        endpoints: By port.
        home: Namespace of the ServiceEntry.
        discovery: Where the endpoints come from.
        names: Names that the server's certificate may have.
    """

    service: Service
    endpoints: Mapping[int, tuple[Endpoint, ...]]
    home: str
    discovery: Discovery
    names: tuple[str, ...]


class Externals:
    """An index of all ServiceEntries.

    Args:
        rules: All of them; those that are not valid are passed over.
        services: All Services; they go before ServiceEntries of their names.
    """

    def __init__(self, rules: Iterable[Rule[ServiceEntrySpec]], services: Mapping[ServiceKey, Service]) -> None:
        self._services = services
        self._rules = sorted((r for r in rules if r.spec is not None), key=lambda r: (r.created, r.ref))
        self._visible: dict[str, Mapping[ServiceKey, External]] = {}

    def visible(self, namespace: str) -> Mapping[ServiceKey, External]:
        """Return the hosts for callers in a namespace: of two entries for one host their own, or else the older."""
        if namespace not in self._visible:
            own = [r for r in self._rules if r.ref.namespace == namespace]
            others = [r for r in self._rules if r.ref.namespace != namespace]
            found: dict[ServiceKey, External] = {}
            for rule in (*own, *others):
                if rule.spec and rule.spec.visible(rule.ref.namespace, namespace):
                    for external in self._of(rule, rule.spec):
                        found.setdefault(external.service.key, external)
            self._visible[namespace] = found
        return self._visible[namespace]

    def _of(self, rule: Rule[ServiceEntrySpec], spec: ServiceEntrySpec) -> Iterator[External]:
        """Yield what an entry makes of its hosts."""
        ports = tuple(
            ServicePort(p.name, p.number, p.target_port or p.number, _protocol(p))
            for p in spec.ports
            if spec.resolution != "NONE" or _protocol(p) == "http"
        )
        addresses = tuple(a for a in spec.addresses if _is_ip(a))
        for host in dict.fromkeys(h.lower().rstrip(".") for h in spec.hosts):
            key = service_key(host, rule.ref.namespace, self._services) if "." in host else ("", host)
            if key in self._services:
                continue
            yield External(
                service=Service(*key, ports, addresses=addresses, uid=rule.ref.uid),
                endpoints={p.number: tuple(_endpoints(spec, p, host)) for p in spec.ports},
                home=rule.ref.namespace,
                discovery=_DISCOVERY[spec.resolution],
                names=spec.subject_alt_names,
            )

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """What the authors should be told."""
        found = []
        first: dict[tuple[str, str], str] = {}
        for rule in self._rules:
            for index, written in enumerate(rule.spec.hosts if rule.spec else ()):
                host = written.lower().rstrip(".")
                older = first.setdefault((rule.ref.namespace, host), rule.ref.name)
                if service_key(host, rule.ref.namespace, self._services) in self._services and "." in host:
                    text = f"spec.hosts[{index}]: {host} is a Service, which is used: remove it"
                    found.append(Problem(rule.ref, "Shadowed", text))
                elif older != rule.ref.name:
                    text = (
                        f"spec.hosts[{index}]: {host} has an older ServiceEntry, {older}, which is used: merge the two"
                    )
                    found.append(Problem(rule.ref, "Shadowed", text))
        return tuple(found)


def check_service_entry(spec: ServiceEntrySpec) -> Iterator[tuple[str, str]]:
    """Return reason and sentence of everything that has not the effect it may seem to have."""
    for index, address in enumerate(spec.addresses):
        if not _is_ip(address):
            text = f"spec.addresses[{index}]: {address} is no single IP address, and no range is looked at: remove it"
            yield "NoEffect", text
    if spec.resolution == "NONE":
        for index, port in enumerate(spec.ports):
            if _protocol(port) != "http":
                text = f"port {port.number} is {port.protocol}, and resolution NONE is implemented for HTTP: write DNS"
                yield "NotImplemented", f"spec.ports[{index}]: {text}"
    if not spec.ports:
        yield "NoEffect", "spec.ports: there is none, so nothing can be sent to the hosts: write the ports"
    if spec.location == "MESH_INTERNAL":
        text = "MESH_INTERNAL makes no difference: for mutual TLS write a DestinationRule with tls.mode ISTIO_MUTUAL"
        yield "NoEffect", f"spec.location: {text}"


def _endpoints(spec: ServiceEntrySpec, port: EntryPort, host: str) -> Iterator[Endpoint]:
    target = port.target_port or port.number
    if not spec.endpoints and spec.resolution.startswith("DNS"):
        yield Endpoint(host, target)
    for entry in spec.endpoints:
        yield _endpoint(entry, entry.ports.get(port.name, target))


def _endpoint(entry: WorkloadEntry, port: int) -> Endpoint:
    labels = tuple(sorted(entry.labels.items()))
    return Endpoint(entry.address, port, labels=labels, version=version_of(labels), weight=entry.weight)


def _protocol(port: EntryPort) -> Protocol:
    return "http" if port.protocol.lower() in _HTTP else "tcp"


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
