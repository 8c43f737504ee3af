"""Pods with sidecars that report spans, and a collector that takes them over OTLP, in this process."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import grpc
import pytest
import yaml
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from coalmine.local.layout import MESH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reading.objects import Objects

    from coalmine.local.cluster import LocalCluster
    from coalmine.local.kube import Kubectl

APP = """
import os
import aiohttp
from aiohttp import web

FORWARDED = ("traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-request-id")

async def answer(request):
    seen = {k.lower(): v for k, v in request.headers.items()}
    status = int(request.query.get("status", "200"))
    if "next" in request.query:
        passed = {k: v for k, v in seen.items() if k in FORWARDED}
        async with aiohttp.ClientSession(trust_env=True) as session:
            async with session.get(f"http://{request.query['next']}/", headers=passed) as response:
                seen = {"next": await response.json(), **seen}
    return web.json_response(seen, status=status)

app = web.Application()
app.router.add_get("/{any:.*}", answer)
web.run_app(app, host=os.environ["POD_IP"], port=8080, access_log=None)
"""
VARIABLES = ("COALMINE_TRACING_OTLP", "COALMINE_TRACING_SAMPLING")
_SCOPE_SPANS = 2
"""Number of the field; its name differs between the versions of the protocol that packages bring."""


@dataclass(frozen=True)
class Span:
    """A span as the collector got it."""

    trace: str
    id: str
    parent: str
    name: str
    kind: int
    status: int
    attributes: dict[str, str]
    resource: dict[str, str]

    @property
    def service(self) -> str:
        return self.resource["service.name"]


def _attributes(found: Any) -> dict[str, str]:
    return {a.key: a.value.string_value for a in found}


class Collector:
    """An OTLP receiver over gRPC on a loopback address."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._changed = threading.Condition()
        self._server = grpc.server(ThreadPoolExecutor(2))
        method = grpc.unary_unary_rpc_method_handler(
            self._export,
            request_deserializer=trace_service_pb2.ExportTraceServiceRequest.FromString,
            response_serializer=trace_service_pb2.ExportTraceServiceResponse.SerializeToString,
        )
        service = "opentelemetry.proto.collector.trace.v1.TraceService"
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def _export(self, request: Any, _: Any) -> Any:
        with self._changed:
            for group in request.resource_spans:
                resource = _attributes(group.resource.attributes)
                scopes = next((value for field, value in group.ListFields() if field.number == _SCOPE_SPANS), ())
                self._spans += [
                    Span(
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.name,
                        span.kind,
                        span.status.code,
                        _attributes(span.attributes),
                        resource,
                    )
                    for scope in scopes
                    for span in scope.spans
                ]
            self._changed.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    async def trace(self, trace: str, count: int) -> list[Span]:
        """Wait for the spans of a trace; Envoy sends them within five seconds."""
        return await asyncio.to_thread(self._wait, trace, count)

    def _wait(self, trace: str, count: int) -> list[Span]:
        with self._changed:
            enough = self._changed.wait_for(lambda: len(self.of(trace)) >= count, timeout=30)
            assert enough, f"{self.of(trace)} of {len(self._spans)} spans"
            return self.of(trace)

    def of(self, trace: str) -> list[Span]:
        return [span for span in self._spans if span.trace == trace]

    @property
    def traces(self) -> set[str]:
        with self._changed:
            return {span.trace for span in self._spans}

    def stop(self) -> None:
        self._server.stop(None).wait()


class Traced:
    """A namespace with pods ``caller``, ``payment`` and ``ledger``."""

    def __init__(self, kubectl: Kubectl, live: Objects, namespace: str, cluster: LocalCluster) -> None:
        self.kubectl = kubectl
        self.namespace = namespace
        self.cluster = cluster
        self.live = live

    def apply(self, *manifests: dict[str, Any]) -> None:
        self.kubectl("apply", "-n", self.namespace, "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def deploy(self, name: str) -> None:
        container = {
            "name": "app",
            "image": "none",
            "command": [sys.executable, "-c", APP],
            "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        }
        labels = {"app": name, "version": "v1"}
        spec = {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        }
        ports = [{"name": "http", "port": 80, "targetPort": 8080}]
        service = {"selector": {"app": name}, "ports": ports}
        self.apply(
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": service},
        )

    def pod(self, app: str) -> dict[str, Any]:
        return self.live.pods(self.namespace, f"app={app}")[0]

    def sampling(self, percent: float, **rule: Any) -> None:
        """Write the namespace's Telemetry."""
        spec = {"tracing": [{"randomSamplingPercentage": percent, **rule}]}
        meta = {"name": "traces"}
        self.apply({"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "metadata": meta, "spec": spec})

    @functools.cached_property
    def proxy(self) -> str:
        return f"http://{self.pod('caller')['status']['podIP']}:15001"

    async def call(self, path: str = "/", status: int = 200, **headers: str) -> dict[str, Any]:
        """Send a request through the caller's sidecar; return the headers that the application saw."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.get(f"http://payment{path}", proxy=self.proxy, headers=named) as response,
        ):
            assert response.status == status, await response.text()
            return await response.json()

    async def listeners(self, app: str) -> dict[str, str]:
        """Return the versions of the listeners that a sidecar holds."""
        url = f"http://{self.pod(app)['status']['podIP']}:15000/config_dump?resource=dynamic_listeners"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            found = json.loads(await response.text())["configs"]
        return {entry["name"]: entry["active_state"]["version_info"] for entry in found}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def cluster(own_cluster: LocalCluster) -> LocalCluster:
    return own_cluster


@pytest.fixture(scope="module")
def traced(cluster: LocalCluster, kubectl: Kubectl, live: Objects, collector: Collector) -> Iterator[Traced]:
    """The pods, under a control plane that has been told of the collector."""
    before = {name: os.environ.get(name) for name in VARIABLES}
    os.environ.update(dict(zip(VARIABLES, (collector.address, "100"), strict=True)))
    cluster.stop(MESH)
    cluster.start(MESH)
    namespace = f"trace-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", namespace)
    kubectl("label", "namespace", namespace, "coalmine.dev/inject=enabled")
    kubectl("wait", "--for=create", "serviceaccount/default", "-n", namespace, "--timeout=120s")
    made = Traced(kubectl, live, namespace, cluster)
    for name in ("payment", "caller", "ledger"):
        made.deploy(name)
    kubectl("wait", "deploy", "--all", "--for=condition=Available", "-n", namespace, "--timeout=120s")
    yield made
    kubectl("delete", "namespace", namespace, "--wait=false")
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    cluster.stop(MESH)


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Return what awaits a condition: ``await eventually(check)``."""

    async def wait(check: Any, seconds: float = 120.0) -> None:
        end = time.monotonic() + seconds
        while not await check():
            assert time.monotonic() < end, f"not so after {seconds} s"
            await asyncio.sleep(0.05)

    return wait


class Steady:
    """Requests, one after the other from three clients."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.sent = 0
        self.over = False

    async def send(self, proxy: str) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            while not self.over:
                try:
                    async with session.get("http://payment/", proxy=proxy) as response:
                        if response.status != 200:
                            self.failures.append(await response.text())
                except (aiohttp.ClientError, TimeoutError) as error:
                    self.failures.append(repr(error))
                self.sent += 1


@pytest.fixture
def steady() -> Any:
    """Return what sends requests until the block ends: ``async with steady(traced) as load``."""

    @contextlib.asynccontextmanager
    async def send(traced: Traced) -> Any:
        load = Steady()
        senders = [asyncio.create_task(load.send(traced.proxy)) for _ in range(3)]
        try:
            yield load
        finally:
            load.over = True
            await asyncio.gather(*senders)

    return send
