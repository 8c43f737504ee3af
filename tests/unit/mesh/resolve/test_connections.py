"""TCP and TLS rules: which connections go where."""

from __future__ import annotations

from mesh.ir.services import Service, ServicePort
from mesh.ir.traffic import ClusterKey, Destination, TcpHost, TcpRoute
from mesh.resolve.rules import read_traffic_split, read_virtual_service
from mesh.resolve.world import World
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


def test_a_split_leaves_connections_alone():
    spec = {"service": "db", "backends": [{"service": "db", "weight": 50}, {"service": "db-new", "weight": 50}]}
    split = read_traffic_split(
        {"kind": "TrafficSplit", "metadata": {"name": "db", "namespace": "shop", "uid": "s"}, "spec": spec}
    )
    assert routes({"tcp": [{"route": [to()]}]}, split) == (TcpRoute((Destination(key(), 1),)),)


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
