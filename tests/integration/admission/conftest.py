"""The hold, installed by the controller's own user, and a Deployment to hold."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from rollouts.api.admission import HOLD_NAME
from rollouts.api.author import AUTHOR_NAME
from rollouts.api.floors import FLOOR_NAME
from rollouts.api.names import ROLLOUT_LABEL
from rollouts.api.policies import ADMISSION_GROUP
from rollouts.api.stamps import APPROVALS_NAME
from rollouts.engine.hold import install_policy, install_webhook, wait_for_hold
from rollouts.engine.kube import connect
from rollouts.handlers.hold import make_app, serve_hold

PATIENCE_SECONDS = 30


@pytest.fixture
async def api(cluster):
    """The API server, as the controller's user."""
    async with connect(cluster.kubeconfig_for("controller")) as kube:
        yield kube


@pytest.fixture
def run(kubectl):
    """kubectl without blocking the webhook, which is served by this very event loop."""

    async def run(*args, stdin=None):
        return await asyncio.to_thread(kubectl, *args, stdin=stdin)

    return run


@pytest.fixture
async def uninstalled(api):
    """Neither policy nor webhook, before and after."""
    kinds = (
        "mutatingadmissionpolicybindings",
        "mutatingadmissionpolicies",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicybindings",
        "validatingadmissionpolicies",
    )

    async def remove():
        for kind in kinds:
            for name in (HOLD_NAME, FLOOR_NAME, APPROVALS_NAME, AUTHOR_NAME):
                await api.request("DELETE", f"/apis/{ADMISSION_GROUP}/v1/{kind}/{name}")

    await remove()
    yield
    await remove()


@pytest.fixture
def floors():
    """What the webhook is told of floors: replicas by name of the Deployment."""
    return {}


@pytest.fixture
async def webhook(cluster, floors):
    """The webhook on a free port, with the cluster's own certificates."""
    pki = cluster.layout.pki
    app = make_app(lambda _namespace, name: floors.get(name, 0))
    runner = await serve_hold("127.0.0.1:0", pki / "webhook-server.crt", pki / "webhook-server.key", app)
    yield f"127.0.0.1:{runner.addresses[0][1]}", (pki / "ca.crt").read_bytes()
    await runner.cleanup()


def manifest(image="registry.example/pay:1", *, labelled=True, **spec):
    labels = {ROLLOUT_LABEL: "pay"} if labelled else {}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "pay", "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "pay"}},
            "template": {
                "metadata": {"labels": {"app": "pay"}},
                "spec": {"containers": [{"name": "c", "image": image}]},
            },
            **spec,
        },
    }


@pytest.fixture
def deployment_manifest():
    """Makes the manifest of Deployment ``pay``."""
    return manifest


@pytest.fixture
async def deployment(run, namespace):
    """An adopted Deployment: applied server-side as a GitOps tool does, then labelled by somebody else."""
    await run("apply", "--server-side", "-n", namespace, "-f", "-", stdin=json.dumps(manifest(labelled=False)))
    await run("label", "-n", namespace, "deployment/pay", f"{ROLLOUT_LABEL}=pay")
    await run("wait", "-n", namespace, "--for=create", "replicaset", "-l", "app=pay", "--timeout=120s")
    return "pay"


@pytest.fixture(params=["policy", "webhook"])
async def hold(request, api, uninstalled, webhook, namespace, deployment):
    """Each of the two holds, in force."""
    if request.param == "policy":
        await install_policy(api)
    else:
        await install_webhook(api, *webhook)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await wait_for_hold(api, namespace, deployment)
    return request.param


@pytest.fixture
def state(run, namespace):
    """What the API server holds of Deployment ``pay``."""

    async def state():
        return json.loads(await run("get", "deployment", "pay", "-n", namespace, "-o", "json", "--show-managed-fields"))

    return state


@pytest.fixture
def unused_address():
    """An address on which nobody listens: bound, but not listening, so that nobody else gets it meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"
