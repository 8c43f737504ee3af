"""What people ask on the command line of an API that asks for tokens, with a kubeconfig and no more."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from aiohttp import web
from click.testing import CliRunner

import coalmine
from mesh.ads.server import AdsServer
from mesh.api.debug import API_ANNOTATION, API_POD_ANNOTATION
from mesh.cli import mesh as mesh_command
from mesh.telemetry import http
from mesh.telemetry.edges import Edges
from mesh.telemetry.standard import StandardMetrics
from mesh.telemetry.store import TelemetryStore
from mesh.wiring import debug
from mesh.wiring.kube import Kube
from mesh.wiring.tokens import Tokens, reading_middleware
from mesh.wiring.watch import PlaintextWatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

pytestmark = pytest.mark.integration

SYSTEM = "coalmine-system"
READER = Path(coalmine.__file__).parents[1] / "deploy" / "mesh" / "reader.yaml"


@pytest.fixture
async def api(mesh) -> AsyncIterator[str]:
    """The HTTP API as it is off loopback."""
    kube = await Kube.connect(str(mesh.cluster.kubeconfig_for("mesh")))
    check = reading_middleware(kube, Tokens(kube, clock=time.monotonic))
    app = http.make_app(TelemetryStore(clock=time.time), lambda: True, check)
    edges = Edges(clock=time.time)
    nothing: dict[str, dict[str, int]] = {}
    debug.add_to_app(
        app,
        world=lambda: None,
        ads=AdsServer(lambda _: None, clock=time.monotonic),
        edges=edges,
        watch=PlaintextWatch(
            StandardMetrics(world=lambda: None, clock=time.monotonic),
            edges,
            proxies=dict,
            world=lambda: None,
            now=str,
            changed=lambda: None,
        ),
        ejected=lambda: nothing,
    )
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()
    await kube.close()


@pytest.fixture
def person(mesh, tmp_path) -> Iterator[Callable[[bool], str]]:
    """Make the kubeconfig of somebody who may nothing, or what deploy/mesh/reader.yaml gives."""
    name = f"person-{uuid.uuid4().hex[:6]}"
    mesh.kubectl("apply", "-f", str(READER))
    mesh.kubectl("create", "serviceaccount", name, "-n", mesh.namespace)
    account = f"--serviceaccount={mesh.namespace}:{name}"

    def make(may_ask: bool) -> str:
        if may_ask:
            mesh.kubectl("create", "rolebinding", name, "-n", SYSTEM, "--role=coalmine-ask", account)
            mesh.kubectl("create", "clusterrolebinding", name, "--clusterrole=coalmine-find", account)
        config = yaml.safe_load(mesh.cluster.kubeconfig.read_text())
        token = mesh.kubectl("create", "token", name, "-n", mesh.namespace).strip()
        config["users"] = [{"name": u["name"], "user": {"token": token}} for u in config["users"]]
        path = tmp_path / f"kubeconfig-{may_ask}"
        path.write_text(yaml.safe_dump(config))
        return str(path)

    yield make
    mesh.kubectl("delete", "rolebinding", name, "-n", SYSTEM, "--ignore-not-found")
    mesh.kubectl("delete", "clusterrolebinding", name, "--ignore-not-found")
    mesh.kubectl("delete", "-f", str(READER), "--ignore-not-found")


async def ask(*args: str) -> Any:
    return await asyncio.to_thread(lambda: CliRunner().invoke(mesh_command, args))


async def test_a_token_is_made_for_those_who_may_make_one(api, person):
    config = person(True)
    result = await ask("proxy-status", "--mesh-url", api, "--kubeconfig", config, "-o", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == {"proxies": []}


async def test_others_are_told_what_they_lack(api, person):
    result = await ask("proxy-status", "--mesh-url", api, "--kubeconfig", person(False))
    assert result.exit_code == 1
    assert "asks for a token, and none can be made for service account coalmine-system/coalmine-reader" in result.output
    assert "apply deploy/mesh/reader.yaml, and bind its Role coalmine-ask" in result.output


async def test_the_way_to_the_control_planes_pod_is_through_the_api_server(api, person, mesh, tmp_path, monkeypatch):
    config = person(True)
    port = api.rpartition(":")[2]
    notes = {API_ANNOTATION: "http://0.0.0.0:15080", API_POD_ANNOTATION: f"{SYSTEM}/coalmine-mesh-0"}
    hook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "a-coalmine-far-away", "annotations": notes},
        "webhooks": [],
    }
    kubectl = tmp_path / "kubectl"
    # The local node has no ports to forward: this one says what kubectl says.
    kubectl.write_text(
        f'#!/bin/sh\necho "$@" >"$0.args"\necho "Forwarding from 127.0.0.1:{port} -> 15080"\nwhile :; do sleep 0.05; done\n'
    )
    kubectl.chmod(0o755)
    mesh.kubectl("apply", "-f", "-", stdin=json.dumps(hook))
    try:
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        result = await ask("proxy-status", "--kubeconfig", config, "-o", "json")
    finally:
        mesh.kubectl("delete", "mutatingwebhookconfiguration", "a-coalmine-far-away")
    assert result.exit_code == 0, result.output
    args = (tmp_path / "kubectl.args").read_text().split()
    assert args[2:] == [
        "port-forward",
        "--namespace",
        SYSTEM,
        "pod/coalmine-mesh-0",
        ":15080",
        "--address",
        "127.0.0.1",
    ]


async def test_certs_tells_who_has_which_certificate(mesh, eventually):
    async def held() -> list[Any]:
        args = ("certs", "-n", mesh.namespace, "--kubeconfig", str(mesh.cluster.kubeconfig), "-o", "json")
        result = await ask(*args)
        assert result.exit_code == 0, result.output
        return json.loads(result.output)

    def synced(found: Any) -> bool:
        return len(found["workloads"]) >= 2 and all(w["status"] == "SYNCED" for w in found["workloads"])

    await eventually(held, synced)
    found = await held()
    assert "Secret coalmine-system/" in found["source"]
    mine = next(w for w in found["workloads"] if w["pod"] == mesh.pod("payment")["metadata"]["name"])
    assert mine["subject"] == mesh.principal("payment")
    assert int(mine["serial"], 16) == int(await mesh.serial("payment"), 16)
    assert mine["issuer"] == found["issuer"]["subject"]
    assert mine["root"] == found["roots"][0]["subject"]
    shown = await ask("certs", f"{mine['pod']}.{mesh.namespace}", "--kubeconfig", str(mesh.cluster.kubeconfig))
    assert mine["notAfter"] in shown.output
    assert "PRIVATE KEY" not in shown.output + json.dumps(found)
