"""No autoscaler shrinks what a release needs, people do as they like: both ways of admission, the real API server."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from rollouts.api.floors import AUTOSCALERS, FLOORS_CONFIG_MAP
from rollouts.api.rollout import RolloutStatus
from rollouts.core.observed import Subject
from rollouts.core.scaling import SetFloor
from rollouts.engine.scaling import Scaling

pytestmark = pytest.mark.integration
HPA = AUTOSCALERS[0]
PATIENCE_SECONDS = 60


@pytest.fixture
async def subject(run, namespace):
    """Makes a real Rollout: who owns a floor must exist, or Kubernetes collects it as garbage."""

    async def make(name):
        spec = {"workloadRef": {"name": name}}
        body = {"apiVersion": "coalmine.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": name}, "spec": spec}
        await run("apply", "-n", namespace, "-f", "-", stdin=json.dumps(body))
        uid = await run("get", "rollout", name, "-n", namespace, "-o", "jsonpath={.metadata.uid}")
        return Subject(name, namespace, uid, 1, None, "", RolloutStatus())

    return make


@pytest.fixture
async def set_floor(api, subject, floors):
    """Writes a floor as the controller does, and tells the webhook of it."""
    scaling, subjects = Scaling(api, time.time), {}

    async def set_floor(replicas, name="pay"):
        if name not in subjects:
            subjects[name] = await subject(name)
        floors[name] = replicas
        await scaling.write(subjects[name], SetFloor(name, replicas))

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


async def test_each_rollout_has_its_own_floor_and_the_last_takes_the_config_map_away(run, namespace, set_floor):
    async def floors():
        names = await run("get", "configmap", "-n", namespace, "-o", "name")
        if f"configmap/{FLOORS_CONFIG_MAP}" not in names:
            return None
        return json.loads(await run("get", "configmap", FLOORS_CONFIG_MAP, "-n", namespace, "-o", "json"))["data"]

    await set_floor(0)
    assert await floors() is None
    await set_floor(3)
    await set_floor(5, "frontend")
    assert await floors() == {"pay": "3", "frontend": "5"}
    await set_floor(4)
    await set_floor(0, "frontend")
    assert await floors() == {"pay": "4"}
    await set_floor(0)
    assert await floors() is None


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
    await run("autoscale", "-n", namespace, "deployment/pay", "--min=1", "--max=1", "--cpu=50%")
    await until(lambda: replicas_are(2))
    told = await run("get", "hpa", "pay", "-n", namespace, "-o", "jsonpath={.spec.maxReplicas}")
    assert told == "1"  # nothing of the autoscaler's was written
    await set_floor(0)
    await until(lambda: replicas_are(1))
