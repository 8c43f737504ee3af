"""VirtualServices and DestinationRules: what is read, what is told, and which of several is used."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mesh.ir.services import ContainerPort, Endpoint, Service, ServicePort, Workload
from mesh.ir.traffic import ClusterKey, Destination, Match, OutlierDetection, Retries, StringMatch
from mesh.resolve.rules import read_destination_rule, read_traffic_split, read_virtual_service
from mesh.resolve.world import World

PORT = ServicePort("http", 80, 8080)
SERVICES = {("shop", n): Service("shop", n, (PORT,)) for n in ("payment", "payment-canary")}
PODS = {
    80: (
        Endpoint("10.0.0.1", 15006, "a", labels=(("tier", "gold"),)),
        Endpoint("10.0.0.2", 15006, "b", labels=(("tier", "lead"),)),
    )
}


def manifest(kind, spec, *, name="rule", namespace="shop", created="2026-01-01T00:00:00Z"):
    meta = {"name": name, "namespace": namespace, "uid": name, "creationTimestamp": created}
    return {"kind": kind, "metadata": meta, "spec": spec}


def vs(spec, **meta):
    return read_virtual_service(manifest("VirtualService", spec, **meta))


def dr(spec, **meta):
    return read_destination_rule(manifest("DestinationRule", spec, **meta))


def ts(**weights):
    backends = [{"service": n.replace("_", "-"), "weight": w} for n, w in weights.items()]
    spec = {"service": "payment", "backends": backends, "outlierDetection": {"consecutive5xxErrors": 9}}
    return read_traffic_split(manifest("TrafficSplit", spec))


def world(*, routing=(), treatment=(), splits=()):
    return World(SERVICES, {}, {("shop", "payment"): PODS}, tuple(routing), tuple(treatment), tuple(splits))


def routes(world, namespace="shop"):
    (host,) = (h for h in world.outbound(namespace, None).virtual_hosts if h.host == ("shop", "payment"))
    return host.routes


def upstream(world, service="payment", subset="", namespace="shop"):
    (found,) = (
        u for u in world.outbound(namespace, None).upstreams if (u.key.service, u.key.subset) == (service, subset)
    )
    return found


def to(service="payment", **more):
    return {"destination": {"host": service, **more}}


def test_a_rule_becomes_a_route_for_each_match():
    uri, header = {"exact": "/a"}, {"X-Team": {"regex": "a|b"}, "x-there": {}}
    spec = {
        "hosts": ["payment"],
        "http": [
            {
                "match": [{"uri": uri, "method": {"exact": "GET"}}, {"headers": header}],
                "route": [to(subset="gold")],
                "timeout": "2s",
                "retries": {"attempts": 3, "perTryTimeout": "500ms", "retryOn": "5xx, reset"},
            }
        ],
    }
    first, second, last = routes(world(routing=[vs(spec)]))
    assert first.match == Match(StringMatch("exact", "/a"), (), StringMatch("exact", "GET"))
    assert second.match == Match(headers=(("x-team", StringMatch("regex", "a|b")), ("x-there", None)))
    assert first.destinations == second.destinations == (Destination(ClusterKey("shop", "payment", 80, "gold"), 1),)
    assert (first.timeout, first.retries) == (2.0, Retries(3, 0.5, ("5xx", "reset")))
    assert last.refusal is not None
    assert (last.refusal.status, "shop/rule" in last.refusal.body) == (404, True)


def test_without_a_rule_there_is_no_time_limit_and_only_what_never_arrived_is_tried_again():
    (route,) = routes(world())
    assert route.timeout is None
    assert route.retries == Retries(2, None, ("connect-failure", "refused-stream", "unavailable", "cancelled"))


def test_a_split_leaves_match_timeout_and_retries_alone():
    http = {"match": [{"uri": {"prefix": "/a"}}], "route": [to()], "timeout": "1s", "retries": {"attempts": 0}}
    rules = [vs({"hosts": ["payment"], "http": [http]})]
    plain, _ = routes(world(routing=rules))
    *split, _ = routes(world(routing=rules, splits=[ts(payment=90, payment_canary=10)]))
    assert split[-1].match == plain.match
    for route in split:
        assert (route.match.uri, route.timeout, route.retries) == (plain.match.uri, plain.timeout, plain.retries)
        assert [d.weight for d in route.destinations] == [9, 1]


def test_a_match_with_an_unknown_part_never_matches_and_is_told():
    rule = vs({"hosts": ["payment"], "http": [{"match": [{"cookies": {"a": {"exact": "b"}}}], "route": [to()]}]})
    assert [p.message.partition(" ")[0] for p in rule.problems] == ["spec.http[0].match[0].cookies"]
    (only,) = routes(world(routing=[rule]))
    assert only.refusal is not None


def test_a_rule_with_nothing_that_we_implement_answers_so():
    rule = vs({"hosts": ["payment"], "http": [{"teleport": {"uri": "/b"}}]})
    (only,) = routes(world(routing=[rule]))
    assert only.refusal is not None
    assert (only.refusal.status, "spec.http[0]" in only.refusal.body) == (501, True)


def test_unknown_fields_are_told_by_their_path():
    spec = {
        "host": "payment",
        "trafficPolicy": {"tunnel": {"targetHost": "a"}, "outlierDetection": {"x": 1}},
        "y": 1,
    }
    told = {p.message.partition(" ")[0] for p in dr(spec).problems}
    assert told == {"spec.y", "spec.trafficPolicy.tunnel", "spec.trafficPolicy.outlierDetection.x"}


def test_a_bad_rule_is_not_used_and_says_which_field():
    rule = vs({"hosts": ["payment"], "http": [{"timeout": "soon", "route": [to()]}]})
    assert rule.spec is None
    assert rule.problems[0].message.startswith("spec.http[0].timeout: ")
    assert routes(world(routing=[rule])) == routes(world())


def test_of_two_rules_for_one_host_the_older_is_used_and_the_other_told():
    http = [{"route": [to()], "name": "old"}]
    old = vs({"hosts": ["payment"], "http": http}, name="old")
    young = vs({"hosts": ["payment.shop"], "http": [{"route": [to()]}]}, name="young", created="2026-02-01T00:00:00Z")
    found = world(routing=[young, old])
    assert routes(found)[0].name == "old"
    assert [(p.ref.name, p.reason) for p in found.problems] == [("young", "Shadowed")]


def test_callers_rules_go_before_the_services_and_stay_in_their_namespace():
    theirs = vs(
        {"hosts": ["payment.shop"], "http": [{"name": "theirs", "route": [to("payment.shop")]}]}, namespace="web"
    )
    ours = vs({"hosts": ["payment"], "http": [{"name": "ours", "route": [to()]}]})
    found = world(routing=[theirs, ours])
    assert [routes(found, n)[0].name for n in ("web", "shop", "else")] == ["theirs", "ours", "ours"]
    assert found.problems == ()


def test_every_cluster_has_the_safe_outlier_detection():
    assert upstream(world()).policy.outlier_detection == OutlierDetection(5, 0, 30.0, 30.0, 50)


def test_a_splits_outlier_detection_goes_to_its_backends_under_what_a_rule_says():
    splits = [ts(payment=90, payment_canary=10)]
    rule = dr({"host": "payment", "trafficPolicy": {"outlierDetection": {"interval": "5s"}}})
    found = upstream(world(treatment=[rule], splits=splits)).policy.outlier_detection
    assert (found.consecutive_5xx, found.interval) == (9, 5.0)


def test_a_canary_is_treated_like_its_host_unless_it_has_its_own_rule():
    splits = [ts(payment=90, payment_canary=10)]
    limits = {"connectionPool": {"tcp": {"maxConnections": 7}}}
    rule = dr({"host": "payment", "trafficPolicy": limits})
    assert upstream(world(treatment=[rule], splits=splits), "payment-canary").policy.max_connections == 7
    assert upstream(world(treatment=[rule]), "payment-canary").policy.max_connections is None
    own = dr({"host": "payment-canary"}, name="own")
    assert upstream(world(treatment=[rule, own], splits=splits), "payment-canary").policy.max_connections is None


def test_a_subset_has_its_pods_and_its_own_policy_over_the_hosts():
    subset = {"name": "gold", "labels": {"tier": "gold"}, "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}
    spec = {
        "host": "payment",
        "subsets": [subset],
        "trafficPolicy": {"connectionPool": {"tcp": {"connectTimeout": "1s"}}},
    }
    found = upstream(world(treatment=[dr(spec)]), subset="gold")
    assert [e.pod for e in found.endpoints] == ["a"]
    assert (found.policy.load_balancer, found.policy.connect_timeout) == ("RANDOM", 1.0)


def test_a_pod_that_says_whom_it_calls_gets_only_those_and_their_backends():
    outbound = world(splits=[ts(payment=90, payment_canary=10)]).outbound("shop", ("payment",))
    assert [h.host for h in outbound.virtual_hosts] == [("shop", "payment")]
    assert [u.key.service for u in outbound.upstreams] == ["payment", "payment-canary"]
    assert not outbound.carries(("shop", "payment-canary"))


def test_a_view_has_the_pods_own_ports():
    ports = (ContainerPort("web", 8080), ContainerPort("admin", 9000), ContainerPort("metrics", 9100))
    pod = Workload("shop", "a", "10.0.0.1", ports=ports, meshed=True)
    assert [(i.listen, i.target.number) for i in world().view(pod).inbound] == [
        (15006, 8080),
        (15100, 9000),
        (15101, 9100),
    ]
    captured = replace(pod, captured=True, bypassed=frozenset({9100}))
    view = world().view(captured)
    assert view.captured
    assert [(i.listen, i.target.number) for i in view.inbound] == [(0, 0), (8080, 8080), (9000, 9000)]


@pytest.mark.parametrize(
    ("pod", "entries"),
    [
        ({"meshed": False}, {8080: None, 7: None}),
        ({"meshed": True}, {8080: 15006, 7: None}),
        ({"meshed": True, "captured": True}, {8080: 8080, 7: 7}),
        ({"meshed": True, "captured": True, "bypassed": frozenset({8080})}, {8080: None, 7: 7}),
    ],
)
def test_callers_know_which_port_leads_to_the_sidecar(pod, entries):
    workload = Workload("shop", "a", "10.0.0.1", ports=(ContainerPort("web", 8080),), **pod)
    assert {number: workload.entry(number) for number in entries} == entries
