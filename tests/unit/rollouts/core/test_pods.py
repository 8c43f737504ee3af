"""A pod that does not become ready says why; so does the Rollout, once."""

from __future__ import annotations

import pytest

from rollouts.core.observed import CanaryPod
from rollouts.core.pods import pod_trouble

PULL = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "shop:2"'}}
CRASH = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}}


def pod(state=None, *, ready=False, last=None, conditions=()):
    container = {"name": "app", "ready": ready, "state": state or {}, "lastState": last or {}}
    return {"status": {"containerStatuses": [container], "conditions": list(conditions)}}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (pod(PULL), 'container app: ImagePullBackOff: Back-off pulling image "shop:2"'),
        (
            pod(CRASH, last={"terminated": {"exitCode": 3, "reason": "Error", "message": "no database"}}),
            "container app: CrashLoopBackOff: back-off 10s restarting (it ended with exit code 3, Error: no database before)",
        ),
        (pod({"terminated": {"exitCode": 1}}), "container app ended with exit code 1"),
        (pod({"running": {}}), "container app runs and is not ready: its startup or readiness probe fails"),
        (
            pod(conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]),
            "Unschedulable: 0/1 nodes",
        ),
        (pod({"waiting": {"reason": "ContainerCreating"}}), ""),
        (pod({"running": {}}, conditions=[{"type": "Ready", "status": "True"}]), ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_a_pod_says_why_it_is_not_ready(body, words):
    assert pod_trouble(body) == words


def test_the_words_of_an_init_container_that_cannot_start_come_before_those_that_wait_for_it():
    body = pod({"running": {}})
    body["status"]["initContainerStatuses"] = [{"name": "init", "state": PULL}]
    assert pod_trouble(body).startswith("container init: ImagePullBackOff")


def test_a_canary_that_never_becomes_ready_is_taken_back_once_with_its_pods_words(make_world):
    world = make_world(progressDeadlineSeconds=60)
    world.settle()
    world.pods_start = False
    world.canary_pods = {
        name: CanaryPod(uid=name, trouble="container app: ImagePullBackOff: no such image") for name in ("b", "a")
    }
    world.push("shop:2")
    world.settle()
    assert "pod a (and 1 more): container app: ImagePullBackOff" in world.status["message"]
    world.wait(70)
    assert world.phase == "RolledBack"
    assert "within spec.progressDeadlineSeconds (60 s); pod a (and 1 more): container app: ImagePullBackOff: no such image" in world.status["message"]  # fmt: skip
    assert list(world.events.values()).count("RollbackStarted") == 1
    assert world.weight == 0
    assert world.deployment["status"]["readyReplicas"] == 4


def test_requests_wait_until_the_canarys_pods_have_been_ready_for_min_ready_seconds(world):
    world.settle()
    world.pods_start = False
    world.push("shop:2")
    world.settle()
    world.canary["status"] = {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "availableReplicas": 0}
    world.wait(5)
    assert (world.state, world.weight) == ("Starting", 0)
    world.canary["status"]["availableReplicas"] = 1
    world.wait(5)
    assert world.weight == 10
