"""Pods with sidecars that tell who called them, on a real API server, and the control plane that vouches for them."""

from __future__ import annotations

import asyncio
import base64
import collections
import contextlib
import json
import sys
import uuid
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml
from cryptography import x509

from coalmine.local.layout import MESH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from reading.objects import Objects

    from coalmine.local.cluster import LocalCluster
    from coalmine.local.kube import Kubectl

ECHO = """
import json, os
from aiohttp import web

async def echo(request):
    return web.json_response({k.lower(): v for k, v in request.headers.items()} | {"pod": os.environ["POD_NAME"]})

app = web.Application()
app.router.add_get("/{any:.*}", echo)
web.run_app(app, host=os.environ["POD_IP"], port=8080, access_log=None)
"""
ISTIO = "networking.istio.io/v1"


class Mesh:
    """A namespace with pods ``caller`` and ``payment``, each under a service account of its own."""

    def __init__(self, kubectl: Kubectl, live: Objects, namespace: str, cluster: LocalCluster) -> None:
        self.kubectl = kubectl
        self.namespace = namespace
        self.cluster = cluster
        self.live = live

    def apply(self, *manifests: dict[str, Any]) -> None:
        self.kubectl("apply", "-n", self.namespace, "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        return self.live.get(kind, namespace or self.namespace, name)

    def events(self, reason: str) -> list[dict[str, Any]]:
        return self.live.all("event", self.namespace, fields=f"reason={reason}")

    def deploy(self, name: str, *, inject: bool = True, service: bool = True) -> None:
        env = [
            {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": path}}}
            for variable, path in (("POD_IP", "status.podIP"), ("POD_NAME", "metadata.name"))
        ]
        container = {
            "name": "app",
            "image": "none",
            "command": [sys.executable, "-c", ECHO],
            "env": env,
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
        }
        labels = {"app": name} | ({} if inject else {"coalmine.dev/inject": "disabled"})
        spec = {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"serviceAccountName": name, "containers": [container]},
            },
        }
        self.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec},
        )
        if service:
            ports = [{"name": "http", "port": 80, "targetPort": 8080}]
            spec = {"selector": {"app": name}, "ports": ports}
            self.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})

    def available(self) -> None:
        self.kubectl("wait", "deploy", "--all", "--for=condition=Available", "-n", self.namespace, "--timeout=120s")

    def pod(self, app: str) -> dict[str, Any]:
        return self.live.pods(self.namespace, f"app={app}")[0]

    def address(self, app: str) -> str:
        return self.pod(app)["status"]["podIP"]

    def principal(self, app: str) -> str:
        return f"spiffe://cluster.local/ns/{self.namespace}/sa/{app}"

    def peers(self, mode: str, *, name: str = "default", **spec: Any) -> None:
        """Write a PeerAuthentication."""
        body = {"mtls": {"mode": mode}, **spec}
        meta = {"name": name}
        self.apply({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": meta, "spec": body})

    def connection_per_request(self) -> None:
        """Make every request to payment a handshake."""
        pool = {"http": {"maxRequestsPerConnection": 1}}
        spec = {"host": "payment", "trafficPolicy": {"connectionPool": pool}}
        self.apply({"apiVersion": ISTIO, "kind": "DestinationRule", "metadata": {"name": "payment"}, "spec": spec})

    async def call(self, host: str = "payment") -> dict[str, Any]:
        """Send a request through the caller's sidecar; return what the application saw."""
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
            session.get(f"http://{host}/", proxy=f"http://{self.address('caller')}:15001") as response,
        ):
            assert response.status == 200, await response.text()
            return await response.json()

    async def plaintext(self, app: str = "payment") -> str:
        """Send a request without TLS to a pod's sidecar; return the status or the error."""
        url = f"http://{self.address(app)}:15006/"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return str(response.status)
        except aiohttp.ClientError as error:
            return type(error).__name__

    async def serial(self, app: str) -> str:
        """Return the serial number of the certificate that a pod's sidecar uses."""
        url = f"http://{self.address(app)}:15000/certs"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            found = json.loads(await response.text())["certificates"]
        return next(
            chain["serial_number"]
            for entry in found
            for chain in entry["cert_chain"]
            if any(name.get("uri", "").startswith("spiffe:") for name in chain["subject_alt_names"])
        )

    @property
    def secret(self) -> dict[str, bytes]:
        data = self.get("secret", "coalmine-ca", namespace="coalmine-system")["data"]
        return {key: base64.b64decode(value) for key, value in data.items()}

    @property
    def bundle(self) -> list[x509.Certificate]:
        """The roots that this namespace's ConfigMap holds."""
        pem = self.get("configmap", "coalmine-ca-root")["data"]["root-cert.pem"]
        return x509.load_pem_x509_certificates(pem.encode())

    async def trusts(self) -> list[x509.Certificate]:
        """Return ``bundle``, which is written a moment after what makes it necessary."""
        return self.bundle


@contextlib.asynccontextmanager
async def send_load(mesh: Any, *, pause: float = 0.02) -> AsyncIterator[collections.Counter[str]]:
    """Send requests from caller to payment until the block ends."""
    outcomes: collections.Counter[str] = collections.Counter()
    proxy, over = f"http://{mesh.address('caller')}:15001", asyncio.Event()

    async def send() -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            while not over.is_set():
                try:
                    async with session.get("http://payment/", proxy=proxy) as response:
                        secure = "x-forwarded-client-cert" in await response.json(content_type=None)
                        outcomes[f"{response.status} {'mtls' if secure else 'plaintext'}"] += 1
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    outcomes[repr(error)] += 1
                await asyncio.sleep(pause)

    senders = [asyncio.create_task(send()) for _ in range(3)]
    try:
        yield outcomes
    finally:
        over.set()
        await asyncio.gather(*senders)


@pytest.fixture
def load() -> Any:
    """Return what sends requests meanwhile: ``async with load(mesh) as outcomes``."""
    return send_load


@pytest.fixture(scope="module")
def cluster(own_cluster: LocalCluster) -> LocalCluster:
    return own_cluster


@pytest.fixture(scope="module")
def make_mesh(cluster: LocalCluster, kubectl: Kubectl, live: Objects) -> Iterator[Callable[[], Mesh]]:
    made: list[str] = []

    def make() -> Mesh:
        cluster.start(MESH)
        namespace = f"id-{uuid.uuid4().hex[:6]}"
        kubectl("create", "namespace", namespace)
        made.append(namespace)
        kubectl("label", "namespace", namespace, "coalmine.dev/inject=enabled")
        mesh = Mesh(kubectl, live, namespace, cluster)
        mesh.deploy("payment")
        mesh.deploy("caller")
        mesh.available()
        return mesh

    yield make
    for namespace in made:
        kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def mesh(make_mesh: Callable[[], Mesh]) -> Mesh:
    return make_mesh()


@pytest.fixture
def eventually() -> Any:
    """Return what awaits a condition: ``await eventually(check, wanted)``."""

    async def wait(check: Any, wanted: Any, seconds: float = 120.0) -> None:
        last: Any = None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    last = await check()
                    if last == wanted or (callable(wanted) and wanted(last)):
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"still {last!r} after {seconds} s")

    return wait
