"""A namespace with callers and backends behind real sidecars, and the control plane that runs them."""

from __future__ import annotations

import asyncio
import collections
import json
import sys
import uuid
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml

from coalmine.local.layout import MESH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reading.objects import Objects

    from coalmine.local.cluster import LocalCluster
    from coalmine.local.kube import Kubectl


def deployment(name: str, replicas: int, version: str) -> list[dict[str, Any]]:
    env = [
        {"name": "VERSION", "value": version},
        {"name": "LATENCY_MS", "value": "1"},
        {"name": "ERROR_RATE", "value": "0"},
        {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    ]
    container = {
        "name": "app",
        "image": "none",
        "command": [sys.executable, "-m", "coalmine.demo.shop", "payment"],
        "env": env,
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
    }
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    port = {"name": "http", "port": 80, "targetPort": "http"}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [port]},
        },
    ]


class Shop:
    """The namespace, and what tests do with it."""

    def __init__(self, kubectl: Kubectl, live: Objects, namespace: str) -> None:
        self.kubectl = kubectl
        self.namespace = namespace
        self.live = live

    def apply(self, *manifests: dict[str, Any]) -> None:
        self.kubectl("apply", "-n", self.namespace, "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return self.live.get(kind, self.namespace, name)

    def pods(self, app: str) -> list[dict[str, Any]]:
        return self.live.pods(self.namespace, f"app={app}")

    def event(self, reason: str) -> dict[str, Any]:
        """Wait until there is an Event of this reason, and return the only one."""
        (event,) = self.live.events(self.namespace, reason)
        return event

    def split(self, **weights: int) -> int:
        """Set the weights of host payment; return the generation."""
        backends = [{"service": s.replace("_", "-"), "weight": w} for s, w in weights.items()]
        spec = {"service": "payment", "backends": backends}
        meta = {"name": "payment"}
        self.apply({"apiVersion": "mesh.coalmine.dev/v1alpha1", "kind": "TrafficSplit", "metadata": meta, "spec": spec})
        return int(self.get("trafficsplit", "payment")["metadata"]["generation"])

    def status(self) -> dict[str, Any]:
        return self.get("trafficsplit", "payment").get("status") or {}

    def acknowledged(self, generation: int) -> None:
        """Wait until every proxy holds the generation."""
        path = f"jsonpath={{.status.acknowledged.generation}}={generation}"
        self.kubectl("wait", "-n", self.namespace, "trafficsplit/payment", f"--for={path}", "--timeout=120s")

    @property
    def proxy(self) -> str:
        """Where the caller's sidecar takes requests."""
        return f"http://{self.pods('caller')[0]['status']['podIP']}:15001"

    def admin(self) -> str:
        return f"http://{self.pods('caller')[0]['status']['podIP']}:15000"


class Load:
    """Requests to host payment through a sidecar, and what came of them."""

    def __init__(self, proxy: str) -> None:
        self.proxy = proxy
        self.outcomes: collections.Counter[str] = collections.Counter()
        self._stop = asyncio.Event()
        self._answered = asyncio.Condition()

    async def send(self, count: int, *, workers: int = 8) -> None:
        numbers = iter(range(count))
        async with self._session() as session:
            await asyncio.gather(*(self._worker(session, numbers) for _ in range(workers)))

    async def run_until_stopped(self, *, workers: int = 4, pause: float = 0.01) -> None:
        async with self._session() as session:

            async def worker() -> None:
                while not self._stop.is_set():
                    await self._one(session)
                    await asyncio.sleep(pause)

            await asyncio.gather(*(worker() for _ in range(workers)))

    def stop(self) -> None:
        self._stop.set()

    async def reaches(self, outcome: str) -> None:
        """Wait until one more request has this outcome."""
        before = self.outcomes[outcome]
        async with asyncio.timeout(120), self._answered:
            await self._answered.wait_for(lambda: self.outcomes[outcome] > before)

    @property
    def failed(self) -> dict[str, int]:
        return {k: v for k, v in self.outcomes.items() if k not in {"v1", "v2"}}

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))

    async def _worker(self, session: aiohttp.ClientSession, numbers: Iterator[int]) -> None:
        for _ in numbers:
            await self._one(session)

    async def _one(self, session: aiohttp.ClientSession) -> None:
        try:
            async with session.get("http://payment/charge", proxy=self.proxy) as response:
                body = await response.text()
                self.outcomes[
                    json.loads(body)["version"] if response.status == 200 else f"{response.status} {body}"
                ] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            self.outcomes[repr(error)] += 1
        async with self._answered:
            self._answered.notify_all()


@pytest.fixture(scope="module")
def cluster(own_cluster: LocalCluster) -> LocalCluster:
    return own_cluster


@pytest.fixture(scope="module")
def mesh(cluster: LocalCluster) -> LocalCluster:
    """The cluster with the mesh's control plane."""
    cluster.start(MESH)
    return cluster


@pytest.fixture(scope="module")
def shop(mesh: LocalCluster, kubectl: Kubectl, live: Objects) -> Iterator[Shop]:
    """Two pods of payment, one of payment-canary, one caller, all with sidecars."""
    namespace = f"shop-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", namespace)
    kubectl("label", "namespace", namespace, "coalmine.dev/inject=enabled")
    kubectl("wait", "--for=create", "serviceaccount/default", "-n", namespace, "--timeout=120s")
    shop = Shop(kubectl, live, namespace)
    shop.apply(*deployment("payment", 2, "v1"), *deployment("payment-canary", 1, "v2"), *deployment("caller", 1, "v0"))
    kubectl("wait", "deployment", "--all", "--for=condition=Available", "-n", namespace, "--timeout=120s")
    yield shop
    kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def make_load(shop: Shop) -> Callable[[], Load]:
    return lambda: Load(shop.proxy)
