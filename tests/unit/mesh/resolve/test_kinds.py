"""Kinds of requests: which there are, that they never change where a request goes, and that they are bounded."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mesh.ir.actions import Redirect
from mesh.ir.services import Service, ServicePort
from mesh.ir.traffic import ClusterKey, Destination, Match, Refusal, Route, StringMatch
from mesh.resolve.kinds import MOST, OTHER, Kind, read_kinds, told_apart
from mesh.resolve.problems import Ref
from mesh.resolve.rules import read_traffic_split, read_virtual_service
from mesh.resolve.world import World

TO = (Destination(ClusterKey("shop", "payment", 80), 1),)
PLAIN = (Route("default", Match(), TO),)


@dataclass(frozen=True)
class Request:
    method: str = "GET"
    path: str = "/"
    headers: dict[str, str] = field(default_factory=dict)


def holds(match: StringMatch, text: str) -> bool:
    if match.kind == "regex":
        return re.fullmatch(match.value, text) is not None
    return text == match.value if match.kind == "exact" else text.startswith(match.value)


def taken(match: Match, request: Request) -> bool:
    """Say what Envoy would: the path without its query for ``uri``, with it for the header ``:path``."""
    headers = {**request.headers, ":path": request.path, ":method": request.method}
    path, _, query = request.path.partition("?")
    uri = match.uri
    if match.ignore_case:
        path, uri = path.lower(), StringMatch(uri.kind, uri.value.lower())
    parameters = dict(p.partition("=")[::2] for p in query.split("&") if p)
    return (
        holds(uri, path)
        and not any(name in headers and (v is None or holds(v, headers[name])) for name, v in match.without_headers)
        and all(name in parameters and (v is None or holds(v, parameters[name])) for name, v in match.query)
        and all(name in headers and (v is None or holds(v, headers[name])) for name, v in match.headers)
        and (match.method is None or holds(match.method, request.method))
        and request.method not in match.excluded_methods
    )


def first(routes, request: Request) -> Route | None:
    return next((r for r in routes if taken(r.match, request)), None)


def kind_of(routes, method: str, path: str, **headers: str) -> str:
    found = first(routes, Request(method, path, {k.replace("_", "-"): v for k, v in headers.items()}))
    assert found is not None
    return found.kind


GRPC = {"content_type": "application/grpc+proto"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "kind"),
    [
        ("GET", "/orders/1", {}, "read"),
        ("HEAD", "/", {}, "read"),
        ("OPTIONS", "/orders", {}, "read"),
        ("POST", "/orders", {}, "write"),
        ("DELETE", "/orders/1", {}, "write"),
        ("BREW", "/coffee", {}, "write"),
        ("POST", "/shop.Orders/Get", GRPC, "read"),
        ("POST", "/shop.Orders/GetOrder", GRPC, "read"),
        ("POST", "/shop.Orders/ListOrders", GRPC, "read"),
        ("POST", "/grpc.health.v1.Health/Check", GRPC, "read"),
        ("POST", "/shop.Orders/Create", GRPC, "write"),
        ("POST", "/shop.Orders/Settle", GRPC, "write"),
        ("POST", "/shop.Orders/Getaway", GRPC, "write"),
        ("POST", "/shop.Orders/GetOrder", {}, "write"),
    ],
)
def test_without_a_word_from_anybody_reading_and_writing_are_told_apart(method, path, headers, kind):
    assert kind_of(told_apart(PLAIN, ()), method, path, **headers) == kind


def test_the_longest_path_that_a_service_names_wins_and_a_method_before_none():
    kinds, problems = read_kinds("/api, GET /api/orders ,/api/orders, /shop.Orders/Get")
    assert problems == ()
    routes = told_apart(PLAIN, kinds)
    assert kind_of(routes, "GET", "/api/orders/7?full=1") == "GET /api/orders"
    assert kind_of(routes, "PUT", "/api/orders/7") == "/api/orders"
    assert kind_of(routes, "GET", "/api/search") == "/api"
    assert kind_of(routes, "POST", "/shop.Orders/Get", **GRPC) == "/shop.Orders/Get"
    assert kind_of(routes, "POST", "/shop.Orders/List", **GRPC) == "read"
    assert kind_of(routes, "POST", "/login") == "write"


@pytest.mark.parametrize(
    "bad", ["api/orders", "get /api", "FETCH /api", "GET", "/a b", "/a?x=1", "/a#b", "/ä", "/" + "a" * 100]
)
def test_what_is_no_kind_is_told_and_the_others_count(bad):
    kinds, (problem,) = read_kinds(f"/api/orders,{bad},")
    assert kinds == (Kind("/api/orders"),)
    assert repr(bad)[:80].rstrip("'") in problem


def test_more_kinds_than_there_may_be_are_told_and_the_first_count():
    kinds, (problem,) = read_kinds(",".join(f"/a{i}" for i in range(20)))
    assert {k.path for k in kinds} == {f"/a{i}" for i in range(MOST - 2)}
    assert problem == (
        "names 20 kinds of requests: the first 14 are told apart, the others count as read or write; name fewer"
    )


def test_rules_are_told_apart_by_their_names():
    routes = told_apart(
        [
            replace(PLAIN[0], rule="reports", match=Match(StringMatch("prefix", "/reports"))),
            replace(PLAIN[0], rule="payment.1", match=Match(method=StringMatch("exact", "PUT"))),
            PLAIN[0],
        ],
        (),
    )
    assert kind_of(routes, "GET", "/reports") == "reports read"
    assert kind_of(routes, "POST", "/reports") == "reports write"
    assert kind_of(routes, "PUT", "/other") == "payment.1 write"
    assert kind_of(routes, "GET", "/other") == "read"


def test_routes_that_no_request_can_take_are_not_made():
    orders, search = Kind("/api/orders"), Kind("/api/search", "GET")
    exact = replace(PLAIN[0], match=Match(StringMatch("exact", "/api/orders/new")))
    assert [r.kind for r in told_apart([exact], [orders, search])] == ["/api/orders"]
    posted = replace(PLAIN[0], match=Match(StringMatch("prefix", "/api/search"), method=StringMatch("exact", "POST")))
    assert [r.kind for r in told_apart([posted], [orders, search])] == ["read", "write"]


def test_a_refusal_is_of_no_kind():
    refused = replace(PLAIN[0], destinations=(), refusal=Refusal(404, "no"))
    redirected = replace(PLAIN[0], destinations=(), redirect=Redirect("/elsewhere"))
    assert told_apart([refused, redirected], [Kind("/api")]) == (refused, redirected)


paths = st.sampled_from(["/", "/a", "/a/b", "/A/B", "/a/bc", "/s.V/Get", "/s.V/Set", "/a?x=/a/b"])
methods = st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "PUT", "BREW"])
strings = st.builds(StringMatch, st.sampled_from(["exact", "prefix"]), paths) | st.just(StringMatch("regex", "/a/.*"))
matches = st.builds(
    Match,
    uri=strings,
    headers=st.sampled_from([(), (("x-team", None),), (("x-team", StringMatch("exact", "gold")),)]),
    method=st.none()
    | st.builds(StringMatch, st.just("exact"), methods)
    | st.sampled_from([StringMatch("regex", "P.*"), StringMatch("prefix", "P")]),
    without_headers=st.sampled_from([(), (("x-team", None),), (("x-team", StringMatch("exact", "gold")),)]),
    query=st.sampled_from([(), (("x", None),), (("x", StringMatch("exact", "/a/b")),)]),
).map(lambda m: replace(m, ignore_case=m.uri.kind != "regex" and len(m.uri.value) % 2 == 0))
routes_ = st.lists(
    st.builds(
        Route, st.uuids().map(str), matches, st.just(TO), rule=st.sampled_from(["", *(f"r{i}" for i in range(20))])
    ),
    max_size=12,
)
kinds_ = st.lists(st.builds(Kind, paths, st.just("") | methods.filter(lambda m: m != "BREW")), max_size=14).map(
    lambda kinds: read_kinds(",".join(k.name for k in kinds if "?" not in k.path))[0]
)
requests = st.builds(
    Request,
    methods,
    paths,
    st.fixed_dictionaries(
        {}, optional={"x-team": st.just("gold"), "content-type": st.sampled_from(["application/grpc", "text/plain"])}
    ),
)


@given(routes_, kinds_, requests)
@example(list(PLAIN), (), Request("POST", "/s.V/Get", {"content-type": "application/grpc"}))
def test_every_request_is_treated_as_before_and_has_a_kind(routes, kinds, request):
    before, after = first(routes, request), first(told_apart(routes, kinds), request)
    assert (before and before.name) == (after and after.name)
    if after is not None:
        assert after.kind


@given(routes_, kinds_)
def test_a_host_never_has_more_kinds_than_the_bound(routes, kinds):
    assert len({r.kind for r in told_apart(routes, kinds)}) <= MOST


def test_beyond_the_bound_the_rest_is_one():
    routes = [
        replace(PLAIN[0], name=f"r{i}", rule=f"r{i}", match=Match(StringMatch("prefix", f"/{i}"))) for i in range(30)
    ]
    found = [r.kind for r in told_apart([*routes, *PLAIN], (Kind("/0"),))]
    assert len(set(found)) == MOST
    assert found[-1] == "read"
    assert found.count(OTHER) > MOST


PORT = ServicePort("http", 80, 8080)
SERVICES = {("shop", n): Service("shop", n, (PORT,), uid=f"u-{n}") for n in ("payment", "payment-canary", "orders")}


def world(kinds: str, http: list[dict] | None = None) -> World:
    services = {key: replace(service, kinds=kinds) for key, service in SERVICES.items()}
    backends = [{"service": "payment", "weight": 90}, {"service": "payment-canary", "weight": 10}]
    spec = {"service": "payment", "backends": backends}
    split = read_traffic_split({"metadata": {"name": "p", "namespace": "shop"}, "spec": spec})
    rules: tuple[Any, ...] = ()
    if http:
        rules = (
            read_virtual_service(
                {
                    "metadata": {"name": "pay", "namespace": "shop"},
                    "spec": {"hosts": ["payment", "orders"], "http": http},
                }
            ),
        )
    return World(services, {}, {}, rules, (), (split,))


def kinds_by_host(made: World) -> dict[str, list[str]]:
    return {h.host[1]: [r.kind for r in h.routes] for h in made.outbound("shop", None).virtual_hosts}


def test_only_a_host_that_is_split_is_told_apart():
    assert kinds_by_host(world("/api")) == {
        "payment": ["/api", "read", "write", "read"],
        "payment-canary": [""],
        "orders": [""],
    }


def test_a_rule_that_is_alone_needs_no_name_and_several_do():
    route = [{"destination": {"host": "payment"}}]
    alone = kinds_by_host(world("", [{"route": route}]))
    assert (alone["payment"], alone["orders"]) == (["read", "write", "read"], [""])
    several = kinds_by_host(world("", [{"match": [{"uri": {"exact": "/x"}}], "route": route}, {"route": route}]))
    assert several["payment"] == [
        *("pay.0 read", "pay.0 write", "pay.0 read"),
        *("pay.1 read", "pay.1 write", "pay.1 read"),
    ]
    named = kinds_by_host(world("", [{"name": "primary", "route": route}]))
    assert set(named["payment"]) == {"primary read", "primary write"}


def test_a_bad_annotation_is_told_on_the_service():
    (first_, *_) = world("api").problems
    assert first_.ref == Ref("v1", "Service", "shop", "orders", "u-orders")
    assert first_.reason == "Invalid"
    assert first_.message.startswith("metadata.annotations[mesh.coalmine.dev/routes]: 'api' is left out: write what")
    assert world("/api").problems == ()
