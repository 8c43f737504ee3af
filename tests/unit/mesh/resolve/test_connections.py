"""TCP and TLS rules: which connections go where."""

from __future__ import annotations

from dataclasses import replace

import pytest
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from mesh.ir.services import Endpoint, Service, ServicePort
from mesh.ir.traffic import ClusterKey, Destination, TcpHost, TcpRoute
from mesh.resolve.rules import read_destination_rule, read_traffic_split, read_virtual_service
from mesh.resolve.splits import NOT_JUDGED
from mesh.resolve.world import World
from mesh.xds.clusters import upstream_cluster
from mesh.xds.discovery import endpoints
from mesh.xds.tcproutes import tcp_chains

PORT = ServicePort("tcp-db", 5432, 5432, "tcp")
SERVICES = {
    ("shop", name): Service("shop", name, (PORT,), addresses=(ip,))
    for name, ip in (("db", "10.96.0.10"), ("db-new", "10.96.0.11"))
}


def to(host="db", **more):
    return {"destination": {"host": host}, **more}


def world(spec, *splits):
    meta = {"name": "db", "namespace": "shop", "uid": "db"}
    rule = read_virtual_service({"kind": "VirtualService", "metadata": meta, "spec": {"hosts": ["db"], **spec}})
    return World(SERVICES, {}, {}, (rule,), (), splits)


def routes(spec, *splits, labels=frozenset()):
    (host,) = (h for h in world(spec, *splits).outbound("shop", None, labels).tcp_hosts if h.cluster.service == "db")
    return host.routes


def key(service="db"):
    return ClusterKey("shop", service, 5432)


def test_a_tcp_rule_shares_connections():
    assert routes({"tcp": [{"route": [to(weight=80), to("db-new", weight=20)]}]}) == (
        TcpRoute((Destination(key(), 4), Destination(key("db-new"), 1))),
    )


def test_rules_for_other_ports_and_callers_are_left_out():
    others = [{"port": 1}, {"sourceNamespace": "web"}, {"sourceLabels": {"tier": "web"}}]
    spec = {"tcp": [{"match": others, "route": [to("db-new")]}]}
    assert routes(spec) == ()
    assert len(routes(spec, labels=frozenset({("tier", "web")}))) == 1


def test_a_rule_without_weight_takes_nothing():
    assert routes({"tcp": [{"route": [to(weight=0), to("db-new", weight=0)]}]}) == ()


def test_tls_rules_are_told_apart_by_server_name():
    tls = [{"match": [{"sniHosts": ["A.example.com"]}], "route": [to("db-new")]}]
    (route,) = routes({"tls": tls})
    assert route.names == ("a.example.com",)


def test_a_cluster_that_only_a_tcp_rule_names_is_told_to_the_caller():
    outbound = world({"tcp": [{"route": [to("db-new")]}]}).outbound("shop", ("db",))
    assert {u.key.service for u in outbound.upstreams} == {"db", "db-new"}


def split(**weights):
    backends = [{"service": s.replace("_", "-"), "weight": w} for s, w in weights.items()]
    meta = {"name": "db", "namespace": "shop", "uid": "s"}
    return read_traffic_split(
        {"kind": "TrafficSplit", "metadata": meta, "spec": {"service": "db", "backends": backends}}
    )


def pods(service, *numbers, **labels):
    return {5432: tuple(Endpoint(f"10.1.0.{n}", 5432, f"{service}-{n}", labels=tuple(labels.items())) for n in numbers)}


PODS = {("shop", "db"): pods("db", 1, 2, tier="a"), ("shop", "db-new"): pods("db-new", 3)}
SUBSET = {"kind": "DestinationRule", "metadata": {"name": "db", "namespace": "shop"}}
SUBSET["spec"] = {"host": "db", "subsets": [{"name": "none", "labels": {"tier": "b"}}]}


def upstream(split, subset="", endpoints=PODS):
    made = World(SERVICES, {}, endpoints, (), (read_destination_rule(SUBSET),), (split,))
    (found,) = (u for u in made.outbound("shop", ("db",)).upstreams if u.key == replace(key(), subset=subset))
    return found


def test_a_split_shares_new_connections_by_endpoints_alone():
    rule = {"tcp": [{"route": [to()]}]}
    assert routes(rule, split(db=50, db_new=50)) == (TcpRoute((Destination(key(), 1),)),)
    found = upstream(split(db=90, db_new=10))
    assert [(s.service, s.weight, [e.pod for e in s.endpoints]) for s in found.shares] == [
        ("db", 90, ["db-1", "db-2"]),
        ("db-new", 10, ["db-new-3"]),
    ]
    ten, all_ = (upstream_cluster(upstream(split(db=100 - w, db_new=w))) for w in (10, 100))
    assert ten == all_
    assert ten.common_lb_config.HasField("locality_weighted_lb_config")


def test_a_backend_without_weight_keeps_its_endpoints_for_connections_that_are_open():
    old, new = endpoints(upstream(split(db=0, db_new=100))).endpoints
    assert len(old.lb_endpoints) == 2
    assert not old.HasField("load_balancing_weight")
    assert new.load_balancing_weight.value == 100
    assert (old.locality.sub_zone, new.locality.sub_zone) == ("db", "db-new")


def test_the_hosts_own_share_of_a_subset_is_that_subset():
    found = upstream(split(db=90, db_new=10), subset="none")
    assert [[e.pod for e in s.endpoints] for s in found.shares] == [[], ["db-new-3"]]


def test_a_pod_of_two_backends_is_in_one_share():
    both = {**PODS, ("shop", "db-new"): PODS["shop", "db"]}
    assert [len(s.endpoints) for s in upstream(split(db=90, db_new=10), endpoints=both).shares] == [2, 0]


def test_a_host_that_is_not_split_is_as_ever():
    assert upstream(read_traffic_split({"metadata": {"name": "x", "namespace": "shop"}, "spec": {}})).shares == ()


def test_a_split_of_connections_is_applied_and_its_author_told_that_nobody_judges_them():
    (problem,) = world({}, split(db=90, db_new=10)).problems
    assert problem.reason == NOT_JUDGED
    assert "port 5432 of db is not HTTP" in problem.message


def test_http_that_is_sent_to_a_port_of_connections_is_split_once():
    http = {"route": [{"destination": {"host": "db", "port": {"number": 5432}}}]}
    meta = {"name": "web", "namespace": "shop", "uid": "w"}
    rule = read_virtual_service(
        {"kind": "VirtualService", "metadata": meta, "spec": {"hosts": ["web.example.com"], "http": [http]}}
    )
    made = World(SERVICES, {}, PODS, (rule,), (), (split(db=90, db_new=10),))
    (host,) = made.outbound("shop", None).virtual_hosts
    assert [d.cluster for d in host.routes[0].destinations] == [key()]


def rule(host, idle):
    meta = {"name": host, "namespace": "shop", "uid": host}
    pool = {"connectionPool": {"tcp": {"idleTimeout": idle}}}
    return read_destination_rule(
        {"kind": "DestinationRule", "metadata": meta, "spec": {"host": host, "trafficPolicy": pool}}
    )


def idle(*rules, **spec):
    """Return when the listener ends idle connections to db; None for Envoy's hour."""
    meta = {"name": "db", "namespace": "shop", "uid": "db"}
    virtual = read_virtual_service({"kind": "VirtualService", "metadata": meta, "spec": {"hosts": ["db"], **spec}})
    made = World(SERVICES, {}, {}, (virtual,), rules)
    (host,) = (h for h in made.outbound("shop", None).tcp_hosts if h.cluster.service == "db")
    proxy = tcp_proxy_pb2.TcpProxy()
    tcp_chains(host, "10.96.0.10")[1].filters[0].typed_config.Unpack(proxy)
    return proxy.idle_timeout.ToSeconds() if proxy.HasField("idle_timeout") else None


@pytest.mark.parametrize(
    ("rules", "spec", "seconds"),
    [
        ((), {}, None),
        ((rule("db", "20s"),), {}, 20),
        ((rule("db", "0s"),), {}, 0),
        ((rule("db-new", "20s"),), {}, None),
        ((rule("db-new", "20s"),), {"tcp": [{"route": [to("db-new")]}]}, 20),
        ((rule("db-new", "20s"),), {"tcp": [{"route": [to(weight=50), to("db-new", weight=50)]}]}, 3600),
        ((rule("db", "5s"), rule("db-new", "20s")), {"tcp": [{"route": [to(weight=5), to("db-new", weight=5)]}]}, 20),
        ((rule("db", "0s"), rule("db-new", "20s")), {"tcp": [{"route": [to(weight=5), to("db-new", weight=5)]}]}, 0),
    ],
)
def test_idle_connections_end_as_the_destination_rule_says(rules, spec, seconds):
    assert idle(*rules, **spec) == seconds


def chains(*found):
    host = TcpHost(key(), ("10.96.0.10",), found)
    tls, rest = tcp_chains(host, "10.96.0.10")
    return [list(c.filter_chain_match.server_names) for c in tls], rest


def one(service, **more):
    return TcpRoute((Destination(key(service), 1),), **more)


def test_the_first_rule_for_a_name_has_it():
    names, _ = chains(one("db", names=("a.b", "*.b")), one("db-new", names=("a.b", "c")), one("db", names=("*",)))
    assert names == [["a.b", "*.b"], ["c"], []]


def test_a_rule_for_another_network_is_not_used():
    _, rest = chains(one("db-new", subnets=("192.168.0.0/16",)))
    assert key("db").name in str(rest.filters[0].typed_config.value)
    _, rest = chains(one("db-new", subnets=("10.0.0.0/8",)))
    assert key("db-new").name in str(rest.filters[0].typed_config.value)
