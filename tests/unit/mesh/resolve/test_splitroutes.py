"""What a TrafficSplit says besides weights, laid over routes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.ir.actions import HeaderChanges
from mesh.ir.matching import Match, StringMatch
from mesh.ir.policies import HashKey
from mesh.ir.services import Service, ServicePort
from mesh.ir.splits import Affinity, Copies, Split, SplitRoute
from mesh.ir.traffic import ClusterKey, Destination, Mirror, Refusal, Route
from mesh.resolve.rules import read_traffic_split
from mesh.resolve.splitparts import cookie_value
from mesh.resolve.splitroutes import laid_over
from mesh.resolve.splits import overlay, resolve_splits

TESTER = (("x-tester", StringMatch("exact", "yes")),)
INSIDER = (("cookie", StringMatch("regex", ".*insider=1")),)
TO_CANARY = SplitRoute("testers", (TESTER, INSIDER), "payment-canary")
ALL = Route("default", Match())


def split(canary: int, **parts: Any) -> Split:
    weights = (("payment", 100 - canary), ("payment-canary", canary))
    return Split("shop", "payment", "u", 1, "payment", weights, **parts)


def to(service: str, weight: int, subset: str = "", **more: Any) -> Destination:
    return Destination(ClusterKey("shop", service, 80, subset), weight, **more)


def laid(over: Split, *written: Destination, route: Route = ALL) -> list[Route]:
    splits = {over.host: over}
    destinations = written or (to("payment", 100),)
    return list(laid_over(replace(route, destinations=overlay(destinations, splits)), destinations, splits))


def services(route: Route) -> list[str]:
    return [d.cluster.service for d in route.destinations]


def test_a_route_of_the_split_goes_before_the_weights_once_for_each_match():
    first, second, rest = laid(split(10, routes=(TO_CANARY,)))
    assert [(r.name, r.match.headers, services(r)) for r in (first, second)] == [
        ("default.testers", TESTER, ["payment-canary"]),
        ("default.testers", INSIDER, ["payment-canary"]),
    ]
    assert (rest.match, rest.destinations) == (Match(), (to("payment", 9), to("payment-canary", 1)))


def test_a_route_of_the_split_keeps_what_the_rule_says():
    rule = Route("api", Match(StringMatch("prefix", "/api"), headers=(("x-a", None),)), timeout=3.0, kind="k")
    first, *_ = laid(split(0, routes=(TO_CANARY,)), route=rule)
    assert (first.match.uri.value, first.match.headers, first.timeout) == ("/api", (("x-a", None), *TESTER), 3.0)


def test_a_route_of_the_split_moves_only_the_hosts_part_of_a_rule():
    first, *_ = laid(split(0, routes=(TO_CANARY,)), to("payment", 80, "gold"), to("audit", 20))
    assert first.destinations == (to("payment-canary", 4), to("audit", 1))


def test_a_route_of_the_split_may_keep_requests_on_the_host():
    own = SplitRoute("vip", (TESTER,), "payment")
    first, _ = laid(split(50, routes=(own,)), to("payment", 100, "gold"))
    assert first.destinations == (to("payment", 1, "gold"),)


def test_what_the_proxy_answers_and_other_hosts_stay_as_they_are():
    over = split(10, routes=(TO_CANARY,), mirror=Copies("payment-canary", 100.0), affinity=Affinity("c", 60.0))
    refused = Route("r", Match(), refusal=Refusal(404, ""))
    assert list(laid_over(refused, [to("payment", 100)], {over.host: over})) == [refused]
    assert laid(over, to("audit", 1)) == [replace(ALL, destinations=(to("audit", 1),))]


def test_all_that_is_shared_by_weight_is_mirrored_and_nothing_that_a_route_takes():
    testers, _, rest = laid(split(0, routes=(TO_CANARY,), mirror=Copies("payment-canary", 25.0)))
    assert testers.mirrors == ()
    assert rest.mirrors == (Mirror(ClusterKey("shop", "payment-canary", 80), 25.0, ("shop", "payment")),)


def test_only_what_matches_is_mirrored_where_the_mirror_has_a_match():
    some, rest = laid(split(0, mirror=Copies("payment-canary", 100.0, (TESTER,))))
    assert (some.match.headers, len(some.mirrors)) == (TESTER, 1)
    assert (rest.match, rest.mirrors) == (Match(), ())
    assert some.destinations == rest.destinations


def test_a_rule_that_leads_to_other_hosts_as_well_is_not_mirrored():
    (only,) = laid(split(0, mirror=Copies("payment-canary", 100.0)), to("payment", 80), to("audit", 20))
    assert only.mirrors == ()


def test_subsets_of_the_host_are_mirrored_once():
    (only,) = laid(split(0, mirror=Copies("payment-canary", 60.0)), to("payment", 1, "v1"), to("payment", 1, "v2"))
    assert [m.percent for m in only.mirrors] == [60.0]


def test_callers_with_the_cookie_are_placed_by_it_and_others_by_what_becomes_their_cookie():
    known, new = laid(split(10, affinity=Affinity("side", 3600.0)))
    assert known.sticky
    assert new.sticky
    assert known.hash_keys == (HashKey("cookie", "side"),)
    assert new.hash_keys == (HashKey("header", "x-request-id"),)
    assert known.changes == HeaderChanges()
    assert new.changes.response.add == (
        ("set-cookie", "side=%REQ(x-request-id)%; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"),
    )
    assert known.match.headers == (("cookie", cookie_value("side", None)),)
    assert known.destinations == new.destinations == (to("payment-canary", 1000), to("payment", 9000))


@pytest.mark.parametrize("canary", [0, 100])
def test_nobody_needs_a_cookie_where_all_go_to_one_side(canary):
    (only,) = laid(split(canary, affinity=Affinity("side", 3600.0)))
    assert (only.sticky, only.hash_keys, only.changes) == (False, (), HeaderChanges())


def chosen(destinations: tuple[Destination, ...], number: int) -> ClusterKey:
    """Return the cluster as Envoy chooses it by a number."""
    place = number % sum(d.weight for d in destinations)
    for destination in destinations:
        if place < destination.weight:
            return destination.cluster
        place -= destination.weight
    raise AssertionError


RULES = [
    (to("payment", 100),),
    (to("payment", 70, "v1"), to("payment", 30, "v2", changes=HeaderChanges(authority="inner"))),
    (to("audit", 20), to("payment", 80)),
]


@pytest.mark.parametrize("written", RULES)
@given(number=st.integers(0, 2**64 - 1), weights=st.tuples(st.integers(1, 99), st.integers(1, 99)))
def test_a_caller_moves_only_when_the_weight_moves_past_it(written, number, weights):
    small, large = (
        chosen(laid(split(w, affinity=Affinity("side", 60.0)), *written)[0].destinations, number)
        for w in sorted(weights)
    )
    if small.service == "payment-canary":
        assert large == small
    if "payment" in {small.service, large.service} and "audit" in {small.service, large.service}:
        raise AssertionError("a caller of one host came to another")


@pytest.mark.parametrize(
    ("name", "wanted", "header", "taken"),
    [
        ("tester", StringMatch("exact", "1"), "tester=1", True),
        ("tester", StringMatch("exact", "1"), "a=b; tester=1; c=d", True),
        ("tester", StringMatch("exact", "1"), 'a=b;tester="1"', True),
        ("tester", StringMatch("exact", "1"), "tester=12", False),
        ("tester", StringMatch("exact", "1"), "my-tester=1", False),
        ("tester", StringMatch("exact", "1"), "a=tester=1", False),
        ("te.ter", StringMatch("exact", "1"), "tester=1", False),
        ("tester", StringMatch("exact", ".*"), "tester=1", False),
        ("tester", StringMatch("prefix", "ab"), "tester=abc; x=y", True),
        ("tester", StringMatch("prefix", "ab"), "tester=b; x=ab", False),
        ("tester", StringMatch("regex", "a|b"), "x=y; tester=b", True),
        ("tester", StringMatch("regex", "a|b"), "x=y; tester=ab", False),
        ("tester", None, "x=y; tester=0", True),
        ("tester", None, "tester=; x=y", False),
    ],
)
def test_a_cookie_is_found_among_others(name, wanted, header, taken):
    assert bool(re.fullmatch(cookie_value(name, wanted).value, header)) == taken


PORT = ServicePort("http", 80, 8080)
SERVICES = {("shop", n): Service("shop", n, (PORT,)) for n in ("payment", "payment-canary")}


def problems(**more: Any) -> list[str]:
    spec = {"service": "payment", "backends": [{"service": "payment", "weight": 100}], **more}
    meta = {"name": "payment", "namespace": "shop", "uid": "u", "generation": 1}
    kind = {"apiVersion": "mesh.coalmine.dev/v1alpha1", "kind": "TrafficSplit"}
    rule = read_traffic_split({**kind, "metadata": meta, "spec": spec})
    return [p.message for p in (*rule.problems, *resolve_splits([rule], SERVICES).problems)]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"routes": [{"match": [{"headers": {"x": {"regex": "("}}}], "service": "payment-canary"}]},
            "spec.routes[0].match[0].headers[x].regex: RE2, which Envoy uses, refuses it",
        ),
        (
            {"mirror": {"service": "payment-canary", "match": [{"cookies": {"x": {"regex": "("}}}]}},
            "spec.mirror.match[0].cookies[x].regex: RE2, which Envoy uses, refuses it",
        ),
        ({"mirror": {"service": "gone"}}, "spec.mirror.service: there is no Service gone in namespace shop: create it"),
        (
            {"routes": [{"match": [{"headers": {"x": {}}}], "service": "gone"}]},
            "spec.routes[0].service: there is no Service gone in namespace shop: create it",
        ),
        ({"mirror": {"service": "payment"}}, "spec.mirror.service: payment has a weight and would get these requests"),
        ({"routes": [{"match": [{}], "service": "payment"}]}, "spec.routes[0].match[0]: says nothing to compare"),
        (
            {"routes": [{"match": [{"cookies": {"a b": {}}}], "service": "payment"}]},
            "'a b' is no name of a header or a cookie: write letters, digits and -",
        ),
        (
            {"routes": [{"match": [{"headers": {"x": {"exact": "a", "prefix": "a"}}}], "service": "payment"}]},
            "exact, prefix and regex exclude each other: keep one",
        ),
        ({"sessionAffinity": {"maxAge": "0s"}}, "spec.sessionAffinity.maxAge: is no time at all: write at least 1ms"),
    ],
)
def test_what_cannot_be_names_the_field_and_the_fix(more, said):
    assert said in problems(**more)[0]
