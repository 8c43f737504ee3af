"""The telemetry API as readers use it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web

from mesh.api.telemetry import TelemetryWindow
from mesh.telemetry.counters import Counts, Host, Report, Series
from mesh.telemetry.http import make_app
from mesh.telemetry.store import TelemetryStore

pytestmark = pytest.mark.integration


async def end(runner: web.AppRunner) -> None:
    """End a server with all its connections: one that is still closing when the loop ends would be reported as leaked."""
    for connection in runner.server.connections if runner.server else ():
        if connection.transport is not None:
            connection.transport.abort()
    await runner.cleanup()


SERIES = Series(Host("shop", "payment"), "payment", "payment-a")


@dataclass
class Feed:
    """A store that is fed by hand."""

    store: TelemetryStore
    now: float
    total: int = 0

    def window(self) -> None:
        """Let a second pass in which one request was counted."""
        self.now += 1
        self.total += 1
        totals = {SERIES: Counts(requests=self.total, attempts=self.total)}
        self.store.observe(Report("shop/frontend-1", self.now, int(self.now - START) - 1, totals))


START = 1_700_000_000.0


@pytest.fixture
def feed():
    feed = Feed(None, START)  # type: ignore[arg-type]
    feed.store = TelemetryStore(clock=lambda: feed.now, epoch="e1")
    feed.now += 2
    return feed


@pytest.fixture
async def client(feed):
    ready = {"is": False}
    runner = web.AppRunner(make_app(feed.store, lambda: ready["is"]), shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
        session.ready = ready  # type: ignore[attr-defined]
        session.runner = runner  # type: ignore[attr-defined]
        yield session
    await end(runner)


async def read(response: aiohttp.ClientResponse, number: int) -> list[TelemetryWindow]:
    async with asyncio.timeout(10):
        return [TelemetryWindow.model_validate_json(await response.content.readline()) for _ in range(number)]


async def test_readiness_is_what_it_is_told(client):
    async with client.get("/readyz") as response:
        assert response.status == 503
    client.ready["is"] = True
    async with client.get("/readyz") as response:
        assert response.status == 200


async def test_held_windows_come_first_and_new_ones_as_they_close(client, feed):
    feed.window()
    feed.window()
    async with client.get("/v1/telemetry/shop/payment") as response:
        assert response.headers["Content-Type"] == "application/x-ndjson"
        held = await read(response, 2)
        assert [window.pods[0].requests for window in held] == [1, 1]
        feed.window()
        (new,) = await read(response, 1)
    assert new.start == held[-1].end
    assert new.epoch == "e1"


async def test_a_reader_goes_on_where_it_was(client, feed):
    for _ in range(3):
        feed.window()
    async with client.get("/v1/telemetry/shop/payment") as response:
        first, second, third = await read(response, 3)
    async with client.get("/v1/telemetry/shop/payment", params={"since": repr(first.end)}) as response:
        assert await read(response, 2) == [second, third]


@pytest.mark.parametrize("since", ["yesterday", "nan", "inf", ""])
async def test_a_since_that_is_no_time_is_refused(client, since):
    async with client.get("/v1/telemetry/shop/payment", params={"since": since}) as response:
        assert response.status == 400
        assert "Unix seconds" in (await response.json())["error"]


async def test_the_hosts_are_listed(client, feed):
    feed.window()
    async with client.get("/v1/telemetry") as response:
        listed = await response.json()
    assert listed == {
        "epoch": "e1",
        "hosts": [{"namespace": "shop", "service": "payment"}],
        "proxies": {"shop/frontend-1": feed.now},
    }


async def test_one_that_does_not_read_holds_nobody_up(client, feed):
    """Far more than the sockets hold: the store goes on, another reader gets all, and the lazy one later too."""
    lazy = await client.get("/v1/telemetry/shop/payment")
    pods = {Series(SERIES.host, "payment", f"payment-{n}"): n for n in range(2000)}
    for step in range(1, 61):
        feed.now += 1
        totals = {series: Counts(requests=step, attempts=step) for series in pods}
        feed.store.observe(Report("shop/frontend-1", feed.now, int(feed.now - START) - 1, totals))
        await asyncio.sleep(0)
    assert feed.store.newest == 59

    (held,) = feed.store.windows(SERIES.host, since=feed.now - 0.5)
    async with client.get("/v1/telemetry/shop/payment", params={"since": repr(feed.now - 0.5)}) as response:
        async with asyncio.timeout(10):
            quick = b"".join([chunk async for chunk in until_line(response)])
    assert TelemetryWindow.model_validate_json(quick) == held.window
    late = b"".join([chunk async for chunk in until_line(lazy)])
    assert json.loads(late)["end"] == START + 3
    lazy.close()


async def until_line(response: aiohttp.ClientResponse):
    """The first line, however long (readline has a limit)."""
    async for chunk in response.content.iter_any():
        yield chunk[: chunk.index(b"\n")] if b"\n" in chunk else chunk
        if b"\n" in chunk:
            return


async def test_streams_end_when_the_server_does(client, feed):
    feed.window()
    response = await client.get("/v1/telemetry/shop/payment")
    await read(response, 1)
    await client.runner.cleanup()

    assert await response.content.read() == b""


async def test_a_due_window_closes_without_a_further_report(client, feed):
    feed.window()
    feed.now += 0.2
    feed.store.observe(Report("shop/frontend-2", feed.now, 0, {SERIES: Counts(requests=5)}))
    async with client.get("/v1/telemetry/shop/payment", params={"since": repr(feed.now - 0.1)}) as response:
        feed.now += 5
        (window,) = await read(response, 1)
    assert window.pods[0].requests == 5
