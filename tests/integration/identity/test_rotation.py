"""Certificates and roots are exchanged under load, a handshake for every request, and no request fails."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from coalmine.local.layout import MESH
from mesh.wiring.identity import create_or_read
from mesh.wiring.kube import Kube

pytestmark = pytest.mark.integration

LIFE_SECONDS = 8
ROTATIONS = 20


@pytest.fixture
def short_lived(make_mesh, cluster, monkeypatch):
    """A mesh whose certificates live a few seconds."""
    monkeypatch.setenv("COALMINE_CERTIFICATE_SECONDS", str(LIFE_SECONDS))
    cluster.stop(MESH)
    mesh = make_mesh()
    mesh.connection_per_request()
    yield mesh
    monkeypatch.delenv("COALMINE_CERTIFICATE_SECONDS")
    cluster.restart(MESH)


async def test_no_request_fails_while_certificates_are_renewed(short_lived, load):
    mesh = short_lived
    seen: dict[str, set[str]] = {"caller": set(), "payment": set()}
    async with load(mesh) as outcomes, asyncio.timeout(ROTATIONS * LIFE_SECONDS * 2):
        while min(map(len, seen.values())) <= ROTATIONS:
            for app, serials in seen.items():
                serials.add(await mesh.serial(app))
            await asyncio.sleep(0.5)
    assert set(outcomes) == {"200 mtls"}
    assert outcomes["200 mtls"] > 100


async def test_no_request_fails_while_the_root_is_exchanged(mesh, eventually, load):
    mesh.connection_per_request()
    before = mesh.secret["root-cert.pem"]
    where = ("-n", "coalmine-system")

    async def phase() -> str:
        secret = await asyncio.to_thread(lambda: mesh.secret)
        step = "adding" if "next-cert.pem" in secret else "dropping" if "old-cert.pem" in secret else "steady"
        return f"{step} {'old' if secret['root-cert.pem'] == before else 'new'}"

    async with load(mesh) as outcomes:
        mesh.kubectl("annotate", "secret", "coalmine-ca", *where, "mesh.coalmine.dev/rotate-root=now", "--overwrite")
        await eventually(phase, "adding old")
        first = await mesh.serial("payment")
        await eventually(mesh.trusts, lambda roots: len(roots) == 2)
        await eventually(phase, "dropping new", 120)
        await eventually(phase, "steady new", 120)
        assert await mesh.serial("payment") != first
    assert set(outcomes) == {"200 mtls"}
    assert outcomes["200 mtls"] > 100
    await eventually(mesh.trusts, lambda roots: len(roots) == 1)

    # Proxies that hold the new root only and those that come later are of one mesh, and all find the control plane.
    mesh.kubectl("delete", "pod", mesh.pod("payment")["metadata"]["name"], "-n", mesh.namespace)
    mesh.available()
    assert "x-forwarded-client-cert" in await mesh.call()


async def test_a_control_plane_that_is_restarted_keeps_the_root(mesh, cluster, eventually, load):
    before = mesh.secret
    async with load(mesh) as outcomes:
        first = await mesh.serial("payment")
        await asyncio.to_thread(cluster.restart, MESH)
        await eventually(partial(mesh.serial, "payment"), lambda serial: serial != first)
    assert mesh.secret == before
    assert set(outcomes) == {"200 mtls"}


async def test_control_planes_that_start_at_once_have_one_root(cluster, kubectl):
    kubectl("create", "namespace", "coalmine-race")
    kubes = [await Kube.connect(str(cluster.kubeconfig)) for _ in range(8)]
    try:
        found = await asyncio.gather(*(create_or_read(kube, "coalmine-race") for kube in kubes))
        assert len({manifest["data"]["root-cert.pem"] for manifest in found}) == 1
    finally:
        await asyncio.gather(*(kube.close() for kube in kubes))
        kubectl("delete", "namespace", "coalmine-race", "--wait=false")
