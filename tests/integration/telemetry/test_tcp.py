"""TCP connections as a real Envoy counts them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from mesh.telemetry.store import TelemetryStore
from mesh.xds import standard
from mesh.xds.messages import socket, to_any
from mesh.xds.observation import observation

if TYPE_CHECKING:
    from mesh.telemetry.counters import Point, Values

pytestmark = pytest.mark.integration

PORT = 5432


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"got " + await reader.readexactly(5))
    await writer.drain()
    await reader.read()
    writer.close()


def through(cluster: str) -> Any:
    """Return what makes a proxy's listener one of TCP to this cluster."""
    observe = observation(access_log_percent=100)

    def make(listener: listener_pb2.Listener) -> Any:
        proxy = tcp_proxy_pb2.TcpProxy(stat_prefix="tcp", cluster=cluster)
        entry = listener_components_pb2.Filter(name="envoy.filters.network.tcp_proxy", typed_config=to_any(proxy))
        return observe(
            listener_pb2.Listener(
                name=listener.name,
                address=socket(listener.address.socket_address.address, PORT),
                traffic_direction=base_pb2.OUTBOUND,
                filter_chains=[listener_components_pb2.FilterChain(filters=[entry])],
            )
        )

    return make


async def test_connections_are_counted_as_they_open_and_their_bytes_when_they_close(receiver, proxy, pod, shapes):
    totals: dict[Point, Values] = {}

    def measured(_: str, news: Any) -> None:
        for point, values in news.items():
            totals[point] = tuple(a + b for a, b in zip(totals.get(point, (0.0,)), values, strict=True))

    await receiver.stop()
    await receiver.serve(TelemetryStore(clock=time.time, measured=measured))
    target = await pod("db-0")
    server = await asyncio.start_server(echo, target.ip, target.port)
    service = shapes.Service("db", [target])
    caller = await proxy([], [service], observe=through(service.cluster.name))

    async def reaches(stat: str, value: float) -> Point:
        end = time.monotonic() + 60
        while not (found := [p for p, values in totals.items() if p.stat == stat and values == (value,)]):
            assert time.monotonic() < end, totals
            await asyncio.sleep(0.05)
        return found[0]

    reader, writer = await asyncio.open_connection(caller.ip, PORT)
    writer.write(b"hello")
    assert await reader.readexactly(9) == b"got hello"
    opened = await reaches(standard.OPENED, 1)
    tags = dict(zip(standard.TAGS, opened.tags, strict=True))
    assert (tags["reporter"], tags["backend"]) == ("source", "shop/db")
    assert not [p for p in totals if p.stat == standard.CLOSED]

    writer.close()
    await reaches(standard.CLOSED, 1)
    await reaches(standard.RECEIVED, 5)
    await reaches(standard.SENT, 9)
    server.close()
