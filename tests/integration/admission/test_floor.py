"""No autoscaler shrinks what a release needs, people do as they like: both ways of admission, the real API server."""

from __future__ import annotations

import asyncio
import json

import pytest

from rollouts.api.floors import AUTOSCALERS
from rollouts.core.notes import Notes
from rollouts.core.scaling import ScalingNotes
from rollouts.engine.apply import rollout_path
from rollouts.engine.kube import MERGE

pytestmark = pytest.mark.integration
HPA = AUTOSCALERS[0]
PATIENCE_SECONDS = 120


@pytest.fixture
async def set_floor(api, run, namespace, floors):
    """Writes a floor into the Rollout's status as the controller does, and tells the webhook of it."""
    spec = {"workloadRef": {"name": "pay"}}
    body = {"apiVersion": "coalmine.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "pay"}, "spec": spec}
    await run("apply", "-n", namespace, "-f", "-", stdin=json.dumps(body))
    path = f"{rollout_path(namespace, 'pay')}/status"

    async def set_floor(replicas):
        floors["pay"] = replicas
        notes = Notes(workload="pay", scaling=ScalingNotes(floor=replicas))
        await api.request("PATCH", path, body={"status": {"internal": notes.dump()}}, content_type=MERGE)

    return set_floor


@pytest.fixture
def granted(run, namespace):
    """Says what a request for the Deployment's scale would come to, as HorizontalPodAutoscalers write it."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/pay/scale"

    async def granted(replicas):
        found = json.loads(await run("get", "--raw", path))
        found["spec"]["replicas"] = replicas
        del found["metadata"]["resourceVersion"]
        ask = ("replace", "--raw", f"{path}?dryRun=All", "-f", "-", f"--as={HPA}")
        return json.loads(await run(*ask, stdin=json.dumps(found)))["spec"].get("replicas", 0)

    return granted


async def until(condition):
    """Wait for a condition; the deadline only ends a test that hangs."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():  # noqa: ASYNC110 - nobody tells when it holds
            await asyncio.sleep(0.1)


async def test_an_autoscaler_is_held_at_the_floor_and_people_are_not(hold, run, namespace, state, set_floor, granted):
    await run("scale", "-n", namespace, "deployment/pay", "--replicas=3")
    await set_floor(2)

    async def held():
        return await granted(1) == 2

    async def let_go():
        return await granted(1) == 1

    await until(held)
    assert await granted(0) == 2  # KEDA, to zero
    assert await granted(9) == 9  # up is always granted
    assert await granted(2) == 2
    await run("scale", "-n", namespace, "deployment/pay", "--replicas=1")
    assert (await state())["spec"]["replicas"] == 1
    assert await granted(0) == 1  # where people went below the floor, autoscalers stay there
    await run("scale", "-n", namespace, "deployment/pay", "--replicas=3")
    await set_floor(0)
    await until(let_go)


@pytest.mark.parametrize("hold", ["policy"], indirect=True)
async def test_the_real_autoscaler_stops_at_the_floor(hold, run, namespace, state, set_floor, granted):
    await run("scale", "-n", namespace, "deployment/pay", "--replicas=3")
    await set_floor(2)

    async def held():
        return await granted(1) == 2

    async def replicas_are(wanted):
        return (await state())["spec"]["replicas"] == wanted

    await until(held)
    # Above maxReplicas a HorizontalPodAutoscaler scales down without any metric.
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "pay"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "pay"},
            "maxReplicas": 1,
        },
    }
    await run("apply", "-n", namespace, "-f", "-", stdin=json.dumps(autoscaler))
    await until(lambda: replicas_are(2))
    told = await run("get", "hpa", "pay", "-n", namespace, "-o", "jsonpath={.spec.maxReplicas}")
    assert told == "1"  # nothing of the autoscaler's was written
    await set_floor(0)
    await until(lambda: replicas_are(1))
