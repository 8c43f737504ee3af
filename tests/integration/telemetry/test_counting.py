"""What a caller's Envoy counts, end to end: Envoy → OTLP → store → windows."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import Any

import pytest
from aiohttp import web

from mesh.api.telemetry import LATENCY_BOUNDS_MS
from mesh.telemetry.counters import Host as HostKey

pytestmark = pytest.mark.integration

PAYMENT = HostKey("shop", "payment")
DEADLINE = 15.0


async def ok(_: web.Request) -> web.Response:
    return web.Response(text="paid")


async def broken(_: web.Request) -> web.Response:
    return web.Response(status=503, text="broken")


def sums(store: Any, host: HostKey = PAYMENT) -> dict[tuple[str, str], dict[str, int]]:
    total: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for _, window in store.windows(host):
        for row in window.pods:
            pod = total[row.backend, row.pod]
            for name in ("requests", "request_errors", "attempts", "attempt_errors"):
                pod[name] += getattr(row, name)
            pod["latency"] += sum(row.latency)
    return {key: dict(values) for key, values in total.items()}


async def reported(store: Any, *, requests: int, attempts: int, host: HostKey = PAYMENT) -> dict[Any, dict[str, int]]:
    """Wait until so many are in closed windows, and a window more, so that a count too many would show."""
    end = time.monotonic() + DEADLINE
    enough_since = None
    while True:
        found = sums(store, host)
        seen = sum(p["requests"] for p in found.values()), sum(p["attempts"] for p in found.values())
        if seen >= (requests, attempts):
            enough_since = store.newest if enough_since is None else enough_since
            if store.newest > enough_since + 1:
                return found
        assert time.monotonic() < end, f"{seen} of {(requests, attempts)}: {found}"
        store.tick()
        await asyncio.sleep(0.05)


async def test_each_pod_and_backend_is_counted_apart(receiver, proxy, pod, shapes):
    stable = [await pod("payment-a", ok), await pod("payment-b", ok)]
    canary = [await pod("payment-canary-c", broken)]
    services = [shapes.Service("payment", stable), shapes.Service("payment-canary", canary)]
    caller = await proxy([shapes.Host("payment", {"payment": 50, "payment-canary": 50})], services)

    statuses = await caller.call("payment", 60)

    found = await reported(receiver.store, requests=60, attempts=60)
    assert set(found) == {
        ("payment", "payment-a"),
        ("payment", "payment-b"),
        ("payment-canary", "payment-canary-c"),
    }
    bad = found["payment-canary", "payment-canary-c"]
    assert bad == {name: statuses.count(503) for name in bad}
    good = [found["payment", name] for name in ("payment-a", "payment-b")]
    assert sum(p["requests"] for p in good) == statuses.count(200) > 0
    assert all(p["latency"] == p["attempts"] == p["requests"] for p in good)
    assert all(p["request_errors"] == p["attempt_errors"] == 0 for p in good)
    assert receiver.store.hosts == [PAYMENT]
    assert "warning" not in caller.log
    assert "error" not in caller.log


async def test_retries_do_not_hide_failed_attempts(receiver, proxy, pod, shapes):
    asked = 0

    async def flaky(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=500 if asked % 2 else 200)

    caller = await proxy(
        [shapes.Host("payment", {"payment": 100}, retries=2)],
        [shapes.Service("payment", [await pod("payment-a", flaky)])],
    )

    assert await caller.call("payment", 10) == [200] * 10

    found = await reported(receiver.store, requests=10, attempts=20)
    assert found == {
        ("payment", "payment-a"): {
            "requests": 10,
            "request_errors": 0,
            "attempts": 20,
            "attempt_errors": 10,
            "latency": 20,
        }
    }


async def silent(_: web.Request) -> web.Response:
    await asyncio.sleep(30)
    return web.Response()


async def cut_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b"half of it")
    assert request.transport is not None
    request.transport.abort()
    return response


async def reset(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize(
    "case",
    [
        pytest.param((None, {}, 1), id="refused"),
        pytest.param((None, {"retries": 2}, 3), id="refused-retried"),
        pytest.param((reset, {}, 1), id="reset"),
        pytest.param((cut_off, {"timeout": 1.0}, 1), id="cut-off-answer"),
        pytest.param((silent, {"timeout": 0.2}, 1), id="route-timeout"),
        pytest.param((silent, {"retries": 1, "per_try_timeout": 0.2, "timeout": 3.0}, 2), id="try-timeout"),
    ],
)
async def test_an_attempt_without_a_whole_answer_is_an_error_of_its_pod(receiver, proxy, pod, shapes, case):
    handler, route, attempts = case
    caller = await proxy(
        [shapes.Host("payment", {"payment": 100}, **route)],
        [shapes.Service("payment", [await pod("payment-a", handler)])],
    )

    await caller.call("payment")

    found = await reported(receiver.store, requests=1, attempts=attempts)
    assert found == {
        ("payment", "payment-a"): {
            "requests": 1,
            "request_errors": 1,
            "attempts": attempts,
            "attempt_errors": attempts,
            "latency": attempts,
        }
    }


async def test_a_caller_that_gives_up_got_no_answer(receiver, proxy, pod, shapes):
    caller = await proxy(
        [shapes.Host("payment", {"payment": 100})], [shapes.Service("payment", [await pod("payment-a", silent)])]
    )

    assert await caller.call("payment", patience=0.3) == [0]

    found = await reported(receiver.store, requests=1, attempts=1)
    assert found["payment", "payment-a"]["request_errors"] == 1
    assert found["payment", "payment-a"]["attempt_errors"] == 1
    (latency,) = [p.latency for _, w in receiver.store.windows(PAYMENT) for p in w.pods if p.attempts]
    assert LATENCY_BOUNDS_MS[latency.index(1)] in {300, 400}


async def test_a_request_that_finds_no_pod_counts_for_its_host_and_backend(receiver, proxy, shapes):
    hosts = [shapes.Host("payment", {"payment": 100}), shapes.Host("orders", {"no-such-cluster": 100})]
    caller = await proxy(hosts, [shapes.Service("payment", [])])

    assert await caller.call("payment", 3) == [503] * 3
    assert await caller.call("orders", 2) == [503] * 2
    assert await caller.call("elsewhere", 1) == [404]

    counts = {"requests": 3, "request_errors": 3, "attempts": 0, "attempt_errors": 0, "latency": 0}
    assert await reported(receiver.store, requests=3, attempts=0) == {("payment", ""): counts}
    orders = await reported(receiver.store, requests=2, attempts=0, host=HostKey("shop", "orders"))
    assert orders == {("", ""): {**counts, "requests": 2, "request_errors": 2}}
    assert receiver.store.hosts == [("shop", "orders"), ("shop", "payment")]


async def test_latency_lands_in_its_bucket(receiver, proxy, pod, shapes):
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(0.16)
        return web.Response()

    caller = await proxy(
        [shapes.Host("payment", {"payment": 100})], [shapes.Service("payment", [await pod("payment-a", slow)])]
    )
    await caller.call("payment", 3)
    await reported(receiver.store, requests=3, attempts=3)

    rows = [p.latency for _, w in receiver.store.windows(PAYMENT) for p in w.pods if p.latency]
    total = [sum(column) for column in zip(*rows, strict=True)]
    assert sum(total) == 3
    assert sum(total[: LATENCY_BOUNDS_MS.index(150) + 1]) == 0  # none faster than the backend's own 160 ms
