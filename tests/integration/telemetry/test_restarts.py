"""Nothing is lost and nothing counted twice when either side of the telemetry restarts."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from mesh.telemetry.counters import Host

if TYPE_CHECKING:
    from mesh.telemetry.store import TelemetryStore

pytestmark = pytest.mark.integration

PAYMENT = Host("shop", "payment")
DEADLINE = 20.0


async def ok(_: web.Request) -> web.Response:
    return web.Response(text="paid")


def total(store: TelemetryStore) -> tuple[int, int, int]:
    rows = [row for _, window in store.windows(PAYMENT) for row in window.pods]
    return sum(r.requests for r in rows), sum(r.attempts for r in rows), sum(sum(r.latency) for r in rows)


async def settled(store: TelemetryStore, windows: int = 2) -> tuple[int, int, int]:
    """Wait for so many further windows in which the host's callers reported, and return what is counted."""
    end = time.monotonic() + DEADLINE
    seen = len(store.windows(PAYMENT))
    while len(store.windows(PAYMENT)) < seen + windows:
        assert time.monotonic() < end, "no proxy reports"
        store.tick()
        await asyncio.sleep(0.05)
    return total(store)


@pytest.fixture
async def caller(proxy: Any, pod: Any, shapes: Any) -> Any:
    services = [shapes.Service("payment", [await pod("payment-a", ok)])]
    return await proxy([shapes.Host("payment", {"payment": 100})], services)


async def test_a_lost_connection_loses_nothing(receiver, caller):
    await caller.call("payment", 5)
    assert await settled(receiver.store) == (5, 5, 5)
    store = receiver.store

    await receiver.stop()
    await caller.call("payment", 7)
    await receiver.serve(store)  # the process lives on; only the connection was gone

    assert await settled(store) == (12, 12, 12)


async def test_a_restarted_control_plane_starts_from_what_was_counted(receiver, caller):
    await caller.call("payment", 5)
    assert await settled(receiver.store) == (5, 5, 5)
    epoch = receiver.store.epoch

    await receiver.stop()
    await receiver.start()
    assert await settled(receiver.store) == (0, 0, 0)
    await caller.call("payment", 3)

    assert await settled(receiver.store) == (3, 3, 3)
    assert receiver.store.epoch != epoch


async def test_a_restarted_envoy_counts_on(receiver, caller):
    await caller.call("payment", 5)
    assert await settled(receiver.store) == (5, 5, 5)

    await caller.kill()
    await caller.start()
    await caller.call("payment", 9)  # more than before: only its age tells that these are new

    assert await settled(receiver.store) == (14, 14, 14)


async def test_a_new_proxy_counts_from_its_first_request(receiver, caller, proxy):
    await caller.call("payment", 2)
    assert await settled(receiver.store) == (2, 2, 2)

    second = await proxy(caller.hosts, caller.services, name="frontend-2")
    await second.call("payment", 4)

    assert await settled(receiver.store) == (6, 6, 6)
    assert max(window.reporting for _, window in receiver.store.windows(PAYMENT)) == 2


async def test_a_changed_listener_counts_on(receiver, caller):
    await caller.call("payment", 5)
    assert await settled(receiver.store) == (5, 5, 5)

    for round_ in range(3):
        caller.hosts[0].timeout = 4.0 - round_
        caller.write(caller.hosts, caller.services)
        await caller.changed()
        await caller.call("payment", 5)

    assert await settled(receiver.store, 9) == (20, 20, 20)  # past the old listeners' end
