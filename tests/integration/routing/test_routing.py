"""What VirtualServices say, shown by requests through a real Envoy."""

from __future__ import annotations

import asyncio
import collections
import textwrap

import pytest

pytestmark = pytest.mark.integration

SUBSETS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: payment}
spec:
  host: payment
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
"""
TO_PAYMENT = "route: [{destination: {host: payment}}]"


def virtual_service(http: str, *, hosts: str = "[payment]", name: str = "payment", more: str = "") -> str:
    head = f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\n"
    return f"{head}spec:\n  hosts: {hosts}\n{more}  http:\n{textwrap.indent(textwrap.dedent(http), '    ')}\n---\n"


@pytest.mark.parametrize(
    ("match", "taken", "left"),
    [
        ("uri: {exact: /a}", {"path": "/a"}, {"path": "/a/"}),
        ("uri: {prefix: /a}", {"path": "/ab"}, {"path": "/b"}),
        ("uri: {regex: '/a[0-9]+'}", {"path": "/a12"}, {"path": "/a12/b"}),
        ("{uri: {prefix: /Ab}, ignoreUriCase: true}", {"path": "/aB/c"}, {"path": "/a"}),
        ("headers: {x-team: {regex: 'a|b'}}", {"x_team": "b"}, {"x_team": "ab"}),
        ("headers: {x-there: {}}", {"x_there": ""}, {}),
        ("withoutHeaders: {x-there: {}}", {}, {"x_there": "1"}),
        ("withoutHeaders: {x-env: {exact: test}}", {"x_env": "live"}, {"x_env": "test"}),
        ("withoutHeaders: {x-env: {exact: test}}", {}, {"x_env": "test"}),
        ("method: {exact: POST}", {"method": "POST"}, {"method": "PUT"}),
        ("queryParams: {v: {exact: '2'}}", {"path": "/?v=2"}, {"path": "/?v=1"}),
        ("queryParams: {v: {}}", {"path": "/?v="}, {"path": "/?w=1"}),
        ("authority: {prefix: payment.shop}", {"host": "payment.shop"}, {"host": "payment"}),
        ("scheme: {exact: http}", {}, None),
        ("sourceLabels: {tier: web}", {}, None),
        ("sourceNamespace: shop", {}, None),
        ("port: 80", {}, None),
    ],
)
async def test_a_match_takes_what_it_says(make_mesh, match, taken, left):
    rules = f"- match: [{match if match.startswith('{') else '{' + match + '}'}]\n  {TO_PAYMENT.replace('payment}', 'payment, subset: v2}')}\n"
    rules += f"- {TO_PAYMENT.replace('payment}', 'payment, subset: v1}')}"
    mesh = await make_mesh(SUBSETS + virtual_service(rules))
    assert (await mesh.said(**taken))["version"] == "v2"
    if left is not None:
        assert (await mesh.said(**left))["version"] == "v1"


@pytest.mark.parametrize("match", ["sourceLabels: {tier: db}", "sourceNamespace: back", "gateways: [shop/edge]"])
async def test_a_rule_for_others_is_not_for_this_caller(make_mesh, match):
    text = virtual_service(f"- match: [{{{match}}}]\n  directResponse: {{status: 418}}\n- {TO_PAYMENT}")
    mesh = await make_mesh(text, problems=True)
    assert (await mesh.said())["service"] == "payment"


async def test_a_bad_regex_costs_its_match_and_nothing_else(make_mesh):
    text = virtual_service(f"- match: [{{uri: {{regex: '('}}}}]\n  directResponse: {{status: 418}}\n- {TO_PAYMENT}")
    mesh = await make_mesh(text, problems=True)
    assert (await mesh.said())["service"] == "payment"
    assert [p.reason for p in mesh.world.problems] == ["Invalid"]


@pytest.mark.parametrize(
    ("rewrite", "prefix", "path", "got"),
    [
        ("uri: /v2", "/api", "/api/users?x=1", "/v2/users?x=1"),
        ("uri: /", "/api", "/api/users?x=1", "/users?x=1"),
        ("uri: /", "/api", "/api", "/"),
        ("uri: /", "/api/", "/api/users", "/users"),
        (r"uriRegexRewrite: {match: '^/api/([^/]+)/(.*)$', rewrite: '/\2/\1'}", "/api", "/api/a/b", "/b/a"),
    ],
)
async def test_the_path_is_rewritten(make_mesh, rewrite, prefix, path, got):
    rule = f"- match: [{{uri: {{prefix: {prefix}}}}}]\n  rewrite: {{{rewrite}, authority: inner.shop}}\n  {TO_PAYMENT}"
    mesh = await make_mesh(virtual_service(rule))
    said = await mesh.said(path)
    assert (said["path"], said["host"]) == (got, "inner.shop")


async def test_a_redirect_says_where_to(make_mesh):
    redirect = "{uri: /new, authority: shop.example, scheme: https, redirectCode: 308}"
    mesh = await make_mesh(virtual_service(f"- redirect: {redirect}"))
    status, headers, _ = await mesh.ask("/old?x=1")
    assert (status, headers["location"]) == (308, "https://shop.example/new?x=1")


async def test_a_direct_response_needs_no_application(make_mesh):
    rule = "- directResponse: {status: 418, body: {string: short and stout}}\n"
    rule += "  headers: {response: {set: {content-type: text/tea}}}"
    mesh = await make_mesh(virtual_service(rule, hosts="[tea.example]"))
    status, headers, body = await mesh.ask(host="tea.example")
    assert (status, headers["content-type"], body) == (418, "text/tea", "short and stout")


async def test_what_no_rule_matches_is_refused_by_name(make_mesh):
    mesh = await make_mesh(virtual_service(f"- match: [{{uri: {{prefix: /a}}}}]\n  {TO_PAYMENT}"))
    status, _, body = await mesh.ask("/b")
    assert (status, "shop/payment" in body) == (404, True)


async def test_statuses_are_tried_again_only_where_asked_for(make_mesh):
    retries = "{attempts: 2, retryOn: '418,503', backoff: 1ms}"
    mesh = await make_mesh(virtual_service(f"- retries: {retries}\n  {TO_PAYMENT}"))
    await mesh.said(x_name="teapot", x_fail_first="2", x_fail_with="418")
    assert mesh.tries["teapot"] == 3
    status, _, _ = await mesh.ask(x_name="other", x_fail_first="1", x_fail_with="500")
    assert (status, mesh.tries["other"]) == (500, 1)


async def test_a_timeout_ends_a_request(make_mesh):
    mesh = await make_mesh(virtual_service(f"- timeout: 50ms\n  {TO_PAYMENT}"))
    assert (await mesh.ask(x_hang="yes"))[0] == 504


async def test_faults_hit_their_share(make_mesh):
    fault = "{abort: {grpcStatus: UNAVAILABLE, percentage: {value: 25}}}"
    mesh = await make_mesh(virtual_service(f"- fault: {fault}\n  {TO_PAYMENT}"))
    answers = [await mesh.ask(content_type="application/grpc") for _ in range(1000)]
    aborted = [h for _, h, _ in answers if h.get("grpc-status") == "14"]
    assert 180 <= len(aborted) <= 320  # 250 expected; five standard deviations


async def test_a_mirror_gets_copies_and_its_answers_are_lost(make_mesh):
    mirrors = "[{destination: {host: audit}}, {destination: {host: payment-canary}, percentage: {value: 0}}]"
    mesh = await make_mesh(virtual_service(f"- mirrors: {mirrors}\n  {TO_PAYMENT}"))
    assert (await mesh.said("/charge"))["service"] == "payment"
    audit = mesh.app("audit", "v1")
    async with asyncio.timeout(120):
        await audit.arrived.wait()
    assert [(r.path, r.host) for r in audit.requests] == [("/charge", "payment-shadow")]
    assert mesh.app("payment-canary", "v3").requests == []
    # The copy is no attempt of the host's: it has no route, so telemetry counts it for no host.
    assert await mesh.stat("coalmine.attempts.*shop/payment.*") == 1


async def test_pages_of_allowed_origins_may_call(make_mesh):
    policy = (
        "{allowOrigins: [{exact: 'https://shop.example'}], allowMethods: [POST], allowHeaders: [x-team], maxAge: 24h, "
    )
    policy += "allowCredentials: true, exposeHeaders: [x-id], unmatchedPreflights: IGNORE}"
    mesh = await make_mesh(virtual_service(f"- corsPolicy: {policy}\n  {TO_PAYMENT}"))
    preflight = {"method": "OPTIONS", "access_control_request_method": "POST"}
    status, headers, _ = await mesh.ask(origin="https://shop.example", **preflight)
    assert status == 200
    assert headers["access-control-allow-origin"] == "https://shop.example"
    assert headers["access-control-allow-methods"] == "POST"
    assert headers["access-control-max-age"] == "86400"
    assert headers["access-control-allow-credentials"] == "true"
    _, headers, _ = await mesh.ask(origin="https://shop.example")
    assert headers["access-control-expose-headers"] == "x-id"
    _, headers, _ = await mesh.ask(origin="https://evil.example", **preflight)
    assert "access-control-allow-origin" not in headers


async def test_headers_are_changed_for_the_route_and_for_a_destination(make_mesh):
    whole = "{request: {set: {x-caller: '%REQ(x-name)%', x-share: 100%}, add: {x-via: mesh}, remove: [x-secret]}, response: {remove: [x-powered-by]}}"
    own = "{request: {set: {Host: inner.shop, x-version: v2}}, response: {add: {x-version: v2}}}"
    rule = f"- headers: {whole}\n  route: [{{destination: {{host: payment}}, headers: {own}}}]"
    mesh = await make_mesh(virtual_service(rule))
    said = await mesh.said(x_name="anna", x_secret="1", x_via="cdn")
    got = said["headers"]
    assert (got["x-caller"], got["x-share"], got["x-version"], said["host"]) == ("anna", "100%", "v2", "inner.shop")
    assert "x-secret" not in got
    _, headers, _ = await mesh.ask()
    assert (headers["x-version"], "x-powered-by" in headers) == ("v2", False)


async def test_a_delegates_rules_take_the_roots_place(make_mesh):
    root = virtual_service(
        """\
        - match: [{uri: {prefix: /cart}}]
          rewrite: {uri: /}
          delegate: {name: cart}
        - directResponse: {status: 404}
        """
    )
    delegate = virtual_service(
        """\
        - match: [{uri: {prefix: /cart/audit}}]
          route: [{destination: {host: audit}}]
        - route: [{destination: {host: payment}}]
        """,
        hosts="[]",
        name="cart",
    )
    mesh = await make_mesh(root + delegate)
    assert (await mesh.said("/cart/audit/1"))["service"] == "audit"
    said = await mesh.said("/cart/1")
    assert (said["service"], said["path"]) == ("payment", "/1")
    assert (await mesh.ask("/other"))[0] == 404


async def test_virtual_services_that_do_not_meet_are_one(make_mesh):
    first = virtual_service(f"- match: [{{uri: {{prefix: /a}}}}]\n  {TO_PAYMENT}\n- directResponse: {{status: 418}}")
    second = virtual_service(
        "- match: [{uri: {prefix: /audit/}}]\n  route: [{destination: {host: audit}}]", name="second"
    )
    third = virtual_service("- match: [{uri: {prefix: /b}}]\n  route: [{destination: {host: audit}}]", name="third")
    mesh = await make_mesh(first + second + third, problems=True)
    assert [(p.ref.name, p.reason) for p in mesh.world.problems] == [("second", "Shadowed")]
    assert (await mesh.said("/a"))["service"] == "payment"
    assert (await mesh.said("/audit/1"))["service"] == "payment"
    assert (await mesh.said("/b"))["service"] == "audit"
    assert (await mesh.ask("/c"))[0] == 418


async def test_the_most_specific_host_is_used(make_mesh):
    text = virtual_service("- directResponse: {status: 201}", hosts="['*']", name="all")
    text += virtual_service("- directResponse: {status: 202}", hosts="['*.example.com']", name="wild")
    text += virtual_service("- directResponse: {status: 203}", hosts="[a.example.com]", name="exact")
    text += virtual_service("- directResponse: {status: 204}", hosts="['*.shop.svc.cluster.local']", name="services")
    mesh = await make_mesh(text)
    hosts = ("else.org", "b.example.com", "a.example.com", "payment", "audit.shop")
    assert [(await mesh.ask(host=h))[0] for h in hosts] == [201, 202, 203, 204, 204]


async def test_a_split_lies_over_every_rule(make_mesh):
    split = """
        apiVersion: mesh.coalmine.dev/v1alpha1
        kind: TrafficSplit
        metadata: {name: payment, uid: u, generation: 1}
        spec: {service: payment, backends: [{service: payment, weight: 50}, {service: payment-canary, weight: 50}]}
        ---
        """
    rules = f"- match: [{{headers: {{x-a: {{}}}}}}]\n  rewrite: {{uri: /a}}\n  {TO_PAYMENT}\n"
    rules += "- mirrors: [{destination: {host: payment}}]\n  route: [{destination: {host: audit}}]"
    mesh = await make_mesh(textwrap.dedent(split) + virtual_service(rules, hosts="[payment, audit]"))
    seen = collections.Counter()
    for _ in range(200):
        said = await mesh.said(x_a="1")
        seen[said["service"], said["path"]] += 1
    assert set(seen) == {("payment", "/a"), ("payment-canary", "/a")}
    canary = mesh.app("payment-canary", "v3")
    before = len(canary.requests)
    canary.arrived.clear()
    async with asyncio.timeout(120):
        while not canary.arrived.is_set():
            await mesh.said(host="audit")
    assert canary.requests[before].host == "audit-shadow"
