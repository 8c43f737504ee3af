"""An intermediate that somebody else makes signs for real sidecars, is renewed and exchanged, and no request fails."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from cryptography import x509

from coalmine.local.layout import MESH
from mesh.ca.certificates import Pair, make_intermediate, make_root

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.integration

SYSTEM = "coalmine-system"
DAY = timedelta(days=1)
NAMED = "mesh-intermediate"


def now() -> datetime:
    return datetime.now(UTC)


class Plug:
    """Writes the Secret as Istio's people do, or as cert-manager does."""

    def __init__(self, mesh: Any, name: str) -> None:
        self.mesh, self.name = mesh, name

    @property
    def keys(self) -> tuple[str, str, str]:
        return (
            ("ca-cert.pem", "ca-key.pem", "root-cert.pem")
            if self.name == "cacerts"
            else ("tls.crt", "tls.key", "ca.crt")
        )

    def write(self, issuer: Pair, root: Pair, key: Pair | None = None) -> None:
        values = (issuer.certificate_pem, (key or issuer).key_pem, root.certificate_pem)
        data = dict(zip(self.keys, values, strict=True))
        if self.name == "cacerts":
            data["cert-chain.pem"] = issuer.certificate_pem
        self.put(data)

    def put(self, data: dict[str, bytes]) -> None:
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.name, "namespace": SYSTEM},
            "type": "Opaque" if self.name == "cacerts" else "kubernetes.io/tls",
            "data": {k: base64.b64encode(v).decode() for k, v in data.items()},
        }
        self.mesh.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(manifest))

    def delete(self) -> None:
        self.mesh.kubectl("delete", "secret", self.name, "-n", SYSTEM, "--ignore-not-found")

    async def phase(self) -> str:
        """Return the phase of the exchange, and whether somebody else's certificate signs."""
        secret = await asyncio.to_thread(lambda: self.mesh.secret)
        found = [name for name in ("next-cert.pem", "old-cert.pem", "root-issuer-cert.pem") if name in secret]
        return " ".join(name.removesuffix(".pem") for name in found)

    async def signs(self, root: Pair) -> str:
        """Return the phase where this root's authority signs."""
        secret = await asyncio.to_thread(lambda: self.mesh.secret)
        return await self.phase() if secret["root-cert.pem"] == root.certificate_pem else "another root"


@pytest.fixture(params=["cacerts", NAMED])
async def plug(request, mesh, cluster, monkeypatch, eventually) -> AsyncIterator[Plug]:
    """A mesh that signs with its own root; what a test plugs in is taken out afterwards."""
    plug = Plug(mesh, request.param)
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "mesh-intermediate", "namespace": SYSTEM},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": [NAMED], "verbs": ["get"]}],
    }
    binding = ("mesh-intermediate", "--role=mesh-intermediate", "--user=system:coalmine:mesh", "-n", SYSTEM)
    if request.param == NAMED:
        mesh.kubectl("apply", "-f", "-", stdin=json.dumps(role))
        mesh.kubectl("create", "rolebinding", *binding)
        monkeypatch.setenv("COALMINE_CA_SECRET", NAMED)
        cluster.restart(MESH)
    mesh.connection_per_request()
    yield plug
    plug.delete()
    if request.param == NAMED:
        monkeypatch.delenv("COALMINE_CA_SECRET")
        cluster.restart(MESH)
        mesh.kubectl("delete", "role,rolebinding", NAMED, "-n", SYSTEM)
    mesh.kubectl(
        "annotate",
        "secret",
        "coalmine-ca",
        "-n",
        SYSTEM,
        f"mesh.coalmine.dev/rotate-root={request.param}",
        "--overwrite",
    )
    await eventually(plug.phase, "")


async def issuer_of(mesh: Any, app: str) -> str:
    """Return who signed the certificate that a pod's sidecar shows to a caller."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{mesh.address(app)}:15000/config_dump") as found,
    ):
        dump = json.loads(await found.text())
    secrets = [s for c in dump["configs"] for s in c.get("dynamic_active_secrets", ()) if s["name"] == "default"]
    pem = base64.b64decode(secrets[0]["secret"]["tls_certificate"]["certificate_chain"]["inline_bytes"])
    return x509.load_pem_x509_certificates(pem)[0].issuer.rfc4514_string()


async def test_no_request_fails_while_an_intermediate_comes_is_renewed_and_gets_another_root(plug, load, eventually):
    mesh = plug.mesh
    root, other = (make_root(now(), 100 * DAY) for _ in range(2))
    one, two = make_intermediate(root, now(), DAY), make_intermediate(root, now(), DAY)
    async with load(mesh) as outcomes:
        # An intermediate of another root comes: both are trusted before it signs.
        plug.write(one, root)
        await eventually(plug.phase, "next-cert")
        await eventually(mesh.trusts, lambda roots: len(roots) == 2 and root.certificate in roots)
        await eventually(partial(plug.signs, root), "root-issuer-cert", 120)
        await eventually(partial(issuer_of, mesh, "payment"), one.certificate.subject.rfc4514_string())
        await eventually(mesh.trusts, [root.certificate])

        # It is renewed under the same root: at once, and whose time comes gets a certificate of it.
        plug.write(two, root)
        await eventually(lambda: _held(mesh), two.certificate_pem)
        assert mesh.bundle == [root.certificate]

        # One that cannot be used changes nothing, is told by the key, and a restart changes nothing either.
        plug.write(two, root, key=one)
        await eventually(lambda: _events(mesh, plug.name), lambda told: any(plug.keys[1] in text for text in told))
        assert (await plug.signs(root)) == "root-issuer-cert"
        await asyncio.to_thread(mesh.cluster.restart, MESH)
        await eventually(partial(issuer_of, mesh, "payment"), two.certificate.subject.rfc4514_string())
        assert await _held(mesh) == two.certificate_pem

        # Another root, from cert-manager or a person: the three steps once more.
        three = make_intermediate(other, now(), DAY)
        plug.write(three, other)
        await eventually(partial(plug.signs, other), "root-issuer-cert", 120)
        await eventually(partial(issuer_of, mesh, "caller"), three.certificate.subject.rfc4514_string())
    assert set(outcomes) == {"200 mtls"}
    assert outcomes["200 mtls"] > 100
    await eventually(mesh.trusts, [other.certificate])


async def _held(mesh: Any) -> bytes:
    return (await asyncio.to_thread(lambda: mesh.secret)).get("root-issuer-cert.pem", b"")


async def _events(mesh: Any, name: str) -> list[str]:
    found = await asyncio.to_thread(mesh.live.all, "event", SYSTEM)
    return [e["note"] for e in found if e["regarding"]["name"] == name]
