"""Everything the mesh knows at one moment, and what each proxy is told of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from mesh.ir.services import DEFAULT_HTTP_PORT, ContainerPort
from mesh.ir.tracing import TracingSettings
from mesh.ir.traffic import ClusterKey, Split, TcpHost, VirtualHost
from mesh.ir.views import Inbound, Outbound, ProxyView
from mesh.resolve.authz import AuthzIndex
from mesh.resolve.clauses import Caller
from mesh.resolve.connections import ConnectionResolver, timed
from mesh.resolve.edges import Edges
from mesh.resolve.externals import Externals
from mesh.resolve.gateways import Gateways
from mesh.resolve.grants import Grants
from mesh.resolve.hosts import domains, external_domains, service_key
from mesh.resolve.httproutes import Parents, Translated, translate
from mesh.resolve.kinds import ROUTES_ANNOTATION, read_kinds, told_apart
from mesh.resolve.peers import PeerModes, index_peers
from mesh.resolve.problems import Problem, Ref
from mesh.resolve.reach import Reach
from mesh.resolve.routes import RouteResolver
from mesh.resolve.sidecars import Sidecars
from mesh.resolve.splits import Splits, limited_ejection, resolve_splits, unjudged_ports
from mesh.resolve.tokens import JwtIndex
from mesh.resolve.tracing import TelemetryIndex
from mesh.resolve.treatments import Treatments
from mesh.resolve.upstreams import UpstreamResolver, hashed
from mesh.resolve.virtualservices import VirtualServices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesh.api.destinationrule import DestinationRuleSpec
    from mesh.api.gateway import GatewaySpec
    from mesh.api.gatewayapi import GatewayClassSpec, ReferenceGrantSpec, StandardGatewaySpec
    from mesh.api.httproute import HttpRouteSpec
    from mesh.api.istiotelemetry import TelemetrySpec
    from mesh.api.peerauthentication import PeerAuthenticationSpec
    from mesh.api.requestauthentication import RequestAuthenticationSpec
    from mesh.api.serviceentry import ServiceEntrySpec
    from mesh.api.sidecar import SidecarSpec
    from mesh.api.trafficsplit import TrafficSplitSpec
    from mesh.api.virtualservice import VirtualServiceSpec
    from mesh.ir.gateways import Credential
    from mesh.ir.services import Endpoint, Service, ServiceKey, Workload
    from mesh.resolve.authz import PolicyRule
    from mesh.resolve.rules import Rule

__all__ = ["World"]

Scope = tuple[str, "tuple[str, ...] | None", "frozenset[tuple[str, str]]"]
"""Namespace of the callers, the hosts that they say they call, and those of their labels that some rule asks for."""
NO_LABELS: frozenset[tuple[str, str]] = frozenset()
OTHER_PORTS = ContainerPort("", 0, "tcp")
"""Of a captured pod: what it does not declare is called through its sidecar as well."""


@dataclass(frozen=True)
class World:
    """Resources, parsed, and what follows from them.

    Attributes:
        services: All Services.
        workloads: All pods.
        endpoints: By Service, by port.
        virtual_services: All of them.
        destination_rules: All of them.
        traffic_splits: All of them.
        peer_authentications: All of them.
        authorization_policies: All of them.
        request_authentications: All of them.
        service_entries: All of them.
        sidecar_resources: All resources of the kind Sidecar.
        gateways: All Gateways.
        http_routes: All HTTPRoutes of the Gateway API.
        grpc_routes: All GRPCRoutes of the Gateway API, as what they are for HTTP.
        standard_gateways: All Gateways of the Gateway API.
        gateway_classes: All GatewayClasses.
        reference_grants: All ReferenceGrants.
        namespace_labels: Labels of all namespaces.
        credentials: The Secrets with certificates in the namespaces of the gateways' pods.
        token_keys: Key sets that were fetched, by where they are from.
        token_errors: Why they could not be fetched, likewise.
        telemetries: All Telemetry resources.
        tracing: What holds for the traces of the whole mesh.
    """

    services: Mapping[ServiceKey, Service]
    workloads: Mapping[ServiceKey, Workload]
    endpoints: Mapping[ServiceKey, Mapping[int, tuple[Endpoint, ...]]]
    virtual_services: tuple[Rule[VirtualServiceSpec], ...] = ()
    destination_rules: tuple[Rule[DestinationRuleSpec], ...] = ()
    traffic_splits: tuple[Rule[TrafficSplitSpec], ...] = ()
    peer_authentications: tuple[Rule[PeerAuthenticationSpec], ...] = ()
    authorization_policies: tuple[PolicyRule, ...] = ()
    request_authentications: tuple[Rule[RequestAuthenticationSpec], ...] = ()
    service_entries: tuple[Rule[ServiceEntrySpec], ...] = ()
    sidecar_resources: tuple[Rule[SidecarSpec], ...] = ()
    gateways: tuple[Rule[GatewaySpec], ...] = ()
    http_routes: tuple[Rule[HttpRouteSpec], ...] = ()
    grpc_routes: tuple[Rule[HttpRouteSpec], ...] = ()
    standard_gateways: tuple[Rule[StandardGatewaySpec], ...] = ()
    gateway_classes: tuple[Rule[GatewayClassSpec], ...] = ()
    reference_grants: tuple[Rule[ReferenceGrantSpec], ...] = ()
    namespace_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    credentials: Mapping[ServiceKey, Credential] = field(default_factory=dict, repr=False)
    token_keys: Mapping[str, str] = field(default_factory=dict)
    token_errors: Mapping[str, str] = field(default_factory=dict)
    telemetries: tuple[Rule[TelemetrySpec], ...] = ()
    tracing: TracingSettings = field(default_factory=TracingSettings)
    _outbound: dict[Scope, Outbound] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def splits(self) -> Splits:
        """The TrafficSplits that are applied."""
        return resolve_splits(self.traffic_splits, self.services)

    @cached_property
    def routing(self) -> VirtualServices:
        """The VirtualServices by host."""
        return VirtualServices((*self.virtual_services, *self.translated.rules), self.services)

    @cached_property
    def translated(self) -> Translated:
        """The HTTPRoutes and GRPCRoutes, as VirtualServices."""
        parents = Parents(self.services, self.edges.edges, self.grants, self.namespace_labels)
        return translate((*self.http_routes, *self.grpc_routes), parents)

    @cached_property
    def grants(self) -> Grants:
        """Which references into other namespaces are allowed."""
        return Grants(self.reference_grants)

    @cached_property
    def edges(self) -> Edges:
        """The Gateways of the Gateway API that are ours."""
        return Edges(
            self.standard_gateways,
            self.gateway_classes,
            self.grants,
            self.services,
            pods=self.workloads.values(),
            credentials=self.credentials,
        )

    @cached_property
    def treatments(self) -> Treatments:
        """The DestinationRules by host."""
        return Treatments(self.destination_rules, self.services)

    @cached_property
    def externals(self) -> Externals:
        """The ServiceEntries by host."""
        return Externals(self.service_entries, self.services)

    @cached_property
    def sidecars(self) -> Sidecars:
        """The Sidecars by namespace."""
        return Sidecars(self.sidecar_resources)

    @cached_property
    def _upstreams(self) -> UpstreamResolver:
        return UpstreamResolver(self.services, self._reached, self.treatments, self._backends)

    @cached_property
    def _backends(self) -> dict[ServiceKey, Split]:
        return self.splits.backend_of()

    @cached_property
    def ingress(self) -> Gateways:
        """The Gateways, and what their pods serve."""
        return Gateways(self, (*self.gateways, *self.edges.rules))

    @cached_property
    def authorization(self) -> AuthzIndex:
        """Who may call whom."""
        return AuthzIndex(self.authorization_policies, self.services)

    @cached_property
    def tokens(self) -> JwtIndex:
        """Which tokens are taken where."""
        return JwtIndex(self.request_authentications, self.services, self.token_keys, self.token_errors)

    @cached_property
    def telemetry(self) -> TelemetryIndex:
        """Which spans each proxy reports."""
        return TelemetryIndex(self.telemetries, self.services, self.tracing)

    @cached_property
    def peers(self) -> PeerModes:
        """What each port takes."""
        return index_peers(self.peer_authentications)

    @cached_property
    def _reached(self) -> Mapping[ServiceKey, Mapping[int, tuple[Endpoint, ...]]]:
        """The endpoints as callers are to reach them: ports that take plaintext only have no identity to prove."""
        if not self.peer_authentications:
            return self.endpoints
        plain = {
            (w.namespace, w.name, w.entry(port.number))
            for w in self.workloads.values()
            for port in w.ports
            if w.meshed and self.peers.mode(w, port.number) == "DISABLE"
        }
        return {
            key: {
                number: tuple(replace(e, identity=None) if (key[0], e.pod, e.port) in plain else e for e in found)
                for number, found in ports.items()
            }
            for key, ports in self.endpoints.items()
        }

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """What the authors of resources should be told, in a fixed order."""
        own = [p for r in self.virtual_services for p in r.problems]
        own += [p for r in self.destination_rules for p in r.problems]
        own += [p for r in self.traffic_splits for p in r.problems]
        own += [p for r in self.peer_authentications for p in r.problems]
        own += [p for r in self.service_entries for p in r.problems]
        own += [p for r in self.sidecar_resources for p in r.problems]
        own += [*self.externals.problems, *self.sidecars.problems]
        own += [*self.authorization.problems, *self.tokens.problems]
        own += [*self.peers.problems, *self.peers.shadowed(self.workloads.values())]
        own += [*self.telemetry.problems, *self.telemetry.shadowed(self.workloads.values())]
        own += [*self.ingress.problems, *self.translated.problems, *self.edges.problems]
        own += [p for r in self.reference_grants for p in r.problems]
        own += unjudged_ports(self.traffic_splits, self.splits, self.services)
        own += limited_ejection(self.traffic_splits, self.splits, self._all_may_go)
        for service in self.services.values():
            ref = Ref("v1", "Service", service.namespace, service.name, service.uid)
            told = read_kinds(service.kinds)[1] if service.kinds else ()
            own += [Problem(ref, "Invalid", f"metadata.annotations[{ROUTES_ANNOTATION}]: {text}") for text in told]
        return tuple(sorted({*own, *self.routing.problems, *self.treatments.problems, *self.splits.problems}))

    def _all_may_go(self, host: ServiceKey) -> bool:
        """Say whether a host's own DestinationRule lets outlier detection eject all of its pods."""
        treatment = self.treatments.find(Caller(host[0]), host, host[0])
        return bool(treatment and treatment.full_ejection)

    def caller(self, workload: Workload) -> Caller:
        """Return whom a pod calls as."""
        return Caller(workload.namespace, self.scope(workload)[2])

    def view(self, workload: Workload) -> ProxyView:
        """Return what the pod's proxy is told."""
        ports = [*workload.ports, *((OTHER_PORTS,) if workload.captured else ())]
        entries = {port.number: (port, workload.entry(port.number)) for port in reversed(ports)}
        inbound = [
            Inbound(entry, port, self.peers.mode(workload, number))
            for number, (port, entry) in entries.items()
            if entry is not None
        ]
        return ProxyView(
            namespace=workload.namespace,
            pod=workload.name,
            address=workload.address,
            inbound=tuple(sorted(inbound, key=lambda i: i.listen)),
            outbound=self.outbound(*self.scope(workload)),
            captured=workload.captured,
            authorization=self.authorization.of(workload),
            tokens=self.tokens.of(workload),
            tracing=self.telemetry.tracing(workload),
        )

    @cached_property
    def _asked_labels(self) -> frozenset[tuple[str, str]]:
        return self.routing.asked_labels | self.treatments.asked_labels | self.sidecars.asked_labels

    def scope(self, workload: Workload) -> Scope:
        """Return what decides whom the pod may call and how: pods with the same scope share one ``Outbound``."""
        return workload.namespace, workload.egress, self._asked_labels.intersection(workload.labels)

    def outbound(
        self,
        namespace: str,
        egress: tuple[str, ...] | None,
        labels: frozenset[tuple[str, str]] = NO_LABELS,
    ) -> Outbound:
        """Return whom pods of a scope may call; made once for each scope."""
        scope = (namespace, egress, labels)
        if scope not in self._outbound:
            self._outbound[scope] = self._make_outbound(Caller(namespace, labels), egress)
        return self._outbound[scope]

    def _make_outbound(self, caller: Caller, egress: tuple[str, ...] | None) -> Outbound:
        reach = self._reach(caller, egress)
        hosts = [*self._service_hosts(caller, reach), *self._external_hosts(caller, reach)]
        called = {c for v in hosts for r in v.routes for c in r.clusters}
        services = {(c.namespace, c.service) for c in called}
        services |= reach.known
        splits = [s for key, s in sorted(self.splits.applied.items()) if key in services]
        services |= {(s.namespace, backend) for s in splits for backend, _ in s.weights}
        tcp_hosts = self._tcp_hosts(caller, reach.services, services)
        called = {d.cluster for host in tcp_hosts for route in host.routes for d in route.destinations}
        services |= {(c.namespace, c.service) for c in called}
        keys = sorted(services & reach.services.keys())
        upstreams = [u for key in keys for u in self._upstreams.of(caller, key, reach.externals.get(key))]
        return Outbound(
            hashed(hosts, upstreams),
            tuple(upstreams),
            tuple(splits),
            timed(tcp_hosts, upstreams),
            unknown=reach.scope.unknown,
        )

    def _reach(self, caller: Caller, egress: tuple[str, ...] | None) -> Reach:
        externals = self.externals.visible(caller.namespace)
        services = {**self.services, **{key: external.service for key, external in externals.items()}}
        said = None if egress is None else frozenset(service_key(h, caller.namespace, services) for h in egress)
        return Reach(services, externals, said, self.sidecars.scope(caller), caller.namespace)

    def behind(
        self, caller: Caller, clusters: set[ClusterKey], hosts: list[VirtualHost]
    ) -> tuple[Outbound, tuple[VirtualHost, ...]]:
        """Return what is behind a gateway's hosts, and the hosts as they must be told of it.

        Args:
            caller: The gateway's pods.
            clusters: Where its routes lead.
            hosts: Its hosts.
        """
        services = {(c.namespace, c.service) for c in clusters}
        splits = [s for _, s in sorted(self.splits.applied.items()) if services & {s.host, *s.backends}]
        services |= {key for s in splits for key in s.backends}
        reach = self._reach(caller, None)
        keys = sorted(services & reach.services.keys())
        upstreams = [u for key in keys for u in self._upstreams.of(caller, key, reach.externals.get(key))]
        return Outbound((), tuple(upstreams), tuple(splits)), hashed(hosts, upstreams)

    def reachable(self, caller: Caller) -> Mapping[ServiceKey, Service]:
        """Return all that callers could call: Services, and the hosts of ServiceEntries."""
        return self._reach(caller, None).services

    def _service_hosts(self, caller: Caller, reach: Reach) -> list[VirtualHost]:
        routes = RouteResolver(reach.services, self.splits.applied)
        found = []
        for key, service in sorted(reach.services.items()):
            if not reach.knows(key):
                continue
            ruling = self.routing.find(caller, key, service.fqdn)
            # Nobody compares the versions of another host, and each further route costs every caller 7 KiB.
            kinds = read_kinds(service.kinds)[0] if key in self.splits.applied else None
            for port in service.ports:
                if port.protocol == "http":
                    cluster = ClusterKey(*key, port.port)
                    made = routes.ruled(ruling, caller, key, port.port) if ruling else ()
                    made = made or routes.plain(cluster)
                    made = made if kinds is None else told_apart(made, kinds)
                    found.append(VirtualHost(key, port.port, domains(service, port, caller.namespace), made))
        return found

    def _external_hosts(self, caller: Caller, reach: Reach) -> list[VirtualHost]:
        routes = RouteResolver(reach.services, self.splits.applied)
        found = []
        for host in self.routing.externals(caller):
            ruling = self.routing.named(caller, host)
            if ruling and ("", host) not in reach.services and reach.knows(("", host)):
                made = routes.ruled(ruling, caller, ("", host), DEFAULT_HTTP_PORT)
                if made:
                    found.append(VirtualHost(("", host), DEFAULT_HTTP_PORT, external_domains(host), made))
        return found

    def _tcp_hosts(
        self, caller: Caller, known: Mapping[ServiceKey, Service], keys: Iterable[ServiceKey]
    ) -> tuple[TcpHost, ...]:
        """Return what is told apart by address: a name or a range, which a ServiceEntry may have, cannot be."""
        resolver = ConnectionResolver(RouteResolver(known, self.splits.applied), caller)
        found = []
        for key in sorted(set(keys) & known.keys()):
            service = known[key]
            addresses = tuple(a for a in service.addresses if a.replace(".", "").isdecimal())
            ports = [p.port for p in service.ports if p.protocol == "tcp"]
            ruling = self.routing.find(caller, key, service.fqdn) if addresses and ports else None
            for port in ports if addresses else ():
                routes = resolver.ruled(ruling, port) if ruling else ()
                found.append(TcpHost(ClusterKey(*key, port), addresses, routes))
        return tuple(found)
