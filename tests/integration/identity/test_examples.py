"""The tutorials' STRICT, as ``examples/mesh`` has it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

EXAMPLE = Path(__file__).parents[3] / "examples" / "mesh" / "strict.yaml"


async def test_strict_refuses_plaintext_and_sidecars_go_on_calling(mesh, eventually):
    assert await mesh.plaintext() == "200", "without the example plaintext is taken"
    mesh.kubectl("apply", "-n", mesh.namespace, "-f", str(EXAMPLE))
    try:
        await eventually(mesh.plaintext, lambda found: found != "200")
        assert await mesh.plaintext() in {"ServerDisconnectedError", "ClientOSError"}
        assert mesh.principal("caller") in (await mesh.call())["x-forwarded-client-cert"]
    finally:
        mesh.kubectl("delete", "-n", mesh.namespace, "-f", str(EXAMPLE))
    await eventually(mesh.plaintext, "200")
