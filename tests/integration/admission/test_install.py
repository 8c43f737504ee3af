"""Our definitions beside Istio's own, on the real API server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner

from coalmine.crds import crds

pytestmark = pytest.mark.integration

NAME = "sidecars.networking.istio.io"
ISTIOS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": NAME, "labels": {"app": "istio-pilot", "chart": "istio", "release": "istio"}},
    "spec": {
        "group": "networking.istio.io",
        "names": {"kind": "Sidecar", "listKind": "SidecarList", "plural": "sidecars", "singular": "sidecar"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": version,
                "served": version == "v1beta1",
                "storage": version == "v1beta1",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                    }
                },
            }
            for version in ("v1beta1", "v1alpha3")
        ],
    },
}


@pytest.fixture
def install(cluster):
    async def run(*args: str) -> tuple[int, str]:
        command = ["install", "--kubeconfig", str(cluster.kubeconfig), *args]
        result = await asyncio.to_thread(lambda: CliRunner().invoke(crds, command))
        return result.exit_code, result.output

    return run


@pytest.fixture
def definition(kubectl):
    """Put another definition in the place of one; ours comes back afterwards."""
    ours = json.loads(kubectl("get", "crd", NAME, "-o", "json"))

    def put(manifest: dict[str, Any] | None) -> None:
        kubectl("delete", "crd", NAME, "--ignore-not-found")
        if manifest:
            kubectl("create", "-f", "-", stdin=json.dumps(manifest))
            kubectl("wait", "crd", NAME, "--for=condition=Established", "--timeout=120s")

    yield put
    put(
        {k: v for k, v in ours.items() if k != "status"}
        | {"metadata": {"name": NAME, "labels": ours["metadata"]["labels"]}}
    )


def stored(kubectl) -> dict[str, Any]:
    return json.loads(kubectl("get", "crd", NAME, "-o", "json"))


async def test_what_is_absent_is_installed_and_what_is_ours_updated(install, definition, kubectl):
    definition(None)
    status, said = await install("--dry-run")
    assert (status, f"{NAME} would be installed" in said) == (0, True)
    assert NAME not in kubectl("get", "crd", "-o", "name")
    status, said = await install()
    assert (status, f"{NAME} installed" in said) == (0, True)
    assert "virtualservices.networking.istio.io updated" in said
    kubectl("wait", "crd", NAME, "--for=condition=Established", "--timeout=120s")
    whole = stored(kubectl)["spec"]
    kubectl("patch", "crd", NAME, "--type=merge", "-p", '{"spec": {"names": {"shortNames": ["aside"]}}}')
    assert (await install())[0] == 0
    assert stored(kubectl)["spec"] == whole


async def test_istios_own_are_left_alone_and_serve_as_well(install, definition, kubectl, namespace):
    definition(ISTIOS)
    before = stored(kubectl)
    status, said = await install()
    assert status == 0, said
    assert f"{NAME} is somebody else's and left alone" in said
    after = stored(kubectl)
    assert (after["spec"], after["metadata"]["generation"]) == (before["spec"], before["metadata"]["generation"])
    assert after["metadata"]["labels"] == ISTIOS["metadata"]["labels"]


async def test_one_that_serves_no_version_that_we_read_is_told(install, definition):
    old = json.loads(json.dumps(ISTIOS))
    old["spec"]["versions"] = [{**old["spec"]["versions"][0], "name": "v1alpha1"}]
    definition(old)
    status, said = await install()
    assert status == 1
    assert f"{NAME}: it serves v1alpha1 and the mesh reads v1, v1beta1, v1alpha3" in said
