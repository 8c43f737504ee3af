"""The way to an Envoy whose admin page is on its pod's own loopback: what kubectl port-forward says, and its end.

There is no kubelet on a local cluster that forwards ports, so a program stands in for kubectl: it prints kubectl's line
and forwards nothing, since the page is on this machine already.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mesh.inspect.access import admin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = pytest.mark.integration


def pod(admin_host: str) -> dict[str, Any]:
    bootstrap = {"admin": {"address": {"socket_address": {"address": admin_host, "port_value": 15000}}}}
    sidecar = {"name": "coalmine-proxy", "command": ["envoy"], "args": ["--config-yaml", json.dumps(bootstrap)]}
    meta = {"name": "payment-a", "namespace": "shop"}
    return {"metadata": meta, "spec": {"initContainers": [sidecar]}, "status": {"podIP": "10.0.0.1"}}


@pytest.fixture
async def page() -> AsyncIterator[int]:
    """An admin page; yields its port."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=f"asked for {request.path_qs}")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        assert server.port is not None
        yield server.port


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a shell script in kubectl's place; returns the file to which it writes its arguments and its end."""
    log = tmp_path / "log"

    def install(script: str) -> Path:
        program = tmp_path / "kubectl"
        program.write_text(f'#!/bin/sh\necho "$@" >{log}\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return log

    return install


async def test_pages_come_through_a_forwarded_port_that_is_closed_again(page, kubectl):
    ended = 'trap "echo ended >>$0.end; exit" TERM'
    log = kubectl(f'{ended}\necho "Forwarding from 127.0.0.1:{page} -> 15000"\nwhile :; do sleep 0.05; done')
    found = await admin(pod("127.0.0.1"), "/some/config", "/clusters?format=json", "/config_dump")
    assert found == ["asked for /clusters?format=json", "asked for /config_dump"]
    said = log.read_text().strip()
    assert said == "--kubeconfig /some/config port-forward --namespace shop pod/payment-a :15000 --address 127.0.0.1"
    assert (log.parent / "kubectl.end").read_text() == "ended\n"


async def test_what_kubectl_refuses_is_said(kubectl):
    kubectl('echo "error: pods payment-a not found" >&2; exit 1')
    with pytest.raises(click.ClickException, match="error: pods payment-a not found"):
        await admin(pod("127.0.0.1"), None, "/clusters")


async def test_without_kubectl_the_way_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(click.ClickException, match="kubectl is needed"):
        await admin(pod("127.0.0.1"), None, "/clusters")


async def test_a_pod_without_a_sidecar_has_no_page():
    bare = {"metadata": {"name": "a", "namespace": "shop"}, "spec": {"containers": [{"name": "app"}]}}
    with pytest.raises(click.ClickException, match="pod a in namespace shop has no sidecar"):
        await admin(bare, None, "/clusters")
