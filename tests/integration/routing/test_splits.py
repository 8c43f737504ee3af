"""What TrafficSplits say besides weights, shown by requests through a real Envoy."""

from __future__ import annotations

import asyncio
import http.cookies
import json

import pytest

pytestmark = pytest.mark.integration

CALLERS = [f"caller-{number}" for number in range(2000)]
"""Envoy's hash of them is the same everywhere, so what is measured with them is, too."""
RULE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: payment}
spec:
  hosts: [payment]
  http: [{match: [{uri: {prefix: /api/}}], rewrite: {uri: /v2/}, route: [{destination: {host: payment}}]}]
---
"""
BY_USER = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: payment}
spec: {host: payment, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}}
---
"""
TESTERS = {
    "name": "testers",
    "match": [{"headers": {"x-tester": {"exact": "yes"}}}, {"cookies": {"tester": {"exact": "1"}}}],
    "service": "payment-canary",
}


def split(canary, **more):
    spec = {
        "service": "payment",
        "backends": [{"service": "payment", "weight": 100 - canary}, {"service": "payment-canary", "weight": canary}],
        **more,
    }
    meta = {"name": "payment", "uid": "u", "generation": 1}
    return json.dumps(
        {"apiVersion": "mesh.coalmine.dev/v1alpha1", "kind": "TrafficSplit", "metadata": meta, "spec": spec}
    )


async def canaries(mesh, callers=CALLERS, **headers):
    """Return the callers that reach the canary, by their cookie."""
    some = asyncio.Semaphore(20)

    async def side(value):
        async with some:
            said = await mesh.said(cookie=f"other=1; coalmine-affinity={value}; more=2", **headers)
            return said["service"] == "payment-canary"

    found = await asyncio.gather(*map(side, callers))
    return {caller for caller, there in zip(callers, found, strict=True) if there}


async def test_testers_reach_the_canary_whatever_the_weights_say(make_mesh):
    mesh = await make_mesh(RULE + split(0, routes=[TESTERS]))
    assert (await mesh.said("/api/a"))["service"] == "payment"
    for headers in ({"x_tester": "yes"}, {"cookie": "a=b; tester=1"}, {"cookie": "tester=1; a=b", "x_tester": "no"}):
        said = await mesh.said("/api/a", **headers)
        assert (said["service"], said["path"]) == ("payment-canary", "/v2/a")
    for headers in ({"x_tester": "yes!"}, {"cookie": "tester=12"}, {"cookie": "my-tester=1"}):
        assert (await mesh.said("/api/a", **headers))["service"] == "payment"
    assert (await mesh.ask("/else", x_tester="yes"))[0] == 404  # the rules' paths stay what they were


async def test_the_canary_gets_copies_whose_answers_nobody_waits_for(make_mesh):
    mesh = await make_mesh(split(0, routes=[TESTERS], mirror={"service": "payment-canary"}))
    canary = mesh.app("payment-canary", "v3")
    assert (await mesh.said(x_tester="yes"))["service"] == "payment-canary"
    assert [r.host for r in canary.requests] == ["payment"]  # what a route takes is not copied
    canary.requests.clear()
    for _ in range(20):
        assert (await mesh.said("/charge"))["service"] == "payment"
    async with asyncio.timeout(120):
        while len(canary.requests) < 20:
            canary.arrived.clear()
            await canary.arrived.wait()
    assert {(r.path, r.host, r.headers["x-coalmine-copy"]) for r in canary.requests} == {
        ("/charge", "payment-shadow", "shop/payment read")
    }
    # The callers' own requests count as before, the copies apart from them.
    assert await mesh.stat("coalmine.requests.host.shop/payment.*") == 21
    assert await mesh.stat("coalmine.attempts.host.shop/payment.*") == 21
    assert await mesh.stat("coalmine.attempts.host./.backend.shop/payment-canary.*route.shop/payment.read") == 20
    await canary.stop()
    assert (await mesh.said("/charge"))["service"] == "payment"


async def test_a_part_is_copied_where_the_mirror_asks_for_a_part(make_mesh):
    only = [{"headers": {"x-lang": {"prefix": "en"}}}]
    mesh = await make_mesh(split(0, mirror={"service": "payment-canary", "percent": 25, "match": only}))
    for _ in range(400):
        await mesh.said(x_lang="en-GB")
        await mesh.said(x_lang="de")
    canary = mesh.app("payment-canary", "v3")
    assert {r.headers["x-lang"] for r in canary.requests} == {"en-GB"}
    assert 57 <= len(canary.requests) <= 143  # 100 expected; five standard deviations


async def test_no_label_comes_from_what_a_caller_sends(make_mesh):
    mesh = await make_mesh(RULE)
    for path in ("/api/a", "/else"):
        await mesh.ask(path, x_coalmine_copy="shop/payment made-up")
    assert (await mesh.ask(host="nobody", x_coalmine_copy="shop/payment made-up"))[0] == 502
    assert "x-coalmine-copy" not in (await mesh.said(host="audit", x_coalmine_copy="shop/payment made-up"))["headers"]
    assert await mesh.stat("coalmine.*") > 0
    assert await mesh.stat("coalmine.*made-up.*") == 0


async def test_a_caller_changes_sides_only_when_the_weight_moves_past_it(make_mesh):
    tenth, half, most = [await canaries(await make_mesh(split(w, sessionAffinity={}))) for w in (10, 50, 90)]
    for found, weight in ((tenth, 10), (half, 50), (most, 90)):
        assert abs(100 * len(found) / len(CALLERS) - weight) <= 2
    assert tenth < half < most
    assert await canaries(await make_mesh(split(0, sessionAffinity={})), CALLERS[:200]) == set()
    assert await canaries(await make_mesh(split(100, sessionAffinity={})), CALLERS[:200]) == set(CALLERS[:200])


async def test_a_caller_without_the_cookie_gets_one_that_keeps_it_where_it_came(make_mesh):
    mesh = await make_mesh(split(50, sessionAffinity={"cookie": "side", "maxAge": "1h"}))
    given = {}
    for _ in range(60):  # over one connection, as behind a CDN
        _, headers, body = await mesh.ask(cookie="other=1")
        cookie = http.cookies.SimpleCookie(headers["set-cookie"])["side"]
        assert (cookie["path"], cookie["max-age"], cookie["httponly"], cookie["samesite"]) == ("/", "3600", True, "Lax")
        given[cookie.value] = json.loads(body)["service"]
    assert len(given) == 60
    assert set(given.values()) == {"payment", "payment-canary"}
    for value, service in given.items():
        _, headers, body = await mesh.ask(cookie=f"other=1; side={value}", x_request_id="another")
        assert json.loads(body)["service"] == service
        assert "set-cookie" not in headers


async def test_a_destination_rules_hash_does_not_move_callers(make_mesh):
    some = CALLERS[:300]
    plain = await make_mesh(split(30, sessionAffinity={}))
    hashed = await make_mesh(BY_USER + split(30, sessionAffinity={}), problems=True)
    (told,) = hashed.world.problems
    assert (told.reason, told.message.partition(":")[0]) == ("Limited", "spec.sessionAffinity")
    sides = await canaries(plain, some)
    assert await canaries(hashed, some, x_user="anna") == sides
    assert await canaries(hashed, some, x_user="bert") == sides
    # The cookie is the key for the pod, too, of which payment has three.
    pods = {}
    for caller in some[:60]:
        for app in hashed.apps:
            app.requests.clear()
        for user in ("anna", "bert"):
            await hashed.said(cookie=f"coalmine-affinity={caller}", x_user=user)
        (pods[caller],) = [app.address for app in hashed.apps if app.requests]
    assert len(set(pods.values())) == 4


async def test_a_retry_may_leave_the_callers_side(make_mesh):
    retries = "retries: {attempts: 2, retryOn: '503', backoff: 1ms}, rewrite"
    mesh = await make_mesh(RULE.replace("rewrite", retries) + split(50, sessionAffinity={}))
    for caller in CALLERS[:30]:
        cookie = f"coalmine-affinity={caller}"
        own = (await mesh.said("/api/a", cookie=cookie))["service"]
        said = await mesh.said("/api/a", cookie=cookie, x_name=caller, x_fail_first="1")
        assert {own, said["service"]} == {"payment", "payment-canary"}
        assert (await mesh.said("/api/a", cookie=cookie))["service"] == own
