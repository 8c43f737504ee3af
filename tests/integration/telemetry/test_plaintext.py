"""What a real Envoy counts of callers in plaintext: by their address, and no more of them than it is told."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from envoy.config.listener.v3 import listener_pb2

from mesh.ir.services import ContainerPort
from mesh.ir.views import Inbound
from mesh.proxy import bootstrap
from mesh.telemetry.store import TelemetryStore
from mesh.xds import plaintext
from mesh.xds.listeners import inbound_listener
from mesh.xds.observation import observation
from mesh.xds.statslog import Bounds

if TYPE_CHECKING:
    from collections.abc import Callable

    from envoy.config.cluster.v3 import cluster_pb2

pytestmark = pytest.mark.integration

PORT = 5432


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"got " + await reader.readexactly(5))
    await writer.drain()
    await reader.read()
    writer.close()


def inbound(mode: str) -> Callable[[Any], Any]:
    """Return what makes a proxy's listener one in front of its pod's TCP port."""
    observe = observation()

    def make(listener: Any) -> Any:
        if not isinstance(listener, listener_pb2.Listener):
            return listener
        address = listener.address.socket_address.address
        made = observe(inbound_listener(Inbound(PORT, ContainerPort("tcp-db", PORT, "tcp"), mode), address))
        for chain in made.filter_chains:  # certificates come over ADS, which there is none of here
            chain.ClearField("transport_socket")
        return made

    return make


@pytest.fixture
async def seen(receiver) -> Counter[tuple[str, str, str]]:
    """What is reported, by stat, source and port."""
    found: Counter[tuple[str, str, str]] = Counter()

    def measured(_: str, news: Any) -> None:
        for point, (value, *_rest) in news.items():
            if point.stat.startswith(plaintext.PREFIX):
                found[point.stat, *point.tags] += int(value)

    await receiver.stop()
    await receiver.serve(TelemetryStore(clock=time.time, measured=measured))
    return found


@pytest.fixture
async def database(proxy, pod, shapes) -> Any:
    """Return what starts a sidecar in front of a TCP server, in a mode."""

    class Own(shapes.Service):
        @property
        def cluster(self) -> cluster_pb2.Cluster:
            made = super().cluster
            made.name = made.load_assignment.cluster_name = f"inbound|{PORT}"
            return made

    target = await pod("db-0")
    server = await asyncio.start_server(echo, target.ip, target.port)

    async def start(mode: str) -> Any:
        return await proxy([], [Own("db", [target])], observe=inbound(mode))

    yield start
    server.close()


async def call(proxy: Any, source: str) -> bytes:
    reader, writer = await asyncio.open_connection(proxy.ip, PORT, local_addr=(source, 0))
    try:
        writer.write(b"hello")
        return await reader.read(9)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def until(condition: Callable[[], bool], seen: object) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, seen
        await asyncio.sleep(0.05)


async def test_a_connection_is_counted_by_its_source_while_it_is_open(seen, database):
    sidecar = await database("PERMISSIVE")
    reader, writer = await asyncio.open_connection(sidecar.ip, PORT, local_addr=("127.0.0.77", 0))
    writer.write(b"hello")
    assert await reader.readexactly(9) == b"got hello"
    await until(lambda: seen[plaintext.CONNECTIONS, "127.0.0.77", str(PORT)] == 1, seen)
    writer.close()


async def test_a_connection_that_strict_refuses_is_counted_by_its_source(seen, database):
    sidecar = await database("STRICT")
    assert await call(sidecar, "127.0.0.78") == b""
    await until(lambda: seen[plaintext.REFUSED, "127.0.0.78", str(PORT)] == 1, seen)
    assert not [key for key in seen if key[0] == plaintext.CONNECTIONS]


async def test_no_more_sources_are_counted_than_there_may_be(seen, database, monkeypatch):
    monkeypatch.setattr(plaintext, "_BOUNDS", Bounds("few", 3))
    sidecar = await database("PERMISSIVE")
    for number in range(100, 106):
        assert await call(sidecar, f"127.0.0.{number}") == b"got hello"
    # The first three are still counted when the others have come.
    for _ in range(2):
        assert await call(sidecar, "127.0.0.100") == b"got hello"
    await until(lambda: seen[plaintext.CONNECTIONS, "127.0.0.100", str(PORT)] == 3, seen)
    assert {source for _, source, _ in seen} == {"127.0.0.100", "127.0.0.101", "127.0.0.102"}


async def test_those_that_stood_still_make_room(seen, database, monkeypatch):
    monkeypatch.setattr(plaintext, "_BOUNDS", Bounds("few", 1))
    monkeypatch.setattr(bootstrap, "_EVICTION", "1s")
    sidecar = await database("PERMISSIVE")
    first, second = [(plaintext.CONNECTIONS, f"127.0.0.{n}", str(PORT)) for n in (110, 111)]
    assert await call(sidecar, "127.0.0.110") == b"got hello"
    await until(lambda: seen[first] == 1, seen)
    end = time.monotonic() + 60
    while not seen[second]:
        assert time.monotonic() < end, seen
        assert await call(sidecar, "127.0.0.111") == b"got hello"
        await asyncio.sleep(0.2)
    # Who comes back begins at zero, which takes nothing away and counts nothing twice.
    calls = 1
    while seen[first] == 1:
        assert time.monotonic() < end + 20, seen
        await asyncio.sleep(2.5)  # nobody calls, so that the other one is dropped
        assert await call(sidecar, "127.0.0.110") == b"got hello"
        calls += 1
    assert 2 <= seen[first] <= calls
