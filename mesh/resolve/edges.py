"""Gateways of the Gateway API that are ours: which listeners are open, and on which pods.

Each becomes one Gateway as Istio has it, with a server for each usable listener; rules are bound to a listener by a name
that no VirtualService can write. The pods are those of the Service that ``spec.addresses`` names, or else those of the
Gateway's namespace with the label ``gateway.networking.k8s.io/gateway-name``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from mesh.api.gateway import GatewaySpec
from mesh.api.gatewayapi import CONTROLLER, GATEWAY_NAME_LABEL, GatewayClassSpec, StandardGatewaySpec
from mesh.resolve.gatewayhosts import known_as
from mesh.resolve.hosts import service_key
from mesh.resolve.listeners import ListenerState, Secrets, read_listeners
from mesh.resolve.problems import Problem
from mesh.resolve.rules import Rule, read_rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesh.ir.gateways import Credential
    from mesh.ir.services import Service, ServiceKey, Workload
    from mesh.resolve.grants import Grants
    from mesh.resolve.listeners import Said

__all__ = ["Edge", "Edges", "Placement", "read_gateway_class", "read_standard_gateway"]

_PROTOCOLS: Final = {"HTTP": None, "HTTPS": "SIMPLE"}


def read_standard_gateway(manifest: dict[str, Any]) -> Rule[StandardGatewaySpec]:
    """Return a parsed Gateway of the Gateway API."""
    return read_rule(manifest, StandardGatewaySpec)


def read_gateway_class(manifest: dict[str, Any]) -> Rule[GatewayClassSpec]:
    """Return a parsed GatewayClass."""
    return read_rule(manifest, GatewayClassSpec)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a Gateway is served.

    Attributes:
        namespace: Namespace of its pods.
        labels: Labels of its pods.
        secrets: Namespace and name of its Secrets, by the names that they have in the translated Gateway.
    """

    namespace: str
    labels: tuple[tuple[str, str], ...]
    secrets: Mapping[str, ServiceKey] = field(default_factory=dict)

    def serves(self, pod: Workload) -> bool:
        """Say whether a pod serves it."""
        return pod.gateway and pod.namespace == self.namespace and set(self.labels) <= set(pod.labels)


@dataclass(frozen=True, slots=True)
class Edge:
    """A Gateway of ours.

    Attributes:
        rule: The Gateway.
        listeners: Its listeners, in its order.
        placement: Where it is served; None where it says so in a way that cannot be.
        accepted: Why it is not carried out; None where it is.
        programmed: Why no proxy serves it; None where one does.
        addresses: Names of the Services that lead to it.
    """

    rule: Rule[StandardGatewaySpec]
    listeners: tuple[ListenerState, ...] = ()
    placement: Placement | None = None
    accepted: Said = None
    programmed: Said = None
    addresses: tuple[str, ...] = ()

    @property
    def key(self) -> ServiceKey:
        """Namespace and name."""
        return (self.rule.ref.namespace, self.rule.ref.name)


class Edges:
    """All Gateways of the Gateway API whose class is ours.

    Args:
        gateways: All Gateways of the Gateway API.
        classes: All GatewayClasses.
        grants: The references that are allowed.
        services: All Services.
        pods: All pods.
        credentials: The Secrets that are known.

    Attributes:
        edges: By namespace and name.
        classes: The classes that are ours.
    """

    def __init__(
        self,
        gateways: Iterable[Rule[StandardGatewaySpec]],
        classes: Iterable[Rule[GatewayClassSpec]],
        grants: Grants,
        services: Mapping[ServiceKey, Service],
        *,
        pods: Iterable[Workload] = (),
        credentials: Mapping[ServiceKey, Credential],
    ) -> None:
        gateways, classes = tuple(gateways), tuple(classes)
        self.classes = tuple(c for c in classes if c.spec and c.spec.controller_name == CONTROLLER)
        # Whether they are ours cannot be read, so it is told.
        self._unread = [p for gateway in gateways if gateway.spec is None for p in gateway.problems]
        self._unread += [p for known in classes if known.spec is None for p in known.problems]
        self._services, self._pods = services, [p for p in pods if p.gateway]
        self._grants, self._credentials = grants, credentials
        names = {c.ref.name for c in self.classes}
        ours = (g for g in gateways if g.spec and g.spec.gateway_class_name in names)
        found = [self._edge(rule, rule.spec) for rule in ours if rule.spec]
        self.edges = {edge.key: edge for edge in found}

    def _edge(self, rule: Rule[StandardGatewaySpec], spec: StandardGatewaySpec) -> Edge:
        placed = self._place(rule, spec)
        if not isinstance(placed, Placement):
            return Edge(rule, read_listeners(rule, spec, Secrets(self._grants, self._credentials, "")), None, *placed)
        secrets = Secrets(self._grants, self._credentials, placed.namespace)
        listeners = read_listeners(rule, spec, secrets)
        placement = Placement(placed.namespace, placed.labels, secrets.used)
        accepted: Said = None
        programmed: Said = None
        if not any(state.usable for state in listeners):
            programmed = accepted = ("ListenersNotValid", "spec.listeners: none of them can be used; each says why")
            programmed = ("Invalid", accepted[1])
        elif not any(placement.serves(pod) and pod.phase == "Running" for pod in self._pods):
            wanted = ", ".join(f"{k}={v}" for k, v in placement.labels)
            text = f"there is no gateway pod in namespace {placement.namespace} with {wanted}: see docs/gateway-api.md"
            programmed = ("Pending", text)
        return Edge(rule, listeners, placement, accepted, programmed, self._names(placement))

    def _place(self, rule: Rule[StandardGatewaySpec], spec: StandardGatewaySpec) -> Placement | tuple[Said, Said]:
        """Return where a Gateway is served, or why it is not accepted and why not programmed."""
        if not spec.addresses:
            return Placement(rule.ref.namespace, ((GATEWAY_NAME_LABEL, rule.ref.name),))
        address = spec.addresses[0]
        if len(spec.addresses) > 1 or address.type != "Hostname":
            text = "spec.addresses: write one address of type Hostname, the name of a Service such as "
            text += "istio-ingressgateway.coalmine-ingress.svc.cluster.local, or none"
            return ("UnsupportedAddress", text), ("Invalid", text)
        service = self._services.get(service_key(address.value, rule.ref.namespace, self._services))
        if service is None or not service.selector:
            text = f"spec.addresses[0].value: there is no Service {address.value} with a selector: correct the name"
            return None, ("AddressNotAssigned", text)
        return Placement(service.namespace, service.selector)

    def _names(self, placement: Placement) -> tuple[str, ...]:
        wanted = set(placement.labels)
        return tuple(
            s.fqdn
            for _, s in sorted(self._services.items())
            if s.namespace == placement.namespace and s.selector and self._leads(s, wanted)
        )

    def _leads(self, service: Service, wanted: set[tuple[str, str]]) -> bool:
        pods = [p for p in self._pods if p.namespace == service.namespace and wanted <= set(p.labels)]
        return any(set(service.selector) <= set(p.labels) for p in pods)

    @cached_property
    def rules(self) -> tuple[Rule[GatewaySpec], ...]:
        """As Istio's Gateways."""
        made = []
        for edge in self.edges.values():
            servers = [_server(s) for s in edge.listeners if s.usable] if edge.placement and not edge.accepted else []
            if servers and edge.placement:
                spec = GatewaySpec.model_validate({"selector": dict(edge.placement.labels), "servers": servers})
                made.append(Rule(edge.rule.ref, edge.rule.created, edge.rule.generation, spec))
        return tuple(made)

    @cached_property
    def placements(self) -> Mapping[str, Placement]:
        """Where they are served, by the name that is in bindings."""
        return {known_as(e.rule.ref): e.placement for e in self.edges.values() if e.placement}

    @cached_property
    def secret_namespaces(self) -> frozenset[str]:
        """Namespaces of the Secrets that they may use and that some pod would show."""
        served = [e for e in self.edges.values() if e.placement and any(map(e.placement.serves, self._pods))]
        return frozenset(namespace for e in served for state in e.listeners for namespace in state.secret_namespaces)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What the authors should be told."""
        found = [*self._unread, *(p for known in self.classes for p in known.problems)]
        for edge in self.edges.values():
            told = [edge.accepted or edge.programmed]
            told += [said for s in edge.listeners for said in (s.accepted, s.conflicted, s.resolved)]
            found += [*edge.rule.problems, *(Problem(edge.rule.ref, *said) for said in told if said)]
        return tuple(dict.fromkeys(found))


def _server(state: ListenerState) -> dict[str, Any]:
    listener = state.spec
    port = {"number": listener.port, "name": listener.name, "protocol": listener.protocol}
    made: dict[str, Any] = {"port": port, "name": listener.name, "hosts": [listener.hostname or "*"]}
    if mode := _PROTOCOLS[listener.protocol]:
        made["tls"] = {"mode": mode, "credentialName": state.secret}
    return made
