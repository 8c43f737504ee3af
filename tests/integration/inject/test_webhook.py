"""The injection webhook as the real API server calls it."""

from __future__ import annotations

import asyncio
import json
import ssl
import time

import pytest
from aiohttp import web

from mesh.api.names import INJECT_LABEL, PROXY_CONTAINER
from mesh.inject.pods import InjectConfig
from mesh.inject.webhook import WEBHOOK_NAME, make_app, webhook_configuration

pytestmark = pytest.mark.integration


async def end(runner: web.AppRunner) -> None:
    """End a server with all its connections: one that is still closing when the loop ends would be reported as leaked."""
    for connection in runner.server.connections if runner.server else ():
        if connection.transport is not None:
            connection.transport.abort()
    await runner.cleanup()


DEADLINE = 30.0
# No server answers a discovery address that nobody runs; these pods are never started (no node takes them).
CONFIG = InjectConfig(xds_address="127.0.0.1:15010")


def pod(name: str, *, labels: dict[str, str] | None = None, **spec) -> str:
    containers = [{"name": "app", "image": "app:1", "ports": [{"containerPort": 8080}]}]
    spec = {"containers": containers, "nodeName": "nowhere", **spec}
    metadata = {"name": name, "labels": labels or {}}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


@pytest.fixture
def run(kubectl):
    """kubectl without blocking the webhook, which this very event loop serves."""

    async def call(*args: str, stdin: str | None = None) -> str:
        return await asyncio.to_thread(kubectl, *args, stdin=stdin)

    return call


@pytest.fixture
async def webhook(cluster, run):
    """Our webhook, registered; yields the runner, so that a test can end it."""
    pki = cluster.layout.pki
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pki / "webhook-server.crt", pki / "webhook-server.key")
    runner = web.AppRunner(make_app(CONFIG), shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    manifest = webhook_configuration(url, (pki / "ca.crt").read_bytes())
    await run("apply", "-f", "-", stdin=json.dumps(manifest))
    yield runner
    await run("delete", "mutatingwebhookconfiguration", WEBHOOK_NAME)
    await end(runner)


@pytest.fixture
def enabled(make_namespace) -> str:
    return make_namespace(**{INJECT_LABEL: "enabled"})


async def create(run, namespace: str, manifest: str) -> dict:
    return json.loads(await run("create", "-n", namespace, "-o", "json", "-f", "-", stdin=manifest))


async def injected(run, namespace: str) -> dict:
    """Create a pod that must have its sidecar, however long the API server takes to learn of the webhook."""
    end = time.monotonic() + DEADLINE
    number = 0
    while True:
        made = await create(run, namespace, pod(f"probe-{number}", labels={INJECT_LABEL: "enabled"}))
        if made["spec"].get("initContainers"):
            return made
        assert time.monotonic() < end, "the API server does not call the webhook"
        number += 1
        await asyncio.sleep(0.1)


async def test_pods_get_a_native_sidecar_that_the_api_server_accepts(webhook, run, enabled):
    made = await injected(run, enabled)

    (sidecar,) = made["spec"]["initContainers"]
    assert (sidecar["name"], sidecar["restartPolicy"]) == (PROXY_CONTAINER, "Always")
    (app,) = made["spec"]["containers"]
    assert app["lifecycle"] == {"preStop": {"sleep": {"seconds": 3}}}
    assert made["spec"]["terminationGracePeriodSeconds"] == 33
    assert "http_proxy" in [variable["name"] for variable in app["env"]]
    assert made["metadata"]["annotations"]["coalmine.dev/status"] == "injected"


async def test_only_who_wants_a_sidecar_gets_one_or_depends_on_us(webhook, run, enabled, namespace):
    await injected(run, enabled)

    by_namespace = await create(run, enabled, pod("by-namespace"))
    opted_out = await create(run, enabled, pod("opted-out", labels={INJECT_LABEL: "disabled"}))
    by_label = await create(run, namespace, pod("by-label", labels={INJECT_LABEL: "enabled"}))
    neither = await create(run, namespace, pod("neither"))
    assert ["initContainers" in made["spec"] for made in (by_namespace, opted_out, by_label, neither)] == [
        True,
        False,
        True,
        False,
    ]

    await end(webhook)  # nobody answers any more
    assert "initContainers" not in (await create(run, namespace, pod("outside")))["spec"]
    assert "initContainers" not in (await create(run, enabled, pod("out", labels={INJECT_LABEL: "disabled"})))["spec"]
    with pytest.raises(Exception, match="failed calling webhook"):
        await create(run, enabled, pod("inside"))


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (pod("host-network", hostNetwork=True), "hostNetwork"),
        (pod("misspelt", labels={INJECT_LABEL: "true"}), "enabled or disabled"),
    ],
)
async def test_what_cannot_be_injected_is_denied_with_the_reason(webhook, run, enabled, manifest, says):
    await injected(run, enabled)

    with pytest.raises(Exception, match=says):
        await create(run, enabled, manifest)


async def test_a_short_grace_period_is_no_obstacle(webhook, run, enabled):
    """The API server refuses a sleep longer than the grace period."""
    await injected(run, enabled)

    short = await create(run, enabled, pod("short", terminationGracePeriodSeconds=1))
    none = await create(run, enabled, pod("none", terminationGracePeriodSeconds=0))

    assert short["spec"]["terminationGracePeriodSeconds"] == 4
    assert "lifecycle" not in none["spec"]["containers"][0]


async def test_a_proxy_of_ones_own_is_warned_of(webhook, run, enabled, kubectl):
    await injected(run, enabled)
    own = [{"name": "app", "image": "app:1", "env": [{"name": "http_proxy", "value": "http://corp:3128"}]}]

    with pytest.raises(Exception, match="bypass the mesh"):
        await run("create", "-n", enabled, "--warnings-as-errors", "-f", "-", stdin=pod("own", containers=own))
