"""Whatever stands in resources: no crash, the author hears of it, and Envoy takes what the proxies are told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mesh.api.authorizationpolicy import AuthorizationPolicySpec
from mesh.api.destinationrule import DestinationRuleSpec
from mesh.api.gateway import GatewaySpec
from mesh.api.gatewayapi import (
    CONTROLLER,
    GATEWAY_NAME_LABEL,
    GatewayClassSpec,
    ReferenceGrantSpec,
    StandardGatewaySpec,
)
from mesh.api.grpcroute import GrpcRouteSpec
from mesh.api.httproute import HttpRouteSpec
from mesh.api.istiotelemetry import TelemetrySpec
from mesh.api.peerauthentication import PeerAuthenticationSpec
from mesh.api.requestauthentication import RequestAuthenticationSpec
from mesh.api.serviceentry import ServiceEntrySpec
from mesh.api.sidecar import SidecarSpec
from mesh.api.trafficsplit import TrafficSplitSpec
from mesh.api.virtualservice import VirtualServiceSpec
from mesh.ir.gateways import Credential
from mesh.ir.services import ContainerPort, Service, ServicePort, Workload
from mesh.ir.tracing import TracingSettings
from mesh.resolve.authz import read_authorization_policy
from mesh.resolve.edges import read_gateway_class, read_standard_gateway
from mesh.resolve.endpoints import PodIndex, from_pods
from mesh.resolve.gateways import read_gateway
from mesh.resolve.grants import read_reference_grant
from mesh.resolve.grpcroutes import read_grpc_route
from mesh.resolve.httproutes import read_http_route
from mesh.resolve.rules import (
    read_destination_rule,
    read_peer_authentication,
    read_service_entry,
    read_sidecar,
    read_traffic_split,
    read_virtual_service,
)
from mesh.resolve.tokens import read_request_authentication
from mesh.resolve.tracing import read_telemetry
from mesh.resolve.world import World
from mesh.xds.resources import CDS, EDS, RDS, pack
from mesh.xds.routes import OUTBOUND_ROUTES
from mesh.xds.snapshots import SnapshotBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mesh.xds.resources import Snapshot

pytestmark = pytest.mark.integration

KINDS: dict[str, tuple[str, Callable[[dict[str, Any]], Any], Any]] = {
    "VirtualService": ("virtual_services", read_virtual_service, VirtualServiceSpec),
    "DestinationRule": ("destination_rules", read_destination_rule, DestinationRuleSpec),
    "Gateway": ("gateways", read_gateway, GatewaySpec),
    "ServiceEntry": ("service_entries", read_service_entry, ServiceEntrySpec),
    "Sidecar": ("sidecar_resources", read_sidecar, SidecarSpec),
    "PeerAuthentication": ("peer_authentications", read_peer_authentication, PeerAuthenticationSpec),
    "AuthorizationPolicy": ("authorization_policies", read_authorization_policy, AuthorizationPolicySpec),
    "RequestAuthentication": ("request_authentications", read_request_authentication, RequestAuthenticationSpec),
    "Telemetry": ("telemetries", read_telemetry, TelemetrySpec),
    "HTTPRoute": ("http_routes", read_http_route, HttpRouteSpec),
    "GRPCRoute": ("grpc_routes", read_grpc_route, GrpcRouteSpec),
    "StandardGateway": ("standard_gateways", read_standard_gateway, StandardGatewaySpec),
    "GatewayClass": ("gateway_classes", read_gateway_class, GatewayClassSpec),
    "ReferenceGrant": ("reference_grants", read_reference_grant, ReferenceGrantSpec),
    "TrafficSplit": ("traffic_splits", read_traffic_split, TrafficSplitSpec),
}
PORTS = (ServicePort("http", 80, 8080), ServicePort("tcp-db", 5432, 5432, "tcp"))
APP = (ContainerPort("http", 8080), ContainerPort("tcp-db", 5432, "tcp"))
SERVICES = {
    ("shop", name): Service("shop", name, PORTS, selector=(("app", name),), addresses=(ip,))
    for name, ip in (("payment", "10.96.0.10"), ("payment-canary", "10.96.0.11"), ("orders", "10.96.0.12"))
}
EDGE = (("istio", "ingressgateway"),)
NAMES = {
    "Gateway": ("edge", "second", "third"),
    "StandardGateway": ("edge", "second", "third"),
    "GatewayClass": ("coalmine",),
}
SERVICES["shop", "edge"] = Service(
    "shop", "edge", (ServicePort("http", 80, 8080), ServicePort("https", 443, 8443)), EDGE
)


def pod(name: str, ip: str, **more: Any) -> Workload:
    labels = more.pop("labels", (("app", name), ("version", "v1")))
    return Workload("shop", name, ip, labels=labels, ports=APP, ready=True, phase="Running", meshed=True, **more)


PODS = [pod("payment", "10.0.0.2"), pod("payment-canary", "10.0.0.3"), pod("caller", "10.0.0.4")]
PODS += [
    pod("captured", "10.0.0.5", captured=True),
    pod("edge", "10.0.0.6", labels=((GATEWAY_NAME_LABEL, "edge"), *EDGE), gateway=True),
]
WORKLOADS = {w.key: w for w in PODS}
INDEX = PodIndex(PODS)
ENDPOINTS = {key: from_pods(s, INDEX) for key, s in SERVICES.items()}
DULL: dict[str, list[dict[str, Any]]] = {
    "Gateway": [{"selector": dict(EDGE), "servers": [{"port": {"number": 80, "protocol": "HTTP"}, "hosts": ["*"]}]}],
    "GatewayClass": [{"controllerName": CONTROLLER}],
    "StandardGateway": [
        {"gatewayClassName": "coalmine", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}
    ],
    "TrafficSplit": [{"service": "payment", "backends": [{"service": "payment-canary", "weight": 100}]}],
}
FEW = settings(suppress_health_check=list(HealthCheck), phases=set(Phase) - {Phase.explain})


def world(specs: dict[str, list[dict[str, Any]]]) -> World:
    fields: dict[str, Any] = {}
    for kind, (field, read, _) in KINDS.items():
        names = NAMES.get(kind, ("payment", "second", "third"))
        version = "gateway.networking.k8s.io/v1" if kind == "StandardGateway" else "v1"
        found = []
        for name, spec in zip(names, specs.get(kind, []), strict=False):
            meta = {
                "name": name,
                "namespace": "shop",
                "uid": f"{kind} {name}",
                "creationTimestamp": f"2026-01-0{len(found)}",
            }
            written = kind.removeprefix("Standard")
            found.append(read({"apiVersion": version, "kind": written, "metadata": meta, "spec": spec}))
        fields[field] = tuple(found)
    credentials = {("shop", "shop"): Credential(b"chain", b"key", b"roots")}
    # Where nothing is said of traces the other kinds are as in a mesh without them, and Envoy is asked sooner.
    tracing = TracingSettings("10.0.0.9:4317" if specs.get("Telemetry") else "")
    return World(SERVICES, WORKLOADS, ENDPOINTS, **fields, credentials=credentials, tracing=tracing)


def snapshots(made: World) -> Iterator[tuple[str, Snapshot]]:
    builder = SnapshotBuilder()
    builder.begin()
    for workload in WORKLOADS.values():
        if workload.gateway:
            yield workload.name, builder.build_gateway(made.ingress.view(workload))
        else:
            yield workload.name, builder.build(made.view(workload))


def check(made: World) -> None:
    """Nothing crashes, nothing leads nowhere, and of what cannot be read its author hears."""
    told = {(p.ref.kind, p.ref.name) for p in made.problems if p.message}
    for field, _, _ in KINDS.values():
        for rule in getattr(made, field):
            if getattr(rule, "spec", rule) is None:
                assert (rule.ref.kind, rule.ref.name) in told
    for name, snapshot in snapshots(made):
        for resources in snapshot.resources.values():
            for key, resource in resources.items():
                assert key == resource.name, name
                assert type(resource.message).FromString(resource.message.SerializeToString()) == resource.message
        clusters = snapshot.of(CDS)
        by_eds = {n for n, r in clusters.items() if r.message.type == cluster_pb2.Cluster.EDS}  # type: ignore[attr-defined]
        assert {n for n in by_eds if clusters[n].message.HasField("eds_cluster_config")} <= snapshot.of(EDS).keys()  # type: ignore[call-overload]
        assert snapshot.vital <= clusters.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_crashes(kind, specs):
    @settings(FEW, max_examples=60)
    @given(st.lists(specs(KINDS[kind][2]), min_size=1, max_size=2))
    def run(found: list[dict[str, Any]]) -> None:
        check(world(DULL | {kind: found}))

    run()


def test_kinds_together_do_not_crash(specs):
    @settings(FEW, max_examples=60)
    @given(st.fixed_dictionaries({kind: st.lists(specs(model), max_size=1) for kind, (_, _, model) in KINDS.items()}))
    def run(found: dict[str, list[dict[str, Any]]]) -> None:
        check(world(found))

    run()


@pytest.mark.parametrize("kind", KINDS)
def test_envoy_takes_all(kind, specs, refusal):
    @settings(FEW, max_examples=8)
    @given(st.lists(specs(KINDS[kind][2]), min_size=2, max_size=3))
    def run(found: list[dict[str, Any]]) -> None:
        for name, snapshot in snapshots(world(DULL | {kind: found})):
            if name in {"caller", "captured", "edge"}:
                assert refusal(snapshot) == "", name

    run()


def test_envoy_would_refuse_a_host_without_a_domain(refusal):
    snapshot = next(s for name, s in snapshots(world({})) if name == "caller")
    routes: Any = snapshot.of(RDS)[OUTBOUND_ROUTES].message
    routes.virtual_hosts.add(name="odd")
    bad = {**snapshot.resources, RDS: {**snapshot.of(RDS), OUTBOUND_ROUTES: pack(OUTBOUND_ROUTES, routes)}}
    assert "Domains" in refusal(replace(snapshot, resources=bad))
