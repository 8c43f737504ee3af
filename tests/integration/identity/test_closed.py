"""Discovery and telemetry are for the pods' own proxies and for nobody else."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import grpc
import grpc.aio
import pytest
from aiohttp import web
from envoy.service.discovery.v3 import discovery_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

from mesh.proxy.bootstrap import PROXY_ATTRIBUTE
from mesh.telemetry import http
from mesh.telemetry.store import TelemetryStore
from mesh.wiring.kube import Kube
from mesh.wiring.tokens import Tokens, reading_middleware
from mesh.xds.resources import CDS
from rollouts.engine.telemetry import TelemetryStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.integration

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
OTLP = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


class Client:
    """Speaks to the control plane as a proxy would."""

    def __init__(self, mesh: Any) -> None:
        self.mesh = mesh
        self.address = f"127.0.0.1:{mesh.cluster.settings.ports.mesh_xds}"
        root = mesh.get("configmap", "coalmine-ca-root")["data"]["root-cert.pem"].encode()
        self.channel = grpc.aio.secure_channel(self.address, grpc.ssl_channel_credentials(root))

    def token(self, app: str, *extra: str, audience: str = "coalmine", bound: bool = True) -> str:
        pod = self.mesh.pod(app)["metadata"]
        args = ("--bound-object-kind=Pod", f"--bound-object-name={pod['name']}") if bound else ()
        where = ("-n", self.mesh.namespace, f"--audience={audience}")
        return self.mesh.kubectl("create", "token", app, *where, *args, *extra).strip()

    async def clusters(self, app: str, token: str | None, channel: Any = None) -> list[str]:
        """Ask for an app's clusters; return their names, or raise."""
        node = f"sidecar~127.0.0.1~{self.mesh.pod(app)['metadata']['name']}.{self.mesh.namespace}"
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=CDS, resource_names_subscribe=["*"])
        request.node.id = node
        call = (channel or self.channel).stream_stream(
            ADS,
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )(metadata=self.metadata(token), timeout=20)
        await call.write(request)
        response = await call.read()
        if response is grpc.aio.EOF:
            raise AssertionError(f"ended with {await call.code()}: {await call.details()}")
        call.cancel()
        return [resource.name for resource in response.resources]

    async def report(self, proxy: str, token: str | None) -> None:
        request = metrics_service_pb2.ExportMetricsServiceRequest()
        resource = request.resource_metrics.add()
        attribute = resource.resource.attributes.add(key=PROXY_ATTRIBUTE)
        attribute.value.string_value = proxy
        scopes = getattr(resource, resource.DESCRIPTOR.fields_by_number[2].name)
        metric = scopes.add().metrics.add(name="server.uptime")
        metric.gauge.data_points.add(as_int=1, time_unix_nano=1)
        await self.channel.unary_unary(
            OTLP,
            request_serializer=metrics_service_pb2.ExportMetricsServiceRequest.SerializeToString,
            response_deserializer=metrics_service_pb2.ExportMetricsServiceResponse.FromString,
        )(request, metadata=self.metadata(token), timeout=20)

    @staticmethod
    def metadata(token: str | None) -> tuple[tuple[str, str], ...]:
        return () if token is None else (("authorization", f"Bearer {token}"),)


@pytest.fixture
async def client(mesh) -> AsyncIterator[Client]:
    client = Client(mesh)
    yield client
    await client.channel.close()


async def code_of(work: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await work
    return caught.value.code().name


async def test_a_pods_own_token_opens_its_configuration(client, mesh):
    name = f"outbound|80||payment.{mesh.namespace}.svc.cluster.local"
    assert name in await client.clusters("caller", client.token("caller"))


@pytest.mark.parametrize("token", [None, "", "nonsense"])
async def test_nobody_without_a_valid_token_gets_anything(client, mesh, token):
    assert await code_of(client.clusters("caller", token)) == "UNAUTHENTICATED"
    assert await code_of(client.report(f"{mesh.namespace}/caller", token)) == "UNAUTHENTICATED"


async def test_a_token_for_somebody_else_is_worth_nothing_here(client):
    token = client.token("caller", audience="https://kubernetes.default.svc.cluster.local")
    assert await code_of(client.clusters("caller", token)) == "UNAUTHENTICATED"


async def test_one_pod_does_not_get_what_is_anothers(client, mesh):
    token = client.token("caller")
    assert await code_of(client.clusters("payment", token)) == "PERMISSION_DENIED"
    payment = mesh.pod("payment")["metadata"]["name"]
    assert await code_of(client.report(f"{mesh.namespace}/{payment}", token)) == "PERMISSION_DENIED"


async def test_a_token_that_was_made_for_no_pod_is_no_proxys(client):
    assert await code_of(client.clusters("caller", client.token("caller", bound=False))) == "PERMISSION_DENIED"


async def test_a_report_of_ones_own_is_taken(client, mesh):
    name = mesh.pod("caller")["metadata"]["name"]
    await client.report(f"{mesh.namespace}/{name}", client.token("caller"))


async def test_without_tls_nobody_answers(client):
    async with grpc.aio.insecure_channel(client.address) as channel:
        assert await code_of(client.clusters("caller", client.token("caller"), channel)) == "UNAVAILABLE"


@pytest.fixture
async def api(mesh) -> AsyncIterator[str]:
    """The HTTP API as it is off loopback."""
    kube = await Kube.connect(str(mesh.cluster.kubeconfig_for("mesh")))
    check = reading_middleware(kube, Tokens(kube, clock=time.monotonic))
    runner = web.AppRunner(http.make_app(TelemetryStore(clock=time.time), lambda: True, check))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()
    await kube.close()


async def test_telemetry_is_read_by_those_who_may_read_it(api, client, mesh, eventually):
    async def status(path: str, token: str = "") -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with aiohttp.ClientSession() as session, session.get(f"{api}{path}", headers=headers) as response:
            return response.status

    token = client.token("caller", bound=False)
    assert await status("/readyz") == 200
    assert await status("/v1/telemetry") == 401
    assert await status("/v1/telemetry", "nonsense") == 401
    assert await status("/v1/telemetry", token) == 403
    name, account = f"reads-{mesh.namespace}", f"--serviceaccount={mesh.namespace}:caller"
    mesh.kubectl("create", "clusterrole", name, "--verb=get", "--non-resource-url=/v1/*")
    mesh.kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", account)
    try:
        await eventually(partial(status, "/v1/telemetry", token), 200)
    finally:
        mesh.kubectl("delete", "clusterrole,clusterrolebinding", name)


async def test_a_controller_shows_the_token_of_its_file(api, client, mesh, tmp_path):
    file, told = tmp_path / "token", asyncio.Event()
    file.write_text("nonsense\n")
    async with aiohttp.ClientSession() as session:
        url = f"{api}/v1/telemetry/{mesh.namespace}/payment"
        stream = TelemetryStream(session, url, 0.0, told.set, token_file=file)
        try:
            async with asyncio.timeout(120):
                await told.wait()
                assert "401" in stream.problem
                file.write_text(client.token("caller", bound=False))
                while "403" not in stream.problem:
                    told.clear()
                    await told.wait()
        finally:
            await stream.close()
