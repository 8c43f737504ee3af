"""Everything the mesh knows at one moment, and what each proxy is told of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from mesh.ir.services import ContainerPort
from mesh.ir.tracing import TracingSettings
from mesh.ir.views import Inbound, Outbound, ProxyView
from mesh.resolve.authz import AuthzIndex
from mesh.resolve.clauses import Caller
from mesh.resolve.edges import Edges
from mesh.resolve.externals import Externals
from mesh.resolve.gateways import Gateways
from mesh.resolve.grants import Grants
from mesh.resolve.httproutes import Parents, Translated, translate
from mesh.resolve.kinds import ROUTES_ANNOTATION, read_kinds
from mesh.resolve.outbounds import Outbounds
from mesh.resolve.peers import PeerModes, index_peers
from mesh.resolve.problems import Problem, Ref
from mesh.resolve.sidecars import Sidecars
from mesh.resolve.splits import Splits, affinity_instead, limited_ejection, resolve_splits, unjudged_ports
from mesh.resolve.tokens import JwtIndex
from mesh.resolve.tracing import TelemetryIndex
from mesh.resolve.treatments import Treatments
from mesh.resolve.upstreams import UpstreamResolver
from mesh.resolve.virtualservices import VirtualServices

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    def outbounds(self) -> Outbounds:
        """Whom callers may call, made for each scope."""
        return Outbounds(
            self.services,
            self.externals,
            self.sidecars,
            routing=self.routing,
            splits=self.splits.applied,
            upstreams=UpstreamResolver(self.services, self._reached, self.treatments, self.splits.backend_of()),
        )

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
        own += affinity_instead(self.traffic_splits, self.splits, self._hashes)
        for service in self.services.values():
            ref = Ref("v1", "Service", service.namespace, service.name, service.uid)
            told = read_kinds(service.kinds)[1] if service.kinds else ()
            own += [Problem(ref, "Invalid", f"metadata.annotations[{ROUTES_ANNOTATION}]: {text}") for text in told]
        return tuple(sorted({*own, *self.routing.problems, *self.treatments.problems, *self.splits.problems}))

    def _all_may_go(self, host: ServiceKey) -> bool:
        """Say whether a host's own DestinationRule lets outlier detection eject all of its pods."""
        treatment = self.treatments.find(Caller(host[0]), host, host[0])
        return bool(treatment and treatment.full_ejection)

    def _hashes(self, host: ServiceKey) -> bool:
        """Say whether a host's own DestinationRule chooses pods by a hash."""
        treatment = self.treatments.find(Caller(host[0]), host, host[0])
        balancer = treatment.policy.load_balancer if treatment and treatment.policy else None
        return bool(balancer and balancer.consistent_hash)

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
            self._outbound[scope] = self.outbounds.of(Caller(namespace, labels), egress)
        return self._outbound[scope]
