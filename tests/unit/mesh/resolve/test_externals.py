"""ServiceEntries and Sidecars: what callers can reach, and what authors are told."""

from __future__ import annotations

import pytest

from mesh.ir.policies import ClientTls
from mesh.ir.services import Endpoint, Service, ServicePort, Workload
from mesh.ir.traffic import ClusterKey, Destination
from mesh.resolve.rules import read_destination_rule, read_service_entry, read_sidecar, read_virtual_service
from mesh.resolve.world import World

PORT = ServicePort("http", 80, 8080)
SERVICES = {k: Service(*k, (PORT,)) for k in (("shop", "payment"), ("shop", "cart"), ("web", "site"))}
HTTP = {"number": 80, "name": "http", "protocol": "HTTP"}
HOST = ("", "api.example.com")


def manifest(kind, spec, name, namespace="shop", created="2026-01-01T00:00:00Z"):
    meta = {"name": name, "namespace": namespace, "uid": name, "creationTimestamp": created}
    return {"kind": kind, "metadata": meta, "spec": spec}


def entry(name="entry", **spec):
    where = {k: spec.pop(k) for k in ("namespace", "created") if k in spec}
    spec = {"hosts": ["api.example.com"], "ports": [HTTP], "resolution": "DNS", **spec}
    return read_service_entry(manifest("ServiceEntry", spec, name, **where))


def sidecar(name="sidecar", **spec):
    where = {k: spec.pop(k) for k in ("namespace", "created") if k in spec}
    return read_sidecar(manifest("Sidecar", spec, name, **where))


def world(*entries, sidecars=(), routing=(), treatment=()):
    return World(
        SERVICES,
        {},
        {},
        virtual_services=routing,
        destination_rules=treatment,
        service_entries=entries,
        sidecar_resources=sidecars,
    )


def upstream(made, *, host=HOST, port=80, subset="", namespace="shop"):
    return next(u for u in made.outbound(namespace, None).upstreams if u.key == ClusterKey(*host, port, subset))


def names(made, namespace="shop", egress=None, labels=frozenset()):
    return [v.host[1] for v in made.outbound(namespace, egress, labels).virtual_hosts]


def told(made):
    return [(p.ref.name, p.reason, p.message.partition(" ")[0].rstrip(":")) for p in made.problems]


def test_a_host_is_looked_up_and_called_by_its_name():
    made = world(entry(ports=[{**HTTP, "targetPort": 8443}]))
    found = upstream(made)
    assert found.key.name == "outbound|80||api.example.com"
    assert (found.discovery, found.endpoints) == ("dns", (Endpoint("api.example.com", 8443),))
    (host,) = (v for v in made.outbound("shop", None).virtual_hosts if v.host == HOST)
    assert host.domains == ("api.example.com", "api.example.com:80")
    assert host.routes[0].destinations == (Destination(found.key, 1),)


@pytest.mark.parametrize(("resolution", "discovery"), [("DNS_ROUND_ROBIN", "dns-round-robin"), ("NONE", "request")])
def test_other_ways_to_find_an_address(resolution, discovery):
    assert upstream(world(entry(resolution=resolution))).discovery == discovery


def test_endpoints_have_their_own_ports_weights_and_labels():
    endpoints = [
        {"address": "10.0.0.1", "ports": {"http": 9090}, "weight": 3, "labels": {"version": "v1"}},
        {"address": "10.0.0.2"},
    ]
    rule = manifest(
        "DestinationRule", {"host": HOST[1], "subsets": [{"name": "v1", "labels": {"version": "v1"}}]}, "dr"
    )
    made = world(entry(resolution="STATIC", endpoints=endpoints), treatment=(read_destination_rule(rule),))
    first = Endpoint("10.0.0.1", 9090, labels=(("version", "v1"),), version="v1", weight=3)
    assert upstream(made).endpoints == (first, Endpoint("10.0.0.2", 80))
    assert upstream(made, subset="v1").endpoints == (first,)


def test_a_subset_without_endpoints_is_not_looked_up():
    rule = manifest(
        "DestinationRule", {"host": HOST[1], "subsets": [{"name": "v1", "labels": {"version": "v1"}}]}, "dr"
    )
    made = world(entry(resolution="DNS_ROUND_ROBIN"), treatment=(read_destination_rule(rule),))
    assert (upstream(made, subset="v1").discovery, upstream(made, subset="v1").endpoints) == ("eds", ())


def test_names_of_the_certificate_go_to_the_rule_that_originates_tls():
    spec = {"host": HOST[1], "trafficPolicy": {"tls": {"mode": "SIMPLE"}}}
    rule = read_destination_rule(manifest("DestinationRule", spec, "dr"))
    made = world(entry(subjectAltNames=["a.example"]), treatment=(rule,))
    assert upstream(made).policy.tls == ClientTls("SIMPLE", names=("a.example",))


def test_a_route_may_lead_out_of_the_cluster():
    spec = {"hosts": ["payment"], "http": [{"route": [{"destination": {"host": HOST[1], "port": {"number": 80}}}]}]}
    made = world(entry(), routing=(read_virtual_service(manifest("VirtualService", spec, "vs")),))
    (host,) = (v for v in made.outbound("shop", None).virtual_hosts if v.host == ("shop", "payment"))
    assert host.routes[0].destinations == (Destination(ClusterKey(*HOST, 80), 1),)


def test_an_entry_is_for_those_that_it_is_exported_to_and_ones_own_goes_first():
    home = entry("home", namespace="web", exportTo=["."])
    everyone = entry("everyone", namespace="else", ports=[{**HTTP, "targetPort": 1}])
    own = entry("own", created="2026-02-01T00:00:00Z", ports=[{**HTTP, "targetPort": 2}])
    made = world(home, everyone, own)
    ports = {n: upstream(made, namespace=n).endpoints[0].port for n in ("web", "shop", "other")}
    assert ports == {"web": 80, "shop": 2, "other": 1}


def test_a_service_and_an_older_entry_go_first_and_the_author_is_told():
    old = entry("old")
    young = entry("young", created="2026-02-01T00:00:00Z", hosts=["API.example.com.", "payment.shop.svc.cluster.local"])
    made = world(old, young)
    assert told(made) == [("young", "Shadowed", "spec.hosts[0]"), ("young", "Shadowed", "spec.hosts[1]")]
    assert names(made) == ["api.example.com", "cart", "payment", "site"]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"hosts": ["*"]}, "spec.hosts"),
        ({"hosts": []}, "spec.hosts"),
        ({"resolution": "STATIC"}, "spec.endpoints"),
        ({"resolution": "STATIC", "endpoints": [{"address": "a.b"}]}, "spec.endpoints[0].address"),
        ({"resolution": "STATIC", "endpoints": [{"address": "unix:///a"}]}, "spec.endpoints[0].address"),
        ({"resolution": "NONE", "endpoints": [{"address": "10.0.0.1"}]}, "spec.endpoints"),
        ({"resolution": "DNS", "hosts": ["*.example.com"]}, "spec.hosts"),
        ({"resolution": "DNS_ROUND_ROBIN", "endpoints": [{"address": "a"}, {"address": "b"}]}, "spec.endpoints"),
        ({"ports": [HTTP, HTTP]}, "spec.ports"),
        ({"ports": [{**HTTP, "number": 0}]}, "spec.ports[0].number"),
    ],
)
def test_what_cannot_be_is_refused_by_its_path(spec, path):
    rule = entry(**spec)
    assert rule.spec is None
    assert rule.problems[0].message.startswith(f"{path}:")


def test_what_has_no_effect_is_told():
    tcp = {"number": 5432, "name": "db", "protocol": "TCP"}
    rule = entry(
        resolution="NONE", ports=[tcp], addresses=["10.0.0.0/8"], location="MESH_INTERNAL", workloadSelector={}
    )
    assert {(reason, path) for _, reason, path in told(world(rule))} == {
        ("NoEffect", "spec.addresses[0]"),
        ("NotImplemented", "spec.ports[0]"),
        ("NoEffect", "spec.location"),
        ("NotImplemented", "spec.workloadSelector"),
    }


@pytest.mark.parametrize(
    ("patterns", "known"),
    [
        (["*/*"], ["api.example.com", "cart", "payment", "site"]),
        (["./*"], ["api.example.com", "cart", "payment"]),
        (["web/*"], ["site"]),
        (["*/*.example.com"], ["api.example.com"]),
        (["shop/payment.shop.svc.cluster.local", "web/*"], ["payment", "site"]),
        (["web/payment.shop.svc.cluster.local"], []),
        (["~/*"], []),
    ],
)
def test_a_sidecar_says_which_hosts_are_known(patterns, known):
    made = world(entry(), sidecars=(sidecar(egress=[{"hosts": patterns}]),))
    assert names(made) == known
    assert {u.key.service for u in made.outbound("shop", None).upstreams} == set(known)
    assert names(made, "web") == ["api.example.com", "cart", "payment", "site"]


def test_what_a_known_host_leads_to_comes_with_it():
    spec = {"hosts": ["payment"], "http": [{"route": [{"destination": {"host": "site.web"}}]}]}
    routing = (read_virtual_service(manifest("VirtualService", spec, "vs")),)
    scope = sidecar(egress=[{"hosts": ["./payment.shop.svc.cluster.local"]}])
    made = world(sidecars=(scope,), routing=routing)
    assert names(made) == ["payment"]
    assert {u.key.service for u in made.outbound("shop", None).upstreams} == {"payment", "site"}


def test_the_sidecar_that_selects_a_pod_goes_before_that_of_the_namespace():
    general = sidecar("general", egress=[{"hosts": ["./*"]}])
    special = sidecar("special", egress=[{"hosts": ["web/*"]}], workloadSelector={"labels": {"app": "caller"}})
    made = world(sidecars=(general, special))
    pods = [Workload("shop", "x", "10.0.0.9", labels=labels) for labels in ((("app", "caller"), ("a", "b")), ())]
    assert [names(made, *made.scope(pod)) for pod in pods] == [["site"], ["cart", "payment"]]


def test_what_a_pod_says_itself_goes_before_the_sidecar():
    made = world(sidecars=(sidecar(egress=[{"hosts": ["web/*"]}]),))
    assert names(made, "shop", ("cart",)) == ["cart"]


@pytest.mark.parametrize("mode", ["ALLOW_ANY", "REGISTRY_ONLY"])
def test_what_becomes_of_other_hosts(mode):
    made = world(sidecars=(sidecar(outboundTrafficPolicy={"mode": mode}),))
    assert made.outbound("shop", None).unknown == mode
    assert made.outbound("web", None).unknown is None
    assert names(made) == ["cart", "payment", "site"]


def test_of_two_sidecars_for_the_same_pods_the_older_is_used_and_the_other_told():
    old, young = sidecar("old", egress=[{"hosts": ["web/*"]}]), sidecar("young", created="2026-02-01T00:00:00Z")
    made = world(sidecars=(young, old))
    assert names(made) == ["site"]
    assert told(made) == [("young", "Shadowed", "spec.workloadSelector")]


def test_fields_of_a_sidecar_that_are_not_implemented_are_told():
    egress = [{"hosts": ["./*"], "port": {"number": 80}, "bind": "127.0.0.1", "captureMode": "NONE"}]
    rule = sidecar(egress=egress, ingress=[{}], inboundConnectionPool={}, outboundTrafficPolicy={"egressProxy": {}})
    assert {path for _, _, path in told(world(sidecars=(rule,)))} == {
        "spec.egress[0].port",
        "spec.egress[0].bind",
        "spec.egress[0].captureMode",
        "spec.ingress",
        "spec.inboundConnectionPool",
        "spec.outboundTrafficPolicy.egressProxy",
    }
