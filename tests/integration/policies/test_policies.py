"""What DestinationRules, ServiceEntries and Sidecars do, on a real Envoy."""

from __future__ import annotations

import asyncio
import collections
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

CIRCUIT_BREAKER = (Path(__file__).parents[3] / "examples" / "mesh" / "circuit-breaker.yaml").read_text()


async def test_what_is_too_much_is_refused_at_once_and_the_rest_is_answered(make_mesh):
    mesh = await make_mesh(CIRCUIT_BREAKER)
    assert mesh.problems == ()
    asked = [asyncio.create_task(mesh.ask(x_wait="yes")) for _ in range(12)]
    await mesh.reaches("payment.shop.svc.cluster.local.upstream_rq_pending_overflow", 9)
    for app in mesh.apps.values():
        app.released.set()
    answers = await asyncio.gather(*asked)
    refused = [status for status, _ in answers].count(503)
    assert 9 <= refused <= 11  # at most one is at each of the two pods, and one waits
    assert [status for status, _ in answers].count(200) == 12 - refused
    assert all("overflow" in body for status, body in answers if status == 503)


async def test_a_pod_that_fails_is_taken_out_and_the_last_half_never(make_mesh):
    mesh = await make_mesh(CIRCUIT_BREAKER)
    ejected = "outlier_detection.ejections_active"
    while await mesh.stat(ejected) == 0:
        await mesh.ask(x_fail="v2")
    assert {await mesh.ask(x_fail="v2") for _ in range(20)} == {(200, "v1")}
    assert {await mesh.ask(x_fail="v1,v2") for _ in range(20)} == {(503, "v1")}
    assert await mesh.stat(ejected) == 1


async def test_requests_with_one_key_go_to_one_pod(make_mesh):
    mesh = await make_mesh("""
kind: DestinationRule
metadata: {name: payment}
spec: {host: payment, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}}
""")
    seen = [{(await mesh.ask(x_user=f"user-{n}"))[1] for _ in range(4)} for n in range(30)]
    assert all(len(pods) == 1 for pods in seen)
    assert set().union(*seen) == {"v1", "v2"}


async def test_retries_leave_a_failing_canary_and_each_attempt_is_counted(make_mesh):
    mesh = await make_mesh("""
kind: DestinationRule
metadata: {name: payment}
spec:
  host: payment
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
kind: VirtualService
metadata: {name: payment}
spec:
  hosts: [payment]
  http:
    - route:
        - {destination: {host: payment, subset: v1}, weight: 50}
        - {destination: {host: payment, subset: v2}, weight: 50}
      retries: {attempts: 2, retryOn: 5xx}
""")
    answers = collections.Counter([await mesh.ask(x_fail="v2") for _ in range(100)])
    assert answers == {(200, "v1"): 100}
    failed = mesh.apps["v2"].answered[503]
    assert failed > 0
    assert await mesh.stat("|v2|payment.shop.svc.cluster.local.upstream_rq_total") == failed


async def test_subsets_differ_in_their_limits(make_mesh):
    mesh = await make_mesh("""
kind: DestinationRule
metadata: {name: payment}
spec:
  host: payment
  subsets:
    - {name: v1, labels: {version: v1}}
    - name: v2
      labels: {version: v2}
      trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}}
---
kind: VirtualService
metadata: {name: payment}
spec:
  hosts: [payment]
  http:
    - match: [{headers: {x-to: {exact: v2}}}]
      route: [{destination: {host: payment, subset: v2}}]
    - route: [{destination: {host: payment, subset: v1}}]
""")
    asked = [asyncio.create_task(mesh.ask(x_wait="yes", x_to=to)) for to in ("v1", "v2") for _ in range(5)]
    await mesh.reaches("|v2|payment.shop.svc.cluster.local.upstream_rq_pending_overflow", 3)
    for app in mesh.apps.values():
        app.released.set()
    answers = [status for status, _ in await asyncio.gather(*asked)]
    assert answers[:5] == [200] * 5
    assert answers[5:].count(503) in {3, 4}


async def test_a_host_outside_is_called_by_its_name_and_others_are_refused(make_mesh):
    mesh = await make_mesh("""
kind: ServiceEntry
metadata: {name: outside}
spec:
  hosts: [api.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  endpoints: [{address: OUTSIDE}]
""")
    assert await mesh.ask("api.example.com") == (200, "outside")
    status, body = await mesh.ask("other.example.com")
    assert (status, "write a ServiceEntry" in body) == (502, True)


async def test_a_sidecar_leaves_out_what_is_not_called(make_mesh):
    mesh = await make_mesh("""
kind: Sidecar
metadata: {name: default}
spec: {egress: [{hosts: [./payment.shop.svc.cluster.local]}]}
""")
    assert (await mesh.ask())[0] == 200
    assert (await mesh.ask("cart"))[0] == 502
    assert await mesh.clusters() == {"outbound|80||payment.shop.svc.cluster.local"}


async def test_a_sidecar_may_pass_on_what_is_not_known(make_mesh):
    mesh = await make_mesh("""
kind: Sidecar
metadata: {name: default}
spec: {outboundTrafficPolicy: {mode: ALLOW_ANY}}
""")
    assert await mesh.ask(f"{mesh.apps['outside'].address}:8080") == (200, "outside")


async def test_a_host_that_is_looked_up_for_each_request(make_mesh):
    mesh = await make_mesh("""
kind: ServiceEntry
metadata: {name: outside}
spec: {hosts: [OUTSIDE], ports: [{number: 8080, name: http, protocol: HTTP}]}
""")
    assert await mesh.ask(f"{mesh.apps['outside'].address}:8080") == (200, "outside")
