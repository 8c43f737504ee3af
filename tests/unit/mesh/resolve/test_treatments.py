"""DestinationRules: inheritance, several for one host, whose are seen, and what authors are told."""

from __future__ import annotations

import pytest

from mesh.api.destinationrule import FULL_EJECTION_ANNOTATION
from mesh.ir.policies import ClientTls, HashKey, Keepalive, OutlierDetection, Policy, Warmup
from mesh.ir.services import Endpoint, Service, ServicePort, Workload
from mesh.ir.traffic import ClusterKey
from mesh.resolve.rules import read_destination_rule, read_traffic_split, read_virtual_service
from mesh.resolve.world import World

PORTS = (ServicePort("http", 80, 8080), ServicePort("admin", 9000, 9000))
PODS = (
    Endpoint("10.0.0.1", 8080, "a", labels=(("version", "v1"),)),
    Endpoint("10.0.0.2", 8080, "b", labels=(("version", "v2"),)),
)
SERVICES = {("shop", n): Service("shop", n, PORTS) for n in ("payment", "payment-canary", "cart")}


def dr(spec, *, name="rule", namespace="shop", created="2026-01-01T00:00:00Z", annotations=None):
    meta = {"name": name, "namespace": namespace, "uid": name, "creationTimestamp": created}
    spec = {"host": "payment.shop.svc.cluster.local", **spec}
    return read_destination_rule(
        {"kind": "DestinationRule", "metadata": {**meta, "annotations": annotations or {}}, "spec": spec}
    )


def policy_rule(policy, **more):
    return dr({"trafficPolicy": policy}, **more)


def world(*rules, **more):
    return World(SERVICES, {}, {("shop", "payment"): {80: PODS, 9000: PODS}}, destination_rules=rules, **more)


def upstream(world, *, namespace="shop", service="payment", port=80, subset="", labels=frozenset()):
    key = ClusterKey("shop", service, port, subset)
    return next(u for u in world.outbound(namespace, None, labels).upstreams if u.key == key)


def policy(*rules, **more):
    return upstream(world(*rules), **more).policy


def told(*rules):
    return [(p.ref.name, p.reason, p.message.partition(" ")[0].rstrip(":")) for p in world(*rules).problems]


POOL = {
    "tcp": {
        "maxConnections": 7,
        "connectTimeout": "1s",
        "tcpKeepalive": {"probes": 3, "time": "10s", "interval": "5s"},
        "idleTimeout": "20s",
        "maxConnectionDuration": "1h",
    },
    "http": {
        "http1MaxPendingRequests": 1,
        "http2MaxRequests": 2,
        "maxRequestsPerConnection": 3,
        "maxRetries": 4,
        "idleTimeout": "5s",
        "h2UpgradePolicy": "UPGRADE",
        "maxConcurrentStreams": 6,
    },
}


def test_every_limit_is_read():
    assert policy(policy_rule({"connectionPool": POOL})) == Policy(
        connect_timeout=1,
        max_connections=7,
        max_pending_requests=1,
        max_requests=2,
        max_requests_per_connection=3,
        max_retries=4,
        idle_timeout=5,
        keepalive=Keepalive(3, 10, 5),
        max_connection_duration=3600,
        tcp_idle_timeout=20,
        max_concurrent_streams=6,
        http2=True,
    )


def test_limits_of_zero_do_not_limit_and_the_callers_protocol_wins_over_the_upgrade():
    zero = {
        "tcp": {"maxConnections": 0},
        "http": {"http1MaxPendingRequests": 0, "http2MaxRequests": 0, "maxRetries": 0},
    }
    zero["http"] |= {"h2UpgradePolicy": "UPGRADE", "useClientProtocol": True}
    assert policy(policy_rule({"connectionPool": zero})) == Policy()


def test_without_an_idle_timeout_of_its_own_http_has_that_of_tcp():
    assert policy(policy_rule({"connectionPool": {"tcp": {"idleTimeout": "20s"}}})).idle_timeout == 20


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"simple": "LEAST_CONN"}, Policy()),
        ({"simple": "UNSPECIFIED"}, Policy()),
        ({"simple": "RANDOM"}, Policy(load_balancer="RANDOM")),
        ({"simple": "ROUND_ROBIN"}, Policy(load_balancer="ROUND_ROBIN")),
        (
            {"simple": "ROUND_ROBIN", "warmup": {"duration": "1m", "minimumPercent": 20, "aggression": 2}},
            Policy(load_balancer="ROUND_ROBIN", warmup=Warmup(60, 20, 2)),
        ),
        ({"warmupDurationSecs": "30s"}, Policy(warmup=Warmup(30))),
        (
            {"consistentHash": {"httpHeaderName": "X-User"}},
            Policy(load_balancer="RING_HASH", hash_key=HashKey("header", "x-user")),
        ),
        (
            {"consistentHash": {"httpCookie": {"name": "user", "path": "/", "ttl": "0s"}, "minimumRingSize": 99}},
            Policy(load_balancer="RING_HASH", hash_key=HashKey("cookie", "user", "/", 0), ring_size=99),
        ),
        (
            {"consistentHash": {"useSourceIp": True, "ringHash": {"minimumRingSize": 7}}},
            Policy(load_balancer="RING_HASH", hash_key=HashKey("source_ip"), ring_size=7),
        ),
        (
            {"consistentHash": {"httpQueryParameterName": "u", "maglev": {"tableSize": 1009}}},
            Policy(load_balancer="MAGLEV", hash_key=HashKey("query", "u"), ring_size=1009),
        ),
    ],
)
def test_load_balancers(wanted, found):
    assert policy(policy_rule({"loadBalancer": wanted})) == found


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"consistentHash": {}}, "needs one key"),
        ({"consistentHash": {"useSourceIp": True, "httpHeaderName": "a"}}, "needs one key"),
        ({"consistentHash": {"useSourceIp": True, "maglev": {"tableSize": 100}}}, "no prime number"),
        ({"consistentHash": {"useSourceIp": True, "maglev": {}, "ringHash": {}}}, "one of them"),
        ({"consistentHash": {"useSourceIp": True}, "simple": "RANDOM"}, "one of them"),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_fix(wanted, field):
    rule = policy_rule({"loadBalancer": wanted})
    assert rule.spec is None
    assert field in rule.problems[0].message
    assert rule.problems[0].message.startswith("spec.trafficPolicy.loadBalancer")


def test_outlier_detection_over_the_safe_defaults():
    wanted = {
        "consecutive5xxErrors": 7,
        "consecutiveGatewayErrors": 3,
        "splitExternalLocalOriginErrors": True,
        "consecutiveLocalOriginFailures": 4,
        "interval": "5s",
        "minHealthPercent": 40,
    }
    found = policy(policy_rule({"outlierDetection": wanted}))
    assert found.outlier_detection == OutlierDetection(7, 3, 5.0, 30.0, 50, 4)
    assert found.min_health_percent == 40


def test_nobody_ejects_more_than_half_unless_told_so_explicitly():
    wanted = {"outlierDetection": {"maxEjectionPercent": 100}}
    rule = policy_rule(wanted)
    assert policy(rule).outlier_detection.max_ejection_percent == 50
    assert told(rule) == [("rule", "Limited", "spec.trafficPolicy.outlierDetection.maxEjectionPercent")]
    allowed = policy_rule(wanted, annotations={FULL_EJECTION_ANNOTATION: "true"})
    assert policy(allowed).outlier_detection.max_ejection_percent == 100
    assert told(allowed) == []


def test_a_split_cannot_eject_more_than_half_either():
    meta = {"name": "payment", "namespace": "shop", "uid": "u"}
    spec = {"service": "payment", "backends": [{"service": "payment", "weight": 100}]}
    spec["outlierDetection"] = {"maxEjectionPercent": 80}
    split = read_traffic_split({"kind": "TrafficSplit", "metadata": meta, "spec": spec})
    found = upstream(world(traffic_splits=(split,))).policy
    assert found.outlier_detection.max_ejection_percent == 50


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"mode": "DISABLE"}, ClientTls("DISABLE")),
        ({"mode": "ISTIO_MUTUAL"}, ClientTls("ISTIO_MUTUAL")),
        ({"mode": "SIMPLE", "sni": "a.com", "subjectAltNames": ["b"]}, ClientTls("SIMPLE", names=("b",), sni="a.com")),
        ({"mode": "SIMPLE", "insecureSkipVerify": True}, ClientTls("SIMPLE", verify=False)),
        (
            {"mode": "MUTUAL", "clientCertificate": "/c", "privateKey": "/k", "caCertificates": "/a"},
            ClientTls("MUTUAL", "/c", "/k", "/a"),
        ),
    ],
)
def test_tls(wanted, found):
    rule = policy_rule({"tls": wanted})
    assert policy(rule).tls == found
    assert told(rule) == []


def test_a_subset_inherits_the_parts_that_it_does_not_name_and_replaces_the_others_whole():
    general = {"connectionPool": {"tcp": {"maxConnections": 5}}, "outlierDetection": {"interval": "1s"}}
    special = {"outlierDetection": {"consecutive5xxErrors": 9}}
    subsets = [{"name": "v1", "labels": {"version": "v1"}, "trafficPolicy": special}]
    found = upstream(world(dr({"trafficPolicy": general, "subsets": subsets})), subset="v1")
    assert [e.pod for e in found.endpoints] == ["a"]
    assert (found.policy.max_connections, found.policy.outlier_detection) == (5, OutlierDetection(consecutive_5xx=9))


def test_a_ports_settings_take_the_place_of_everything_and_a_subset_goes_over_them():
    ports = [{"port": {"number": 9000}, "loadBalancer": {"simple": "RANDOM"}}]
    general = {"connectionPool": {"tcp": {"maxConnections": 5}}, "portLevelSettings": ports}
    subset_ports = [{"port": {"number": 9000}, "connectionPool": {"tcp": {"maxConnections": 8}}}]
    subsets = [
        {"name": "v1", "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 6}}}},
        {"name": "v2", "trafficPolicy": {"portLevelSettings": subset_ports}},
    ]
    rule = dr({"trafficPolicy": general, "subsets": subsets})
    assert policy(rule, port=80) == Policy(max_connections=5)
    assert policy(rule, port=9000) == Policy(load_balancer="RANDOM")
    assert policy(rule, port=9000, subset="v1") == Policy(load_balancer="RANDOM", max_connections=6)
    assert policy(rule, port=9000, subset="v2") == Policy(max_connections=8)
    assert policy(rule, port=80, subset="v2") == Policy(max_connections=5)


def test_several_for_one_host_add_up_where_they_agree():
    old = dr({"subsets": [{"name": "v1", "labels": {"version": "v1"}}]}, name="old")
    pool, detection = {"connectionPool": {"tcp": {"maxConnections": 5}}}, {"outlierDetection": {"interval": "1s"}}
    middle = policy_rule(pool, name="middle", created="2026-02-01T00:00:00Z")
    young = dr(
        {"trafficPolicy": {**pool, **detection}, "subsets": [{"name": "v2", "labels": {"version": "v2"}}]},
        name="young",
        created="2026-03-01T00:00:00Z",
    )
    found = policy(young, middle, old, subset="v2")
    assert (found.max_connections, found.outlier_detection.interval) == (5, 1.0)
    assert policy(young, middle, old, subset="v1") == found
    assert told(young, middle, old) == []


def test_where_two_disagree_the_older_is_used_and_the_younger_told():
    old = dr(
        {
            "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}, "portLevelSettings": [{"port": {"number": 80}}]},
            "subsets": [{"name": "v1", "labels": {"version": "v1"}}],
        },
        name="old",
    )
    settings = [{"port": {"number": 80}, "loadBalancer": {"simple": "RANDOM"}}, {"port": {"number": 9000}}]
    young = dr(
        {
            "trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}, "portLevelSettings": settings},
            "subsets": [{"name": "v1", "labels": {"version": "v2"}}],
        },
        name="young",
        created="2026-03-01T00:00:00Z",
    )
    assert [e.pod for e in upstream(world(young, old), subset="v1").endpoints] == ["a"]
    assert told(young, old) == [
        ("young", "Shadowed", path)
        for path in ("spec.subsets[0]", "spec.trafficPolicy.loadBalancer", "spec.trafficPolicy.portLevelSettings[0]")
    ]


def limit(number):
    return {"connectionPool": {"tcp": {"maxConnections": number}}}


def test_the_callers_namespace_goes_first_and_export_to_keeps_a_rule_at_home():
    home = dr({"trafficPolicy": limit(1), "exportTo": ["."]}, name="home")
    web = policy_rule(limit(2), name="web", namespace="web")
    assert [policy(home, web, namespace=n).max_connections for n in ("shop", "web", "else")] == [1, 2, None]


def test_the_most_specific_host_goes_first():
    wide = dr({"host": "*.svc.cluster.local", "trafficPolicy": limit(1)}, name="wide")
    narrow = dr({"host": "*.shop.svc.cluster.local", "trafficPolicy": limit(2)}, name="narrow")
    exact = policy_rule(limit(3), name="exact")
    rules = (wide, narrow, exact)
    assert [policy(*rules, service=s).max_connections for s in ("cart", "payment")] == [2, 3]
    assert policy(wide, service="cart").max_connections == 1


def test_a_rule_may_be_for_some_callers_only():
    some = dr({"trafficPolicy": limit(2), "workloadSelector": {"matchLabels": {"app": "caller"}}}, name="some")
    everyone = policy_rule(limit(1), name="everyone")
    made = world(some, everyone)
    views = [made.scope(Workload("shop", "x", "10.0.0.9", labels=labels)) for labels in ((("app", "caller"),), ())]
    found = [next(u for u in made.outbound(*v).upstreams if u.key.service == "payment") for v in views]
    assert [u.policy.max_connections for u in found] == [2, 1]
    assert told(some, everyone) == []


def test_what_has_no_effect_is_told():
    rule = dr(
        {
            "trafficPolicy": {
                "loadBalancer": {"simple": "PASSTHROUGH", "localityLbSetting": {"enabled": True}},
                "outlierDetection": {"consecutiveLocalOriginFailures": 3},
                "tls": {"mode": "DISABLE", "caCertificates": "/a", "credentialName": "c"},
                "tunnel": {"targetHost": "a"},
                "proxyProtocol": {"version": "V1"},
            },
            "subsets": [
                {"name": "v1", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM", "warmup": {"duration": "1s"}}}},
                {"name": "v1"},
            ],
        }
    )
    policy_path = "spec.trafficPolicy"
    assert {(reason, path) for _, reason, path in told(rule)} == {
        ("NotImplemented", f"{policy_path}.loadBalancer.simple"),
        ("NotImplemented", f"{policy_path}.loadBalancer.localityLbSetting"),
        ("NoEffect", f"{policy_path}.outlierDetection.consecutiveLocalOriginFailures"),
        ("NoEffect", f"{policy_path}.tls.caCertificates"),
        ("NotImplemented", f"{policy_path}.tls.credentialName"),
        ("NotImplemented", f"{policy_path}.tunnel"),
        ("NotImplemented", f"{policy_path}.proxyProtocol"),
        ("NoEffect", "spec.subsets[0].trafficPolicy.loadBalancer.warmup"),
        ("Invalid", "spec.subsets[1].name"),
    }


def test_routes_know_what_their_destinations_hash_by():
    subsets = [
        {"name": "v1", "trafficPolicy": {"loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}}}},
        {"name": "v2"},
    ]
    route = [{"destination": {"host": "payment", "subset": s}, "weight": 50} for s in ("v1", "v2")]
    spec = {"hosts": ["payment"], "http": [{"route": route}, {"route": route[1:]}]}
    routing = read_virtual_service(
        {"kind": "VirtualService", "metadata": {"name": "r", "namespace": "shop"}, "spec": spec}
    )
    made = world(dr({"subsets": subsets}), virtual_services=(routing,))
    (host,) = (h for h in made.outbound("shop", None).virtual_hosts if h.host[1] == "payment" and h.port == 80)
    assert [r.hash_keys for r in host.routes[:2]] == [(HashKey("header", "x-user"),), ()]
