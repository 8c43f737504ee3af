"""A real gateway's Envoy in front of payment and its canary, which have sidecars, on a real API server."""

from __future__ import annotations

import asyncio
import collections
import datetime as dt
import json
import os
import shutil
import ssl
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from coalmine.local.layout import MESH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reading.objects import Objects

    from coalmine.local.cluster import LocalCluster
    from coalmine.local.kube import Kubectl

ROOT = Path(__file__).parents[3]
INGRESS = "coalmine-ingress"
HTTP, HTTPS = 8080, 8443
MODULE = "sigs.k8s.io/gateway-api@v1.3.0"


def pair(name: str) -> tuple[bytes, bytes]:
    """Return a certificate that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    now, subject = dt.datetime.now(dt.UTC), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(hours=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.not_valid_after(now + dt.timedelta(hours=1)).sign(key, hashes.SHA256())
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), secret


def application(name: str, version: str, replicas: int = 1) -> list[dict[str, Any]]:
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


class Ingress:
    """The gateway, the namespace behind it, and what tests do with them."""

    def __init__(self, cluster: LocalCluster, kubectl: Kubectl, live: Objects, namespace: str) -> None:
        self.cluster, self.kubectl, self.namespace = cluster, kubectl, namespace
        self.live = live

    def apply(self, *manifests: dict[str, Any], text: str = "", namespace: str | None = None) -> None:
        whole = text or yaml.safe_dump_all(manifests)
        self.kubectl("apply", "-n", namespace or self.namespace, "-f", "-", stdin=whole)

    def delete(self, *manifests: dict[str, Any], text: str = "") -> None:
        whole = text or yaml.safe_dump_all(manifests)
        self.kubectl("delete", "-n", self.namespace, "--ignore-not-found", "-f", "-", stdin=whole)

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        return self.live.get(kind, namespace or self.namespace, name)

    def pods(self) -> list[dict[str, Any]]:
        """Return the gateway's."""
        return self.live.pods(INGRESS, "istio=ingressgateway")

    @property
    def caller(self) -> str:
        """The address of a pod of payment, whose sidecar tests send requests through."""
        return str(self.live.pods(self.namespace, "app=payment")[0]["status"]["podIP"])

    @property
    def address(self) -> str:
        return str(self.pods()[0]["status"]["podIP"])

    def secret(self, name: str, host: str) -> bytes:
        """Make a Secret beside the gateway with a new certificate for a host; return the certificate."""
        certificate, key = pair(host)
        data = {"tls.crt": certificate.decode(), "tls.key": key.decode()}
        manifest = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": name}}
        self.apply({**manifest, "stringData": data}, namespace=INGRESS)
        return certificate

    def event(self, reason: str) -> dict[str, Any]:
        return self.live.events(self.namespace, reason)[0]

    def acknowledged(self, split: str = "payment") -> None:
        """Wait until every proxy holds the split's weights."""
        generation = self.get("trafficsplit", split)["metadata"]["generation"]
        path = f"jsonpath={{.status.acknowledged.generation}}={generation}"
        self.kubectl("wait", "-n", self.namespace, f"trafficsplit/{split}", f"--for={path}", "--timeout=120s")

    async def ask(
        self, path: str = "/charge", *, host: str = "shop.example.com", trust: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        """Send a request to the gateway: over HTTPS where there is a certificate to trust.

        Underscores in the names of headers stand for hyphens.
        """
        context: Any = True
        if trust is not None:
            context = ssl.create_default_context(cadata=trust.decode())
        scheme, port = ("http", HTTP) if trust is None else ("https", HTTPS)
        timeout = aiohttp.ClientTimeout(total=10)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(
                f"{scheme}://{self.address}:{port}{path}",
                headers={"Host": host} | {name.replace("_", "-"): value for name, value in headers.items()},
                ssl=context,
                server_hostname=host if trust is not None else None,
                allow_redirects=False,
            ) as response,
        ):
            return response.status, {k.lower(): v for k, v in response.headers.items()}, await response.text()

    async def becomes(self, status: int, path: str = "/charge", **kwargs: Any) -> tuple[dict[str, str], str]:
        """Wait until a request is answered with a status."""
        last: Any = None
        try:
            async with asyncio.timeout(120):
                while True:
                    try:
                        last, headers, body = await self.ask(path, **kwargs)
                    except (aiohttp.ClientError, TimeoutError, OSError) as error:
                        last = repr(error)
                    if last == status:
                        return headers, body
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"{last} and not {status}")

    async def versions(self, count: int, *, host: str = "shop.example.com", trust: bytes | None = None) -> Any:
        """Return how many of the requests each version answered; anything else than 200 counts as itself."""
        context: Any = True if trust is None else ssl.create_default_context(cadata=trust.decode())
        scheme, port = ("http", HTTP) if trust is None else ("https", HTTPS)
        url, seen = f"{scheme}://{self.address}:{port}/charge", collections.Counter[str]()
        options: dict[str, Any] = {"headers": {"Host": host}, "ssl": context}
        if trust is not None:
            options["server_hostname"] = host
        async with aiohttp.ClientSession() as session:

            async def work(number: int) -> None:
                for _ in range(number):
                    async with session.get(url, **options) as response:
                        body = await response.text()
                        seen[json.loads(body)["version"] if response.status == 200 else str(response.status)] += 1

            await asyncio.gather(*(work(count // 8) for _ in range(8)))
        return seen


@pytest.fixture(scope="module")
def cluster(own_cluster: LocalCluster) -> LocalCluster:
    return own_cluster


@pytest.fixture(scope="module")
def ingress(cluster: LocalCluster, kubectl: Kubectl, live: Objects) -> Iterator[Ingress]:
    """The gateway of ``deploy/mesh/gateway.yaml``, and behind it payment (v1 twice) and its canary (v2)."""
    cluster.start(MESH)
    kubectl("apply", "-f", str(ROOT / "deploy" / "mesh" / "gateway.yaml"))
    namespace = f"shop-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", namespace)
    kubectl("label", "namespace", namespace, "coalmine.dev/inject=enabled")
    kubectl("wait", "--for=create", "serviceaccount/default", "-n", namespace, "--timeout=120s")
    made = Ingress(cluster, kubectl, live, namespace)
    made.apply(*application("payment", "v1", 2), *application("payment-canary", "v2"))
    for where in (namespace, INGRESS):
        kubectl("wait", "deployment", "--all", "--for=condition=Available", "-n", where, "--timeout=120s")
    yield made
    kubectl("delete", "namespace", namespace, INGRESS, "--wait=false")


@pytest.fixture(scope="module")
def gateway_api(ingress: Ingress, tmp_path_factory: pytest.TempPathFactory) -> Ingress:
    """The cluster with the Gateway API's definitions, which come from Go's module cache or the module proxy."""
    go = shutil.which("go", path=f"{os.environ['PATH']}:/usr/local/go/bin")
    if go is None:
        pytest.skip("needs Go to fetch the Gateway API's definitions")
    command = [go, "mod", "download", "-json", MODULE]
    folder = tmp_path_factory.mktemp("module")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=folder)
    if done.returncode:
        pytest.skip(f"the Gateway API's definitions cannot be fetched: {done.stdout}{done.stderr}")
    definitions = sorted((Path(json.loads(done.stdout)["Dir"]) / "config" / "crd" / "standard").glob("*_*.yaml"))
    assert len(definitions) == 5
    ingress.kubectl("apply", "--server-side", *(part for path in definitions for part in ("-f", str(path))))
    names = [f"crd/{path.stem.partition('_')[2]}.gateway.networking.k8s.io" for path in definitions]
    ingress.kubectl("wait", "--for=condition=Established", *names, "--timeout=120s")
    return ingress
