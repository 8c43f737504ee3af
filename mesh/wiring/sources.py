"""Everything that the control plane watches, and the world that it makes of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mesh.resolve.authz import read_authorization_policy
from mesh.resolve.edges import read_gateway_class, read_standard_gateway
from mesh.resolve.gateways import read_gateway
from mesh.resolve.grants import read_reference_grant
from mesh.resolve.grpcroutes import read_grpc_route
from mesh.resolve.httproutes import read_http_route
from mesh.resolve.objects import read_pod, read_service
from mesh.resolve.rules import (
    read_destination_rule,
    read_peer_authentication,
    read_service_entry,
    read_sidecar,
    read_traffic_split,
    read_virtual_service,
)
from mesh.resolve.tokens import key_sources, read_request_authentication
from mesh.resolve.tracing import read_telemetry
from mesh.resolve.world import World
from mesh.wiring.gatewaysecrets import GatewaySecrets
from mesh.wiring.keys import KeyFetcher
from mesh.wiring.kinds import (
    AUTHORIZATION_POLICIES,
    DESTINATION_RULES,
    GATEWAY_CLASSES,
    GATEWAYS,
    GRPC_ROUTES,
    HTTP_ROUTES,
    NAMESPACES,
    PEER_AUTHENTICATIONS,
    PODS,
    REFERENCE_GRANTS,
    REQUEST_AUTHENTICATIONS,
    SERVICE_ENTRIES,
    SERVICES,
    SIDECARS,
    STANDARD_GATEWAYS,
    TELEMETRIES,
    TRAFFIC_SPLITS,
    VIRTUAL_SERVICES,
)
from mesh.wiring.reflector import Reflector

if TYPE_CHECKING:
    from collections.abc import Callable

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
    from mesh.ir.services import Service, Workload
    from mesh.ir.tracing import TracingSettings
    from mesh.resolve.authz import PolicyRule
    from mesh.resolve.rules import Rule
    from mesh.wiring.endpoints import EndpointSource
    from mesh.wiring.kube import Kube

__all__ = ["Sources"]

ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class Sources:
    """What is watched."""

    services: Reflector[Service]
    pods: Reflector[Workload]
    endpoints: EndpointSource
    virtual_services: Reflector[Rule[VirtualServiceSpec]]
    destination_rules: Reflector[Rule[DestinationRuleSpec]]
    traffic_splits: Reflector[Rule[TrafficSplitSpec]]
    authorization_policies: Reflector[PolicyRule]
    request_authentications: Reflector[Rule[RequestAuthenticationSpec]]
    token_keys: KeyFetcher
    gateways: Reflector[Rule[GatewaySpec]]
    http_routes: Reflector[Rule[HttpRouteSpec]]
    grpc_routes: Reflector[Rule[HttpRouteSpec]]
    standard_gateways: Reflector[Rule[StandardGatewaySpec]]
    gateway_classes: Reflector[Rule[GatewayClassSpec]]
    reference_grants: Reflector[Rule[ReferenceGrantSpec]]
    namespaces: Reflector[dict[str, str]]
    gateway_secrets: GatewaySecrets
    peer_authentications: Reflector[Rule[PeerAuthenticationSpec]]
    service_entries: Reflector[Rule[ServiceEntrySpec]]
    sidecars: Reflector[Rule[SidecarSpec]]
    telemetries: Reflector[Rule[TelemetrySpec]]
    tracing: TracingSettings

    @classmethod
    def of(
        cls,
        kube: Kube,
        endpoints: EndpointSource,
        changed: Callable[[], None],
        seen_split: Callable[[dict[str, Any]], None],
        seen_standard: Callable[[dict[str, Any]], None] = lambda _: None,
        *,
        tracing: TracingSettings,
    ) -> Sources:
        """Return the sources of a cluster.

        Args:
            kube: The client.
            endpoints: Where endpoints come from.
            changed: Called after each change.
            seen_split: Called with each TrafficSplit as the API serves it.
            seen_standard: Called with each route, Gateway and GatewayClass of the Gateway API likewise.
            tracing: What holds for the traces of the whole mesh.
        """

        def read_split(manifest: dict[str, Any]) -> Rule[TrafficSplitSpec]:
            seen_split(manifest)
            return read_traffic_split(manifest)

        def noted(read: Callable[[dict[str, Any]], ItemT]) -> Callable[[dict[str, Any]], ItemT]:
            def reader(manifest: dict[str, Any]) -> ItemT:
                seen_standard(manifest)
                return read(manifest)

            return reader

        return cls(
            services=Reflector(kube, (SERVICES,), read_service, changed),
            pods=Reflector(kube, (PODS,), read_pod, changed),
            endpoints=endpoints,
            virtual_services=Reflector(kube, VIRTUAL_SERVICES, read_virtual_service, changed, optional=True),
            destination_rules=Reflector(kube, DESTINATION_RULES, read_destination_rule, changed, optional=True),
            traffic_splits=Reflector(kube, (TRAFFIC_SPLITS,), read_split, changed, optional=True),
            authorization_policies=Reflector(
                kube, AUTHORIZATION_POLICIES, read_authorization_policy, changed, optional=True
            ),
            request_authentications=Reflector(
                kube, REQUEST_AUTHENTICATIONS, read_request_authentication, changed, optional=True
            ),
            token_keys=KeyFetcher(changed),
            gateways=Reflector(kube, GATEWAYS, read_gateway, changed, optional=True),
            http_routes=Reflector(kube, HTTP_ROUTES, noted(read_http_route), changed, optional=True),
            grpc_routes=Reflector(kube, GRPC_ROUTES, noted(read_grpc_route), changed, optional=True),
            standard_gateways=Reflector(kube, STANDARD_GATEWAYS, noted(read_standard_gateway), changed, optional=True),
            gateway_classes=Reflector(kube, GATEWAY_CLASSES, noted(read_gateway_class), changed, optional=True),
            reference_grants=Reflector(kube, REFERENCE_GRANTS, read_reference_grant, changed, optional=True),
            namespaces=Reflector(kube, (NAMESPACES,), _labels, changed),
            gateway_secrets=GatewaySecrets(kube, changed),
            peer_authentications=Reflector(
                kube, PEER_AUTHENTICATIONS, read_peer_authentication, changed, optional=True
            ),
            service_entries=Reflector(kube, SERVICE_ENTRIES, read_service_entry, changed, optional=True),
            sidecars=Reflector(kube, SIDECARS, read_sidecar, changed, optional=True),
            telemetries=Reflector(kube, TELEMETRIES, read_telemetry, changed, optional=True),
            tracing=tracing,
        )

    @property
    def reflectors(self) -> tuple[Reflector[Any], ...]:
        """All of them."""
        return (
            self.services,
            self.pods,
            self.virtual_services,
            self.destination_rules,
            self.traffic_splits,
            self.authorization_policies,
            self.request_authentications,
            self.gateways,
            self.http_routes,
            self.grpc_routes,
            self.standard_gateways,
            self.gateway_classes,
            self.reference_grants,
            self.namespaces,
            self.peer_authentications,
            self.service_entries,
            self.sidecars,
            self.telemetries,
            *self.endpoints.reflectors,
        )

    async def synced(self) -> None:
        """Wait until everything is known once."""
        await asyncio.gather(*(r.synced.wait() for r in self.reflectors))
        self.token_keys.want(key_sources(self.request_authentications.items.values()))
        await self.token_keys.tried()
        self.world()  # which says whose Secrets are wanted
        await self.gateway_secrets.tried()

    def world(self) -> World:
        """Return what is known now."""
        services, workloads = dict(self.services.items), dict(self.pods.items)
        tokens = tuple(self.request_authentications.items.values())
        self.token_keys.want(key_sources(tokens))
        world = World(
            services=services,
            workloads=workloads,
            endpoints=self.endpoints.endpoints(services, workloads),
            virtual_services=tuple(self.virtual_services.items.values()),
            destination_rules=tuple(self.destination_rules.items.values()),
            traffic_splits=tuple(self.traffic_splits.items.values()),
            service_entries=tuple(self.service_entries.items.values()),
            sidecar_resources=tuple(self.sidecars.items.values()),
            authorization_policies=tuple(self.authorization_policies.items.values()),
            request_authentications=tokens,
            token_keys=dict(self.token_keys.keys),
            token_errors=dict(self.token_keys.errors),
            gateways=tuple(self.gateways.items.values()),
            http_routes=tuple(self.http_routes.items.values()),
            grpc_routes=tuple(self.grpc_routes.items.values()),
            standard_gateways=tuple(self.standard_gateways.items.values()),
            gateway_classes=tuple(self.gateway_classes.items.values()),
            reference_grants=tuple(self.reference_grants.items.values()),
            namespace_labels={name: labels for (_, name), labels in self.namespaces.items.items()},
            credentials=self.gateway_secrets.items,
            peer_authentications=tuple(self.peer_authentications.items.values()),
            telemetries=tuple(self.telemetries.items.values()),
            tracing=self.tracing,
        )
        pods = {w.namespace for w in workloads.values() if w.gateway}
        self.gateway_secrets.want(frozenset(pods | world.edges.secret_namespaces))
        return world


def _labels(namespace: dict[str, Any]) -> dict[str, str]:
    return dict(namespace["metadata"].get("labels") or {})
