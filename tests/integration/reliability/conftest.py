"""A caller and five pods of two versions behind real sidecars that speak mutual TLS only, and steady requests."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import datetime as dt
import json
import os
import sys
import uuid
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from coalmine.local.layout import MESH
from mesh.wiring.kinds import TRAFFIC_SPLITS
from mesh.wiring.kube import Kube

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from reading.objects import Objects

    from coalmine.local.cluster import LocalCluster
    from coalmine.local.kube import Kubectl

APPS = ("caller", "payment", "payment-canary")
CERTIFICATE_SECONDS = 6
APP = """
import os
from aiohttp import web

async def answer(request):
    secure = "x-forwarded-client-cert" in request.headers
    return web.json_response({"version": os.environ["VERSION"], "secure": secure})

app = web.Application()
app.router.add_get("/{any:.*}", answer)
web.run_app(app, host=os.environ["POD_IP"], port=8080, access_log=None)
"""


def deployment(name: str, version: str, replicas: int) -> list[dict[str, Any]]:
    address = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    container = {
        "name": "app",
        "image": "none",
        "command": [sys.executable, "-c", APP],
        "env": [{"name": "VERSION", "value": version}, address],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": name}},
        "strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
    }
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    meta = {"name": name}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"selector": {"app": name}, "ports": ports},
        },
    ]


class Bench:
    """The namespace, and what happens to it."""

    def __init__(self, cluster: LocalCluster, kubectl: Kubectl, live: Objects, namespace: str) -> None:
        self.cluster = cluster
        self.kubectl = kubectl
        self.namespace = namespace
        self.live = live
        self._address = ""

    def apply(self, *manifests: dict[str, Any]) -> None:
        self.kubectl("apply", "-n", self.namespace, "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def pods(self, app: str) -> list[dict[str, Any]]:
        return self.live.pods(self.namespace, f"app={app}")

    def available(self) -> None:
        self.kubectl("rollout", "status", "deploy", "-n", self.namespace, "--timeout=120s")

    @property
    def caller(self) -> str:
        self._address = self._address or self.pods("caller")[0]["status"]["podIP"]
        return self._address

    async def weight(self, kube: Kube, canary: int) -> None:
        """Give the canary a share and wait until every proxy holds it."""
        backends = [{"service": "payment", "weight": 100 - canary}, {"service": "payment-canary", "weight": canary}]
        meta = {"namespace": self.namespace, "name": "payment"}
        manifest = {"metadata": meta, "spec": {"service": "payment", "backends": backends}}
        changed = await kube.apply(TRAFFIC_SPLITS, manifest)
        async with asyncio.timeout(120):
            while True:
                splits, _ = await kube.list_all(TRAFFIC_SPLITS)
                found = next(s for s in splits if s["metadata"]["namespace"] == self.namespace).get("status", {})
                if found.get("acknowledged", {}).get("generation") == changed["metadata"]["generation"]:
                    return
                await asyncio.sleep(0.02)

    async def certificate(self, address: str) -> dict[str, Any]:
        """Return what a sidecar says of its certificate."""
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}:15000/certs") as response:
            found = json.loads(await response.text())["certificates"]
        return next(
            chain
            for entry in found
            for chain in entry["cert_chain"]
            if any(name.get("uri", "").startswith("spiffe:") for name in chain["subject_alt_names"])
        )

    async def serial(self) -> str:
        """Return the serial number of the certificate that the caller's sidecar uses."""
        return (await self.certificate(self.caller))["serial_number"]

    async def use_lasting_certificates(self) -> None:
        """Go on with a control plane whose certificates outlive its absence, and wait until every sidecar has one."""
        os.environ.pop("COALMINE_CERTIFICATE_SECONDS", None)
        await asyncio.to_thread(self.cluster.restart, MESH)
        soon = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
        found = [pod for app in APPS for pod in self.pods(app)]
        async with asyncio.timeout(120):
            for address in [pod["status"]["podIP"] for pod in found]:
                while True:
                    if dt.datetime.fromisoformat((await self.certificate(address))["expiration_time"]) > soon:
                        break
                    await asyncio.sleep(0.1)

    async def counted(self) -> collections.Counter[tuple[str, str]]:
        """Return what the caller's sidecar counted by code and security, as the control plane's metrics have it."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.cluster.mesh_url}/metrics") as response:
            families = text_string_to_metric_families(await response.text())
        found: collections.Counter[tuple[str, str]] = collections.Counter()
        for family in families:
            for sample in family.samples if family.name == "istio_requests" else ():
                labels = sample.labels
                if (labels["reporter"], labels["source_workload_namespace"]) == ("source", self.namespace):
                    found[labels["response_code"], labels["connection_security_policy"]] += int(sample.value)
        return found


class Load:
    """Requests to host payment through the caller's sidecar, and what came of them."""

    def __init__(self, address: str) -> None:
        self.proxy = f"http://{address}:15001"
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.over = asyncio.Event()
        self._answered = asyncio.Condition()

    @property
    def failed(self) -> dict[str, int]:
        return {k: v for k, v in self.outcomes.items() if k not in {"v1", "v2"}}

    async def send(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            while not self.over.is_set():
                outcome = await self._one(session)
                self.outcomes[outcome] += 1
                async with self._answered:
                    self._answered.notify_all()
                await asyncio.sleep(0.02)

    async def _one(self, session: aiohttp.ClientSession) -> str:
        try:
            async with session.get("http://payment/", proxy=self.proxy) as response:
                if response.status != 200:
                    return f"{response.status} {await response.text()}"
                body = await response.json()
                return body["version"] if body["secure"] else "plaintext"
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return repr(error)

    async def reaches(self, outcome: str, count: int = 1) -> None:
        """Wait until so many more requests have this outcome."""
        wanted = self.outcomes[outcome] + count
        async with asyncio.timeout(120), self._answered:
            await self._answered.wait_for(lambda: self.outcomes[outcome] >= wanted)


@pytest.fixture
def make_load(bench: Bench) -> Any:
    @contextlib.asynccontextmanager
    async def make() -> AsyncIterator[Load]:
        load = Load(bench.caller)
        senders = [asyncio.create_task(load.send()) for _ in range(3)]
        try:
            yield load
        finally:
            load.over.set()
            await asyncio.gather(*senders)

    return make


@pytest.fixture
async def kube(cluster: LocalCluster) -> AsyncIterator[Kube]:
    kube = await Kube.connect(str(cluster.kubeconfig))
    yield kube
    await kube.close()


@pytest.fixture(scope="module")
def cluster(own_cluster: LocalCluster) -> LocalCluster:
    return own_cluster


@pytest.fixture(scope="module")
def bench(cluster: LocalCluster, kubectl: Kubectl, live: Objects) -> Iterator[Bench]:
    before = os.environ.get("COALMINE_CERTIFICATE_SECONDS")
    os.environ["COALMINE_CERTIFICATE_SECONDS"] = str(CERTIFICATE_SECONDS)
    cluster.stop(MESH)
    cluster.start(MESH)
    namespace = f"rel-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", namespace)
    kubectl("label", "namespace", namespace, "coalmine.dev/inject=enabled")
    kubectl("wait", "--for=create", "serviceaccount/default", "-n", namespace, "--timeout=120s")
    bench = Bench(cluster, kubectl, live, namespace)
    strict = {"mtls": {"mode": "STRICT"}}
    # Handshakes among the requests, so that certificates are looked at all the time.
    pool = {"connectionPool": {"http": {"maxRequestsPerConnection": 5}}}
    rule = {"host": "payment", "trafficPolicy": pool}
    bench.apply(
        *deployment("payment", "v1", 3),
        *deployment("payment-canary", "v2", 2),
        *deployment("caller", "v0", 1),
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "PeerAuthentication",
            "metadata": {"name": "all"},
            "spec": strict,
        },
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": {"name": "payment"},
            "spec": rule,
        },
    )
    bench.available()
    yield bench
    kubectl("delete", "namespace", namespace, "--wait=false")
    if before is None:
        os.environ.pop("COALMINE_CERTIFICATE_SECONDS", None)
    else:
        os.environ["COALMINE_CERTIFICATE_SECONDS"] = before
    cluster.stop(MESH)
