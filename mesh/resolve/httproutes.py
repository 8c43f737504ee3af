"""HTTPRoutes and GRPCRoutes as VirtualServices: proxies know one language of rules.

All routes of one Service in one namespace become one VirtualService, whose rules are in the Gateway API's order of
precedence: the more specific path first, then a method, more headers, more query parameters, the older route. Routes of
the Service's own namespace are for all callers, others for the callers in the route's namespace.

All routes of one listener become one VirtualService for each host: of those that serve it the more specific host's rules
go first, then the order is the same.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mesh.api.httproute import HttpRouteSpec
from mesh.api.virtualservice import VirtualServiceSpec
from mesh.resolve.gatewayhosts import covers
from mesh.resolve.grants import Grants
from mesh.resolve.listeners import admits, narrowed
from mesh.resolve.problems import Problem
from mesh.resolve.routereader import Ordered, RouteReader
from mesh.resolve.rules import Rule, read_rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesh.api.httproute import ParentRef
    from mesh.ir.services import Service, ServiceKey
    from mesh.resolve.edges import Edge
    from mesh.resolve.listeners import ListenerState, Said

__all__ = ["ParentState", "Parents", "Translated", "read_http_route", "translate"]

_Route = Rule[HttpRouteSpec]


@dataclass(frozen=True, slots=True)
class ParentState:
    """What is said about a route and one of its parents.

    Attributes:
        parent: The parent as the route names it.
        accepted: Reason and sentence of why it is not carried out; None where it is.
        resolved: Reason and sentence of a reference that leads nowhere; None where all lead somewhere.
    """

    parent: ParentRef
    accepted: tuple[str, str] | None = None
    resolved: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Parents:
    """What routes may be for.

    Attributes:
        services: All Services.
        edges: The Gateways that are ours.
        grants: The references into other namespaces that are allowed.
        labels: Labels of all namespaces.
    """

    services: Mapping[ServiceKey, Service]
    edges: Mapping[ServiceKey, Edge] = field(default_factory=dict)
    grants: Grants = field(default_factory=Grants)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Translated:
    """What routes come to.

    Attributes:
        rules: As VirtualServices.
        states: By uid of the route, for each parent that is a Service or a Gateway of ours.
        problems: What their authors should be told.
        attached: How many routes each listener has, by the name that rules are bound to it by.
    """

    rules: tuple[Rule[VirtualServiceSpec], ...] = ()
    states: Mapping[str, tuple[ParentState, ...]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    attached: Mapping[str, int] = field(default_factory=dict)


def read_http_route(manifest: dict[str, Any]) -> _Route:
    """Return a parsed HTTPRoute."""
    return read_rule(manifest, HttpRouteSpec)


def translate(routes: Iterable[_Route], parents: Parents) -> Translated:
    """Return what routes come to.

    Args:
        routes: All HTTPRoutes, and GRPCRoutes as HTTPRoutes.
        parents: What they may be for.
    """
    made = _Translation(parents)
    for route in sorted(routes, key=lambda r: (r.created, r.ref)):
        made.add(route)
    return made.done()


@dataclass(frozen=True, slots=True)
class _Bound:
    """A rule at a listener, with the host that its route has there."""

    host: str
    rule: Ordered
    route: _Route


class _Translation:
    def __init__(self, parents: Parents) -> None:
        self._parents = parents
        self._services: dict[tuple[ServiceKey, str], list[tuple[Ordered, _Route]]] = {}
        self._listeners: dict[str, list[_Bound]] = {}
        self._attached: Counter[str] = Counter()
        self._states: dict[str, tuple[ParentState, ...]] = {}
        self._problems: list[Problem] = []

    def add(self, route: _Route) -> None:
        """Take in a route."""
        self._problems += route.problems
        found = []
        counted = set[str]()
        for parent in route.spec.parent_refs if route.spec else ():
            key = (parent.namespace or route.ref.namespace, parent.name)
            if parent.is_service:
                found.append(self._at_service(route, parent, key))
            elif parent.is_gateway and (edge := self._parents.edges.get(key)):
                found.append(self._at_gateway(route, parent, edge, counted))
        self._attached.update(counted)
        self._states[route.ref.uid] = tuple(found)
        told = (said for state in found for said in (state.accepted, state.resolved))
        self._problems += [Problem(route.ref, *said) for said in told if said]

    def _at_service(self, route: _Route, parent: ParentRef, key: ServiceKey) -> ParentState:
        service = self._parents.services.get(key)
        ports = [p.port for p in service.ports if parent.section_name in {"", p.name}] if service else []
        number = parent.port or (ports[0] if parent.section_name and ports else None)
        if service is None or not ports or (number and number not in ports):
            what = f"port {parent.section_name or parent.port} of Service" if service else "Service"
            text = f"spec.parentRefs: there is no {what} {'/'.join(key)}: correct it"
            return ParentState(parent, ("NoMatchingParent", text))
        if route.spec and route.spec.hostnames:
            text = "spec.hostnames has no effect on a Service parent, as the Gateway API has it: remove it"
            self._problems.append(Problem(route.ref, "NoEffect", text))
        reader = RouteReader(route, self._parents.services, self._parents.grants)
        rules, refused = reader.rules(number)
        self._services.setdefault((key, route.ref.namespace), []).extend((rule, route) for rule in rules)
        return ParentState(parent, refused, None if refused else reader.unresolved)

    def _at_gateway(self, route: _Route, parent: ParentRef, edge: Edge, counted: set[str]) -> ParentState:
        listeners, refused = self._attach(route, parent, edge)
        if refused:
            return ParentState(parent, refused)
        reader = RouteReader(route, self._parents.services, self._parents.grants)
        rules, refused = reader.rules()
        if refused:
            return ParentState(parent, refused)
        for state, hosts in listeners:
            bound = self._listeners.setdefault(state.binding, [])
            if state.binding not in counted:  # named by two of its parents, it is there once
                bound += [_Bound(host, rule, route) for host in hosts for rule in rules]
            counted.add(state.binding)
        return ParentState(parent, None, reader.unresolved)

    def _attach(
        self, route: _Route, parent: ParentRef, edge: Edge
    ) -> tuple[list[tuple[ListenerState, list[str]]], Said]:
        """Return the listeners that take a route, with its hosts there, or why none does."""
        path, name = "spec.parentRefs", "/".join(edge.key)
        named = [
            state
            for state in edge.listeners
            if parent.section_name in {"", state.spec.name} and parent.port in {None, state.spec.port}
        ]
        if not named:
            return [], ("NoMatchingParent", f"{path}: Gateway {name} has no such listener: correct sectionName or port")
        ref, labels = route.ref, self._parents.labels
        taken = [s for s in named if admits(s, edge.key[0], ref.kind, ref.namespace, labels)]
        if not taken:
            text = f"{path}: no listener of Gateway {name} takes a {ref.kind} of namespace {ref.namespace}: see its "
            return [], ("NotAllowedByListeners", f"{text}allowedRoutes")
        hostnames = route.spec.hostnames if route.spec else ()
        found = [(s, narrowed(s, hostnames, edge.listeners)) for s in taken]
        found = [(s, hosts) for s, hosts in found if hosts]
        if not found:
            text = f"spec.hostnames: no listener of Gateway {name} serves any of them: correct them"
            return [], ("NoMatchingListenerHostname", text)
        return found, None

    def done(self) -> Translated:
        """Return what all routes come to."""
        made = [_of_service(key, own, rules) for (key, own), rules in sorted(self._services.items()) if rules]
        for binding, bound in sorted(self._listeners.items()):
            made += [_of_listener(binding, host, bound) for host in sorted({b.host for b in bound})]
        return Translated(tuple(made), self._states, tuple(self._problems), dict(self._attached))


def _of_service(key: ServiceKey, namespace: str, rules: list[tuple[Ordered, _Route]]) -> Rule[VirtualServiceSpec]:
    host = f"{key[1]}.{key[0]}.svc.cluster.local"
    ordered = [rule for _, rule in sorted((rule for rule, _ in rules), key=lambda found: found[0])]
    return _as_rule(rules[0][1], [host], ordered, exportTo=["*"] if namespace == key[0] else ["."])


def _of_listener(binding: str, host: str, bound: list[_Bound]) -> Rule[VirtualServiceSpec]:
    """Return the rules for a host: of every route there that serves it, those with the more specific host first."""
    fitting = [b for b in bound if covers(b.host, host)]
    fitting.sort(key=lambda b: (b.host.startswith("*"), -len(b.host), b.rule[0]))
    return _as_rule(fitting[0].route, [host], [b.rule[1] for b in fitting], gateways=[binding])


def _as_rule(oldest: _Route, hosts: list[str], rules: list[dict[str, Any]], **more: Any) -> Rule[VirtualServiceSpec]:
    """Return rules as one VirtualService, which stands for one of the routes."""
    spec = VirtualServiceSpec.model_validate({"hosts": hosts, "http": rules, **more})
    return Rule(oldest.ref, oldest.created, oldest.generation, spec)
