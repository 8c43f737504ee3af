"""Actions of a rule, as routes carry them."""

from __future__ import annotations

import pytest

from mesh.ir.actions import Answer, Cors, Fault, HeaderOperations, Redirect, Rewrite
from mesh.ir.matching import StringMatch
from mesh.ir.services import Service, ServicePort
from mesh.ir.traffic import ClusterKey, Destination, Mirror
from mesh.resolve.regexes import rewrite_problem
from mesh.resolve.rules import read_traffic_split, read_virtual_service
from mesh.resolve.world import World

PORTS = (ServicePort("http", 80, 8080), ServicePort("http-admin", 9000, 9000))
SERVICES = {("shop", n): Service("shop", n, PORTS) for n in ("payment", "payment-canary", "audit")}
TO = {"route": [{"destination": {"host": "payment"}}]}


def made(http, *, port=80, split=False):
    """Return the first route of payment and what the author is told."""
    meta = {"name": "rule", "namespace": "shop", "uid": "rule"}
    rule = read_virtual_service(
        {"kind": "VirtualService", "metadata": meta, "spec": {"hosts": ["payment"], "http": [http]}}
    )
    assert rule.spec is not None, rule.problems
    backends = [{"service": "payment", "weight": 90}, {"service": "payment-canary", "weight": 10}]
    spec = {"service": "payment", "backends": backends}
    splits = [read_traffic_split({"kind": "TrafficSplit", "metadata": meta, "spec": spec})] if split else []
    world = World(SERVICES, {}, {}, (rule,), (), tuple(splits))
    (host,) = (
        h for h in world.outbound("shop", None).virtual_hosts if h.host == ("shop", "payment") and h.port == port
    )
    return host.routes[0], [p.message for p in rule.problems]


def cluster(service="payment", port=80):
    return ClusterKey("shop", service, port)


@pytest.mark.parametrize(
    ("redirect", "wanted"),
    [
        ({"uri": "/a"}, Redirect(path="/a")),
        ({"authority": "b", "redirectCode": 302, "port": 8443}, Redirect(authority="b", status=302, port=8443)),
        ({"scheme": "https", "derivePort": "FROM_PROTOCOL_DEFAULT"}, Redirect(scheme="https", port=443)),
        ({"derivePort": "FROM_REQUEST_PORT"}, Redirect(port=9000)),
    ],
)
def test_a_redirect(redirect, wanted):
    route, told = made({"redirect": redirect}, port=9000)
    assert (route.redirect, route.destinations, route.answered_by_proxy, told) == (wanted, (), True, [])


def test_a_direct_response():
    route, _ = made({"directResponse": {"status": 418, "body": {"string": "tea"}}})
    assert (route.answer, route.answered_by_proxy) == (Answer(418, b"tea"), True)


def test_what_has_no_effect_beside_an_answer_is_told():
    _, told = made({"directResponse": {"status": 200}, "timeout": "1s", "mirror": {"host": "audit"}})
    assert [t.partition(" has no effect")[0] for t in told] == ["spec.http[0].timeout", "spec.http[0].mirror"]


def test_rewrites():
    assert made({**TO, "rewrite": {"uri": "/a"}})[0].rewrite == Rewrite("/a")
    route, _ = made({**TO, "rewrite": {"authority": "b", "uriRegexRewrite": {"match": "(a)", "rewrite": r"\1"}}})
    assert (route.rewrite, route.changes.authority) == (Rewrite(pattern="(a)", replacement=r"\1"), "b")


@pytest.mark.parametrize("regex", [{"match": "("}, {"match": "a", "rewrite": r"\1"}, {"match": "a", "rewrite": r"\x"}])
def test_a_rewrite_that_cannot_be_done_answers_501_instead_of_the_wrong_path(regex):
    route, told = made({**TO, "rewrite": {"uriRegexRewrite": regex}})
    assert route.refusal is not None
    assert (route.refusal.status, len(told)) == (501, 1)


@pytest.mark.parametrize(("replacement", "good"), [(r"\1\2", True), (r"\3", False), (r"\\", True), ("\\", False)])
def test_a_replacement_names_groups_that_are_there(replacement, good):
    assert (rewrite_problem("(a)(b)", replacement) == "") is good


def test_statuses_among_retry_conditions():
    route, told = made({**TO, "retries": {"attempts": 5, "retryOn": "reset, 503,504,wish", "backoff": "1s"}})
    assert route.retries.retry_on == ("reset", "retriable-status-codes")
    assert (route.retries.statuses, route.retries.backoff) == ((503, 504), 1.0)
    assert [t.partition(":")[0] for t in told] == ["spec.http[0].retries.retryOn"]


def test_a_fault_without_a_percentage_is_none_and_is_told():
    route, told = made({**TO, "fault": {"delay": {"fixedDelay": "1s"}}})
    assert (route.fault, len(told)) == (None, 1)
    fault = {"delay": {"fixedDelay": "1s", "percent": 5}, "abort": {"grpcStatus": "14", "percentage": {"value": 0.5}}}
    assert made({**TO, "fault": fault})[0].fault == Fault(1.0, 5.0, None, 14, 0.5)


def test_mirrors_follow_a_split():
    http = {
        "route": [{"destination": {"host": "audit"}}],
        "mirrors": [{"destination": {"host": "payment"}, "percentage": {"value": 50}}],
    }
    assert made(http)[0].mirrors == (Mirror(cluster(), 50.0),)
    assert made(http, split=True)[0].mirrors == (Mirror(cluster(), 45.0), Mirror(cluster("payment-canary"), 5.0))


def test_a_mirror_gets_all_unless_a_share_is_written():
    assert made({**TO, "mirror": {"host": "audit"}})[0].mirrors == (Mirror(cluster("audit"), 100.0),)
    route, _ = made({**TO, "mirror": {"host": "audit"}, "mirrorPercent": 0})
    assert route.mirrors == ()


def test_origins_that_envoy_would_refuse_are_left_out_and_told():
    policy = {
        "allowOrigins": [{"exact": "https://a"}, {"regex": "("}, {}],
        "maxAge": "1m",
        "unmatchedPreflights": "IGNORE",
    }
    route, told = made({**TO, "corsPolicy": policy})
    assert route.cors == Cors((StringMatch("exact", "https://a"),), max_age=60.0, forward_unmatched=False)
    assert [t.split(" ")[0].rstrip(":") for t in told] == [
        "spec.http[0].corsPolicy.allowOrigins[1].regex",
        "spec.http[0].corsPolicy.allowOrigins[2]",
    ]


def test_headers_of_a_route_and_of_a_destination():
    own = {"request": {"set": {"Host": "inner", "X-A": "1"}}, "response": {"remove": ["X-B"]}}
    route, told = made(
        {"route": [{"destination": {"host": "payment"}, "headers": own}], "headers": {"request": {"add": {"x": "y"}}}}
    )
    assert route.changes.request == HeaderOperations(add=(("x", "y"),))
    (destination,) = route.destinations
    assert destination.changes.authority == "inner"
    assert destination.changes.request == HeaderOperations(set=(("x-a", "1"),))
    assert destination.changes.response == HeaderOperations(remove=("x-b",))
    assert told == []


def test_headers_of_a_destination_go_with_all_backends_of_its_split():
    own = {"request": {"set": {"x-a": "1"}}}
    http = {
        "route": [
            {"destination": {"host": "payment"}, "headers": own, "weight": 50},
            {"destination": {"host": "payment"}, "weight": 50},
        ]
    }
    route, _ = made(http, split=True)
    assert [(d.cluster.service, d.weight, bool(d.changes.request.set)) for d in route.destinations] == [
        ("payment", 9, True),
        ("payment-canary", 1, True),
        ("payment", 9, False),
        ("payment-canary", 1, False),
    ]


def test_weights_add_up_to_what_envoy_takes():
    names = [f"s{n}" for n in range(60)]
    route, _ = made(
        {"route": [{"destination": {"host": n}, "weight": (1 << 20) - i} for i, n in enumerate(names)]}, split=True
    )
    assert sum(d.weight for d in route.destinations) < 2**32
    assert all(d.weight for d in route.destinations)


@pytest.mark.parametrize(
    ("match", "told"),
    [
        ({"uri": {"regex": "("}}, "match[0].uri.regex: RE2"),
        ({"headers": {"x": {"regex": "(?=a)"}}}, "match[0].headers[x].regex: RE2"),
        ({"headers": {"method": {"exact": "GET"}}, "uri": {"exact": "/"}}, "match[0].headers[method] has no effect"),
        ({"uri": {"regex": "a"}, "ignoreUriCase": True}, "match[0].ignoreUriCase has no effect"),
        ({"statPrefix": "a"}, "match[0].statPrefix is not implemented"),
        ({"gateways": ["edge"]}, "spec.http: a match names gateway edge"),
    ],
)
def test_what_a_match_cannot_do_is_told(match, told):
    _, found = made({**TO, "match": [match]})
    assert len(found) == 1
    assert told in found[0]


def test_a_destination_without_a_weight_gets_nothing():
    http = {"route": [{"destination": {"host": "payment"}, "weight": 1}, {"destination": {"host": "audit"}}]}
    assert made(http)[0].destinations == (Destination(cluster(), 1),)


def test_a_rule_for_another_port_leaves_this_one_as_if_nobody_spoke():
    route, _ = made({**TO, "timeout": "1s", "match": [{"port": 9000}]})
    assert (route.name, route.timeout) == ("default", None)
