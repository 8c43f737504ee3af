"""Autoscalers, people's scaling, disruption budgets and pods that never become ready, during real releases."""

from __future__ import annotations

import json

import pytest

from rollouts.api.floors import AUTOSCALERS

pytestmark = pytest.mark.integration

UNTIL_TOLD = [{"setWeight": 50}, {"pause": {}}, {"setWeight": 100}]
BY_TIME = {"enabled": False, "minStepDuration": "2s"}
BUDGET = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "payment"},
    "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "payment"}}},
}


def autoscale(shop, replicas):
    """Ask for a size as a HorizontalPodAutoscaler does, and return what was granted."""
    path = f"/apis/apps/v1/namespaces/{shop.namespace}/deployments/payment/scale"
    found = json.loads(shop.kubectl("get", "--raw", path))
    found["spec"]["replicas"] = replicas
    del found["metadata"]["resourceVersion"]
    answer = shop.kubectl("replace", "--raw", path, "-f", "-", f"--as={AUTOSCALERS[0]}", stdin=json.dumps(found))
    return json.loads(answer)["spec"].get("replicas", 0)


def counted(shop):
    """Names of the pods that an autoscaler of the Deployment counts."""
    path = f"/apis/apps/v1/namespaces/{shop.namespace}/deployments/payment/scale"
    selector = json.loads(shop.kubectl("get", "--raw", path))["status"]["selector"]
    return shop.kubectl("get", "pods", "-l", selector, "-o", "name").split()


def push_without_replicas(shop):
    """Push v2 as people do who leave the size to an autoscaler."""
    deployment, _ = shop.objects("payment.yaml")
    del deployment["spec"]["replicas"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["image"] = "registry.example/shop/payment:v2"
    shop.apply(deployment)


def canary_replicas(shop):
    found = shop.get("deployment", "payment-canary")
    return found["spec"]["replicas"] if found else 0


def test_autoscalers_are_held_the_canary_follows_and_has_stables_disruption_budget(shop):
    shop.open(steps=UNTIL_TOLD, analysis=BY_TIME)
    shop.apply(BUDGET)
    assert autoscale(shop, 3) == 3
    shop.until(lambda: shop.get("deployment", "payment")["status"].get("readyReplicas") == 3)
    push_without_replicas(shop)
    shop.until(lambda: shop.status["phase"] == "Paused")
    assert canary_replicas(shop) == 2
    assert all("canary" not in pod for pod in counted(shop))
    assert len(counted(shop)) == 3
    shop.until(lambda: shop.get("pdb", "payment-canary") is not None)
    assert shop.get("pdb", "payment-canary")["spec"]["minAvailable"] == "34%"  # one of three

    assert autoscale(shop, 1) == 3  # HPA
    assert autoscale(shop, 0) == 3  # KEDA, to zero
    assert autoscale(shop, 4) == 4
    shop.until(lambda: shop.status["internal"]["scaling"]["floor"] == 4)
    shop.until(lambda: canary_replicas(shop) == 2)
    shop.kubectl("scale", "deployment/payment", "--replicas=5")
    shop.until(lambda: canary_replicas(shop) == 3)
    shop.kubectl("scale", "deployment/payment", "--replicas=2")  # people are obeyed
    shop.until(lambda: canary_replicas(shop) == 1)
    assert autoscale(shop, 1) == 2

    shop.annotate("abort")
    shop.until(lambda: "pods that all requests need are ready" in shop.status["message"])
    assert shop.weight > 0  # two of five cannot take everything
    shop.kubectl("scale", "deployment/payment", "--replicas=4")
    shop.until(lambda: shop.status["phase"] == "RolledBack")
    shop.until(lambda: shop.get("pdb", "payment-canary") is None)
    assert shop.weight == 0
    assert shop.failed_by_us() == []


def broken(shop, name):
    """Push payment so that its pods never become ready."""
    deployment, _ = shop.objects("payment.yaml")
    deployment["spec"]["replicas"] = 2
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["image"] = f"registry.example/shop/payment:{name}"
    match name:
        case "no-image":
            container.pop("command", None)
            container.pop("args", None)
        case "crash":
            container["command"], container["args"] = ["/bin/sh"], ["-c", "exit 7"]
        case "unready":
            container["readinessProbe"] = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    shop.apply(deployment)


def test_pods_that_never_become_ready_leave_stable_alone_and_say_why_once(shop):
    shop.open(steps=UNTIL_TOLD, analysis=BY_TIME, progressDeadlineSeconds=10)
    before = set(counted(shop))
    told = {"no-image": "ErrImagePull", "crash": "exit code 7", "unready": "is not ready"}
    for number, (name, words) in enumerate(told.items(), 1):
        broken(shop, name)
        shop.until(lambda number=number: len(shop.status.get("history", ())) == number)
        shop.until(lambda: shop.status["phase"] == "RolledBack")
        reason = shop.status["history"][-1]["reason"]
        assert "spec.progressDeadlineSeconds (10 s)" in reason
        assert words in reason
        assert shop.events().count("RollbackStarted") == number
        assert set(counted(shop)) == before
    assert shop.failed_by_us() == []
