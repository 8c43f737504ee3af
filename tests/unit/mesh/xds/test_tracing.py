"""What of tracing is a part of which resource. What Envoy makes of it is in the integration tests."""

from __future__ import annotations

from dataclasses import replace

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from mesh.ir.gateways import GatewayChain, GatewayListener, GatewayRoutes, GatewayView
from mesh.ir.services import ContainerPort
from mesh.ir.tracing import Sampling, Spans, Tracer, Tracing
from mesh.ir.views import Inbound, Outbound, ProxyView
from mesh.xds.listeners import outbound_listener
from mesh.xds.resources import CDS, LDS, RDS
from mesh.xds.snapshots import SnapshotBuilder
from mesh.xds.tracing import COLLECTOR, collector_cluster, with_tracer

TRACER = Tracer("collector:4317", "caller.shop", "shop")
SPANS = Spans(TRACER, Sampling(1.0))
VIEW = ProxyView(
    "shop",
    "caller",
    "10.0.0.1",
    (Inbound(15006, ContainerPort("http", 8080)), Inbound(15007, ContainerPort("tcp-db", 5432, "tcp"))),
    Outbound((), (), ()),
)


def build(builder, view):
    builder.begin()
    return builder.build(view)


def versions(snapshot, kind):
    return {name: resource.version for name, resource in snapshot.of(kind).items()}


@pytest.mark.parametrize("captured", [False, True])
def test_another_sampling_changes_routes_and_no_listener(captured):
    view = replace(VIEW, captured=captured, tracing=Tracing(SPANS, SPANS))
    builder = SnapshotBuilder()
    before = build(builder, view)
    more = Spans(TRACER, Sampling(100.0))
    after = build(builder, replace(view, tracing=Tracing(more, more)))
    assert versions(after, LDS) == versions(before, LDS)
    assert versions(after, CDS) == versions(before, CDS)
    changed = {name for name, version in versions(after, RDS).items() if versions(before, RDS)[name] != version}
    assert changed == set(after.of(RDS))


def test_without_tracing_nothing_of_it_is_there():
    snapshot = build(SnapshotBuilder(), VIEW)
    assert COLLECTOR not in snapshot.of(CDS)
    for resource in snapshot.of(RDS).values():
        assert not any(r.HasField("tracing") for host in resource.message.virtual_hosts for r in host.routes)


def test_pods_of_one_workload_share_the_routes_of_what_they_call():
    builder = SnapshotBuilder()
    builder.begin()
    first = builder.build(replace(VIEW, tracing=Tracing(SPANS, SPANS)))
    second = builder.build(replace(VIEW, pod="caller-2", address="10.0.0.2", tracing=Tracing(SPANS, SPANS)))
    assert first.of(RDS)["outbound"] is second.of(RDS)["outbound"]
    assert first.of(CDS)[COLLECTOR] is second.of(CDS)[COLLECTOR]


def manager(listener):
    found = hcm.HttpConnectionManager()
    listener.filter_chains[0].filters[0].typed_config.Unpack(found)
    router = router_pb2.Router()
    found.http_filters[-1].typed_config.Unpack(router)
    return found, router


def test_b3_headers_are_left_alone_where_nobody_wants_them():
    plain, router = manager(with_tracer(outbound_listener("10.0.0.1", (), ()), replace(TRACER, b3="off")))
    assert plain.HasField("tracing")
    for found in (plain.early_header_mutation_extensions[0], router.upstream_http_filters[0]):
        assert b"b3" not in found.typed_config.value
    known, router = manager(with_tracer(outbound_listener("10.0.0.1", (), ()), TRACER))
    for found in (known.early_header_mutation_extensions[0], router.upstream_http_filters[0]):
        assert b"b3" in found.typed_config.value
    assert router.upstream_http_filters[-1].name == "envoy.filters.http.upstream_codec"


@pytest.mark.parametrize(
    ("address", "host", "kind"),
    [
        ("10.0.0.9:4317", "10.0.0.9", cluster_pb2.Cluster.STATIC),
        ("[fd00::9]:4317", "fd00::9", cluster_pb2.Cluster.STATIC),
        ("tempo.observability:4317", "tempo.observability", cluster_pb2.Cluster.STRICT_DNS),
    ],
)
def test_the_collector_is_found_by_address_or_by_name(address, host, kind):
    cluster = collector_cluster(address)
    socket = cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address
    assert (socket.address, socket.port_value, cluster.type) == (host, 4317, kind)


def test_a_gateway_reports_what_it_sends_on():
    listener = GatewayListener(80, encrypted=False, chains=(GatewayChain("http.80", routes="http.80"),))
    view = GatewayView(
        "edge", "gate", "10.0.0.3", (listener,), (GatewayRoutes("http.80", 80, ()),), Outbound((), (), ())
    )
    builder = SnapshotBuilder()
    builder.begin()
    assert COLLECTOR not in builder.build_gateway(view).of(CDS)
    snapshot = builder.build_gateway(replace(view, tracing=Tracing(SPANS)))
    assert COLLECTOR in snapshot.of(CDS)
    found, _ = manager(snapshot.of(LDS)["gateway|80"].message)
    assert found.tracing.HasField("provider")
    (host,) = snapshot.of(RDS)["http.80"].message.virtual_hosts
    assert host.routes[0].tracing.random_sampling.numerator == 100
