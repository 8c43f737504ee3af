"""What the real Envoy makes of the bootstrap."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import grpc
import grpc.aio
import pytest
from envoy.service.discovery.v3 import discovery_pb2

from mesh.api.names import ADMIN_PORT, READY_PORT
from mesh.ca.authority import Authority
from mesh.ca.certificates import make_root
from mesh.ca.roots import first
from mesh.proxy.bootstrap import READY_PATH, ProxySettings, bootstrap, envoy_args
from mesh.proxy.identityfiles import INOTIFY_INSTANCES, config_map_data
from mesh.telemetry.otlp import add_to_server
from mesh.telemetry.store import TelemetryStore

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("xds", ["127.0.0.1:15010", "[::1]:15010", "coalmine-mesh.coalmine-system:15010"])
@pytest.mark.parametrize("capture", ["env", "iptables"])
async def test_envoy_finds_nothing_wrong_with_it(envoy, xds, capture, tmp_path):
    now = datetime.now(UTC)
    roots = make_root(now, timedelta(days=1)).certificate_pem.decode()
    for name, content in {**config_map_data(roots, str(tmp_path)), "token": "secret"}.items():
        (tmp_path / name).write_text(content)
    settings = ProxySettings(xds, capture, identity=str(tmp_path))
    config = bootstrap(settings, pod_ip="127.0.0.1", pod="frontend-1", namespace="shop")
    process = await asyncio.create_subprocess_exec(
        *(envoy, "--mode", "validate", "--config-yaml", json.dumps(config)),
        *envoy_args(settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()

    assert process.returncode == 0, output
    assert b"OK" in output
    assert b"warning" not in output


class ControlPlane:
    """Answers delta ADS with empty lists of clusters and listeners, once it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.node = ""
        self.asked: set[str] = set()
        self.shown: list[str] = []
        self.store = TelemetryStore(clock=time.time)

    async def stream(self, requests, context):
        self.shown.append(str(dict(context.invocation_metadata()).get("authorization")))
        async for request in requests:
            self.node = request.node.id or self.node
            self.asked.add(request.type_url)
            if request.response_nonce:
                continue
            await self.go.wait()
            yield discovery_pb2.DeltaDiscoveryResponse(
                type_url=request.type_url, nonce=request.type_url, system_version_info="1"
            )

    async def serve(self, port: int = 0, credentials: grpc.ServerCredentials | None = None):
        server = grpc.aio.server()
        method = grpc.stream_stream_rpc_method_handler(
            self.stream,
            request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
            response_serializer=discovery_pb2.DeltaDiscoveryResponse.SerializeToString,
        )
        service = "envoy.service.discovery.v3.AggregatedDiscoveryService"
        handler = grpc.method_handlers_generic_handler(service, {"DeltaAggregatedResources": method})
        server.add_generic_rpc_handlers((handler,))
        add_to_server(server, self.store)
        address = f"127.0.0.1:{port}"
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        await server.start()
        return server, port


async def status(ip: str, port: int, path: str) -> int:
    patience = aiohttp.ClientTimeout(total=1)
    async with aiohttp.ClientSession(timeout=patience) as session:
        try:
            async with session.get(f"http://{ip}:{port}{path}") as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            return 0


async def until(condition, what: str):
    end = time.monotonic() + 60
    while not await condition():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.02)


async def test_a_sidecar_is_ready_only_once_it_is_configured(envoy, addresses, tmp_path):
    ip, control = next(addresses), ControlPlane()
    server, port = await control.serve()
    settings = ProxySettings(f"127.0.0.1:{port}", "env", identity=None)
    config = json.dumps(bootstrap(settings, pod_ip=ip, pod="frontend-1", namespace="shop"))
    with (tmp_path / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            envoy, "--config-yaml", config, *envoy_args(settings), stderr=log
        )
    try:

        async def asked() -> bool:
            return any("Cluster" in kind for kind in control.asked)

        await until(asked, "Envoy did not ask for its clusters")
        assert await status(ip, READY_PORT, READY_PATH) == 0
        assert await status(ip, ADMIN_PORT, "/ready") == 503

        control.go.set()

        async def ready() -> bool:
            return await status(ip, READY_PORT, READY_PATH) == 200

        await until(ready, "not ready although configured")
        assert control.node == f"sidecar~{ip}~frontend-1.shop"
        assert len([kind for kind in control.asked if kind.endswith(("Cluster", "Listener"))]) == 2
        assert await status(ip, READY_PORT, "/else") == 404

        async def reports() -> bool:
            return "shop/frontend-1" in control.store.proxies

        await until(reports, "no telemetry")
        stats = await admin(ip, "/stats?usedonly=0")
        assert {line.split(":")[0] for line in stats.splitlines()} <= {"server.uptime", "control_plane.connected_state"}
        text = (tmp_path / "envoy.log").read_text()
        assert "warning" not in text
    finally:
        process.kill()
        await process.wait()
        await server.stop(None)


async def admin(ip: str, path: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"http://{ip}:{ADMIN_PORT}{path}") as response:
        return await response.text()


async def test_a_sidecar_finds_its_way_back_to_a_restarted_control_plane(envoy, addresses, tmp_path):
    ip, control = next(addresses), ControlPlane()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        probe.listen()
        port = probe.getsockname()[1]
    settings = ProxySettings(f"127.0.0.1:{port}", "env", identity=None)
    config = json.dumps(bootstrap(settings, pod_ip=ip, pod="frontend-1", namespace="shop"))
    with (tmp_path / "envoy.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            envoy, "--config-yaml", config, *envoy_args(settings), stderr=log
        )
    try:
        server, port = await control.serve(port)
        control.go.set()

        async def ready() -> bool:
            return await status(ip, READY_PORT, READY_PATH) == 200

        await until(ready, "not ready although configured")
        await server.stop(None)
        control.asked.clear()
        server, _ = await control.serve(port)

        async def back() -> bool:
            return bool(control.asked)

        await until(back, "did not come back")
        assert await status(ip, READY_PORT, READY_PATH) == 200
        await server.stop(None)
    finally:
        process.kill()
        await process.wait()


def mount(folder: Path, number: int, **files: str) -> None:
    """Bring files as the kubelet does: a new folder behind a link that is exchanged."""
    (folder / f"..{number}").mkdir()
    for name, content in files.items():
        (folder / f"..{number}" / name).write_text(content)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    (folder / "..new").symlink_to(f"..{number}")
    (folder / "..new").rename(folder / "..data")


def open_files(pid: int) -> list[str]:
    return [str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()]


async def test_a_renewed_token_is_shown_and_watching_it_takes_few_instances_of_inotify(envoy, addresses, tmp_path):
    ip, control = next(addresses), ControlPlane()
    authority = Authority(first(datetime.now(UTC)), clock=lambda: datetime.now(UTC))
    leaf = authority.server("127.0.0.1")
    server, port = await control.serve(0, grpc.ssl_server_credentials([(leaf.key, leaf.chain)]))
    roots = config_map_data(authority.roots.trusted.decode(), str(tmp_path))
    mount(tmp_path, 1, token="one", **roots)
    settings = ProxySettings(f"127.0.0.1:{port}", "env", identity=str(tmp_path))
    config = json.dumps(bootstrap(settings, pod_ip=ip, pod="frontend-1", namespace="shop"))
    process = await asyncio.create_subprocess_exec(envoy, "--config-yaml", config, *envoy_args(settings))
    try:

        async def shown(token: str) -> bool:
            return control.shown[-1:] == [f"Bearer {token}"]

        await until(lambda: shown("one"), f"no token: {control.shown}")
        mount(tmp_path, 2, token="two", **roots)
        await server.stop(None)
        server, _ = await control.serve(port, grpc.ssl_server_credentials([(leaf.key, leaf.chain)]))
        await until(lambda: shown("two"), f"the old token: {control.shown}")
        # Linux gives a user 128 by default, for all the pods of a node, and an Envoy that gets none aborts.
        assert open_files(process.pid).count("anon_inode:inotify") == INOTIFY_INSTANCES
    finally:
        process.kill()
        await process.wait()
        await server.stop(None)
