"""HTTPRoutes of Services: what becomes of matches, filters and references, and what their authors are told."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mesh.api.gatewayapi import CONTROLLER
from mesh.ir.services import Service, ServicePort
from mesh.resolve.clauses import Caller
from mesh.resolve.httproutes import Parents, read_http_route, translate
from mesh.resolve.world import World
from mesh.wiring.gatewaystatus import parents_of

NAMES = ("payment", "payment-v1", "payment-v2")
SERVICES = {
    ("shop", n): Service("shop", n, (ServicePort("http", 80, 8080), ServicePort("admin", 81, 8081))) for n in NAMES
}
SERVICES["other", "audit"] = Service("other", "audit", (ServicePort("http", 80, 8080),))
TO_V1 = "backendRefs: [{name: payment-v1, port: 80}]"


def route(
    rules: str, *, name: str = "pay", namespace: str = "shop", parent: str = "", created: str = "2026-01-01"
) -> Any:
    text = f"""
    apiVersion: gateway.networking.k8s.io/v1
    kind: HTTPRoute
    metadata: {{name: {name}, namespace: {namespace}, uid: {name}, generation: 2, creationTimestamp: "{created}"}}
    spec: {{parentRefs: [{{group: "", kind: Service, name: payment, namespace: shop{parent}}}], rules: [{rules}]}}
    """
    return read_http_route(yaml.safe_load(text))


def routes(*written: Any, caller: str = "shop", port: int = 80) -> list[Any]:
    made = World(SERVICES, {}, {}, http_routes=written)
    hosts = made.outbound(Caller(caller).namespace, None).virtual_hosts
    (host,) = [h for h in hosts if h.host == ("shop", "payment") and h.port == port]
    return list(host.routes)


def test_weights_are_shares_of_services():
    (made,) = routes(
        route("{backendRefs: [{name: payment-v1, port: 80, weight: 90}, {name: payment-v2, port: 80, weight: 10}]}")
    )
    assert [(d.cluster.service, d.cluster.port, d.weight) for d in made.destinations] == [
        ("payment-v1", 80, 9),
        ("payment-v2", 80, 1),
    ]


def test_a_prefix_goes_by_whole_segments():
    made = routes(route(f"{{matches: [{{path: {{type: PathPrefix, value: /a/}}}}], {TO_V1}}}"))
    assert [(r.match.uri.kind, r.match.uri.value) for r in made[:2]] == [("exact", "/a"), ("prefix", "/a/")]
    assert made[-1].refusal.status == 404


def test_the_more_specific_match_goes_first_and_then_the_older_route():
    matches = [
        "{path: {value: /}}",
        "{path: {value: /a}}",
        "{path: {value: /a}, headers: [{name: x, value: y}]}",
        "{path: {value: /a}, method: GET}",
        "{path: {type: Exact, value: /a}}",
        "{path: {value: /abc}}",
    ]
    young = route(f"{{name: young, matches: [{', '.join(matches)}], {TO_V1}}}", name="young", created="2026-02-01")
    old = route(f"{{name: old, matches: [{{path: {{value: /a}}}}], {TO_V1}}}", name="old")
    found = [(r.name, r.match.uri.value, bool(r.match.method), len(r.match.headers)) for r in routes(young, old)]
    assert found == [
        ("young", "/a", False, 0),
        ("young", "/abc", False, 0),
        ("young", "/abc/", False, 0),
        ("young", "/a", True, 0),
        ("young", "/a/", True, 0),
        ("young", "/a", False, 1),
        ("young", "/a/", False, 1),
        ("old", "/a", False, 0),
        ("old", "/a/", False, 0),
        ("young", "/a", False, 0),
        ("young", "/a/", False, 0),
        ("young", "/", False, 0),
    ]


@pytest.mark.parametrize(
    ("prefix", "replaced", "paths"),
    [
        ("/a", "/b", ["/b", "/b/"]),
        ("/a/", "/b/", ["/b", "/b/"]),
        ("/a", "/", ["/", "/"]),
        ("/", "/b", ["/b/"]),
    ],
)
def test_a_prefix_is_replaced_by_whole_segments(prefix, replaced, paths):
    rewrite = f"{{type: URLRewrite, urlRewrite: {{hostname: in.shop, path: {{type: ReplacePrefixMatch, replacePrefixMatch: {replaced}}}}}}}"
    made = routes(route(f"{{matches: [{{path: {{value: {prefix}}}}}], filters: [{rewrite}], {TO_V1}}}"))
    assert [r.rewrite.path for r in made if r.rewrite] == paths
    assert made[0].changes.authority == "in.shop"


def test_filters_and_timeouts_are_carried_out():
    filters = """
    {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-A, value: "1"}], remove: [x-b]}},
    {type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: x-c, value: "2"}]}},
    {type: RequestMirror, requestMirror: {backendRef: {name: payment-v2, port: 80}, fraction: {numerator: 1, denominator: 4}}}
    """
    (made,) = routes(route(f"{{filters: [{filters}], timeouts: {{request: 2s, backendRequest: 500ms}}, {TO_V1}}}"))
    assert made.changes.request.set == (("x-a", "1"),)
    assert made.changes.request.remove == ("x-b",)
    assert made.changes.response.add == (("x-c", "2"),)
    assert [(m.cluster.service, m.percent) for m in made.mirrors] == [("payment-v2", 25.0)]
    assert (made.timeout, made.retries.per_try_timeout) == (2.0, 0.5)


def test_a_redirect_answers():
    redirect = "{scheme: https, hostname: a.b, port: 8443, statusCode: 301, path: {type: ReplaceFullPath, replaceFullPath: /n}}"
    (made,) = routes(route(f"{{filters: [{{type: RequestRedirect, requestRedirect: {redirect}}}]}}"))
    found = made.redirect
    assert (found.scheme, found.authority, found.port, found.status, found.path) == ("https", "a.b", 8443, 301, "/n")


def test_a_route_of_another_namespace_is_for_its_own_callers():
    other = route("{backendRefs: [{name: audit, port: 80}]}", namespace="other")
    assert routes(other, caller="other")[0].destinations[0].cluster.service == "audit"
    assert routes(other, caller="shop")[0].destinations[0].cluster.service == "payment"


def test_a_port_of_the_parent_limits_the_route():
    only = route(f"{{{TO_V1}}}", parent=", port: 81")
    assert routes(only, port=81)[0].destinations[0].cluster.service == "payment-v1"
    assert routes(only)[0].destinations[0].cluster.service == "payment"


@pytest.mark.parametrize(
    ("rules", "parent", "condition", "said"),
    [
        (
            "{backendRefs: [{name: none, port: 80}]}",
            "",
            "ResolvedRefs BackendNotFound",
            "there is no Service shop/none",
        ),
        ("{backendRefs: [{name: payment-v1, port: 99}]}", "", "ResolvedRefs BackendNotFound", "no port 99"),
        ("{backendRefs: [{name: a, kind: Bucket, group: x}]}", "", "ResolvedRefs InvalidKind", "no Service"),
        (
            "{backendRefs: [{name: audit, namespace: other, port: 80}]}",
            "",
            "ResolvedRefs RefNotPermitted",
            "ReferenceGrant",
        ),
        (f"{{{TO_V1}}}", ", port: 99", "Accepted NoMatchingParent", "there is no port 99"),
        ("{filters: [{type: ExtensionRef}]}", "", "Accepted UnsupportedValue", "'ExtensionRef' is not implemented"),
    ],
)
def test_what_cannot_be_done_is_in_the_conditions(rules, parent, condition, said):
    written = route(rules, parent=parent)
    translated = translate([written], Parents(SERVICES))
    (status,) = parents_of([], translated.states["pay"], 2, "2026-01-02T00:00:00Z")
    failed = [f"{c['type']} {c['reason']}" for c in status["conditions"] if c["status"] == "False"]
    assert failed == [condition]
    assert any(said in c["message"] for c in status["conditions"])
    assert any(said in p.message for p in translated.problems)
    assert {c["observedGeneration"] for c in status["conditions"]} == {2}
    if condition.startswith("ResolvedRefs"):
        assert routes(written)[0].answer.status == 500


def test_the_status_keeps_what_others_wrote_and_when_a_condition_changed():
    states = translate([route(f"{{{TO_V1}}}")], Parents(SERVICES)).states["pay"]
    others = [{"parentRef": {"name": "edge"}, "controllerName": "other.example/controller", "conditions": []}]
    first = parents_of(others, states, 1, "then")
    again = parents_of(first, states, 2, "now")
    assert again[0] == others[0]
    assert again[1]["controllerName"] == CONTROLLER
    assert {(c["observedGeneration"], c["lastTransitionTime"]) for c in again[1]["conditions"]} == {(2, "then")}
    assert parents_of(again, states, 2, "later") == again


def test_fields_that_are_not_implemented_are_told():
    written = route(f"{{sessionPersistence: {{}}, {TO_V1}}}")
    assert any(
        "sessionPersistence is not implemented" in p.message for p in translate([written], Parents(SERVICES)).problems
    )
