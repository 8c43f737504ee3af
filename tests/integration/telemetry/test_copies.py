"""Copies of requests, end to end: counted by kind for the one who answers them, and for nobody else."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import pytest
from aiohttp import web

from mesh.ir.traffic import ClusterKey, Destination, Match, Mirror, Route
from mesh.resolve.kinds import told_apart
from mesh.telemetry.counters import Host
from mesh.telemetry.store import TelemetryStore

pytestmark = pytest.mark.integration

PAYMENT = Host("shop", "payment")
DEADLINE = 20.0
CANARY = ClusterKey("shop", "payment-canary", 80)


async def ok(_: web.Request) -> web.Response:
    return web.Response()


async def refuses_writes(request: web.Request) -> web.Response:
    return web.Response(status=503 if request.method == "POST" else 200)


async def counted(store: Any, attempts: int) -> Counter[tuple[str, str, bool, str]]:
    """Wait until so many attempts, each with its latency, are in closed windows, and return what each row counts."""
    end = time.monotonic() + DEADLINE
    while True:
        store.tick()
        found: Counter[tuple[str, str, bool, str]] = Counter()
        for row in (row for _, window in store.windows(PAYMENT) for row in window.pods):
            for name in ("requests", "attempts", "attempt_errors"):
                found[row.backend, row.route, row.mirrored, name] += getattr(row, name)
            found[row.backend, row.route, row.mirrored, "timed"] += sum(row.latency)
        seen = sum(n for (*_, name), n in found.items() if name == "attempts")
        if seen >= attempts and seen == sum(n for (*_, name), n in found.items() if name == "timed"):
            assert seen == attempts
            return +found
        assert time.monotonic() < end, f"{seen} of {attempts}: {found}"
        await asyncio.sleep(0.05)


async def test_copies_are_attempts_of_their_kind_and_nobodys_requests(receiver, proxy, pod, shapes):
    told = []
    await receiver.stop()
    await receiver.serve(TelemetryStore(clock=time.time, counted=lambda _proxy, series, _delta: told.append(series)))
    copied = (Mirror(CANARY, 100.0, PAYMENT), Mirror(ClusterKey("shop", "audit", 80), 100.0))
    route = Route("default", Match(), (Destination(ClusterKey("shop", "payment", 80), 1),), mirrors=copied)
    pods = {"payment": ok, "payment-canary": refuses_writes, "audit": ok}
    services = [shapes.Service(name, [await pod(f"{name}-1", answer)]) for name, answer in pods.items()]
    caller = await proxy([shapes.Host("payment", {}, routes=told_apart([route], ()))], services)

    assert await caller.call("payment", 7) == [200] * 7
    assert await caller.call("payment", 3, method="POST") == [200] * 3

    found = await counted(receiver.store, 20)
    assert found == {
        **{("payment", "read", False, name): 7 for name in ("requests", "attempts", "timed")},
        **{("payment", "write", False, name): 3 for name in ("requests", "attempts", "timed")},
        **{("payment-canary", "read", True, name): 7 for name in ("attempts", "timed")},
        **{("payment-canary", "write", True, name): 3 for name in ("attempts", "attempt_errors", "timed")},
    }
    assert {series.backend for series in told} == {"payment"}  # the graph of who calls whom knows no copies
    assert receiver.store.hosts == [PAYMENT]
