"""Proxies that speak delta discovery as Envoy does and accept everything, many in one process.

    python -m benchmarks.mesh.clients PORT BLOCK COUNT

It prints ``ready`` when all hold everything, and then for each new version of the routes the monotonic times at which the
proxies got it, one line for each version that all have.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

import grpc.aio
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.service.discovery.v3 import discovery_pb2

from mesh.xds.resources import CDS, EDS, LDS, RDS, SDS
from mesh.xds.routes import OUTBOUND_ROUTES
from mesh.xds.tls import LEAF, ROOTS

if TYPE_CHECKING:
    from collections.abc import Iterator

METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
Request = discovery_pb2.DeltaDiscoveryRequest


class Client:
    """One proxy."""

    def __init__(self, node: str, got: dict[str, list[float]], ready: asyncio.Semaphore) -> None:
        self.node = node
        self._got = got
        self._ready = ready
        self._types: set[str] = set()

    async def run(self, channel: Any) -> None:
        stream = channel.stream_stream(METHOD)()
        first = Request(type_url=CDS, resource_names_subscribe=["*"])
        first.node.id = self.node
        await stream.write(first.SerializeToString())
        while (wire := await stream.read()) is not grpc.aio.EOF:
            at = time.monotonic()
            response = discovery_pb2.DeltaDiscoveryResponse.FromString(wire)
            for resource in response.resources:
                if resource.name == OUTBOUND_ROUTES and response.type_url == RDS:
                    self._got.setdefault(resource.version, []).append(at)
            ack = Request(type_url=response.type_url, response_nonce=response.nonce)
            await stream.write(ack.SerializeToString())
            for more in self._next(response):
                await stream.write(more.SerializeToString())
            if response.type_url == RDS and RDS not in self._types:
                self._ready.release()
            self._types.add(response.type_url)

    def _next(self, response: Any) -> Iterator[Any]:
        """What Envoy asks for when it has got something for the first time."""
        if response.type_url in self._types:
            return
        if response.type_url == CDS:
            names = [r.name for r in response.resources if not r.name.startswith(("inbound", "passthrough"))]
            yield Request(type_url=EDS, resource_names_subscribe=names)
            yield Request(type_url=SDS, resource_names_subscribe=[LEAF, ROOTS])
            yield Request(type_url=LDS, resource_names_subscribe=["*"])
        if response.type_url == LDS:
            yield Request(type_url=RDS, resource_names_subscribe=sorted(_routes(response)))


def _routes(response: Any) -> set[str]:
    found = set()
    for resource in response.resources:
        listener = listener_pb2.Listener.FromString(resource.resource.value)
        for entry in (f for chain in listener.filter_chains for f in chain.filters):
            manager = hcm.HttpConnectionManager()
            if (
                entry.typed_config.Is(manager.DESCRIPTOR)
                and entry.typed_config.Unpack(manager)
                and manager.HasField("rds")
            ):
                found.add(manager.rds.route_config_name)
    return found


async def main(port: int, block: str, count: int) -> None:
    got: dict[str, list[float]] = {}
    ready = asyncio.Semaphore(0)
    options = (("grpc.use_local_subchannel_pool", 1),)  # a connection for each, as Envoys have
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) for _ in range(count)]
    addresses = [f"{block}.{2 + n // 250}.{1 + n % 250}" for n in range(count)]
    clients = [Client(f"sidecar~{a}~client-{n}.shop", got, ready) for n, a in enumerate(addresses)]
    running = [asyncio.create_task(c.run(ch)) for c, ch in zip(clients, channels, strict=True)]
    for _ in range(count):
        await ready.acquire()
    print("ready", flush=True)
    known = set(got)
    while not any(task.done() for task in running):
        await asyncio.sleep(0.005)
        for version in [v for v, times in got.items() if len(times) >= count or v in known]:
            times = got.pop(version)
            if version not in known:
                print(*times, flush=True)
        known.clear()
    await asyncio.gather(*running)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
