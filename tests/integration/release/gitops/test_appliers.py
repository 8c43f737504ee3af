"""Every applier that people use may go on as always while a canary runs: nothing is reverted, and nothing is drift."""

from __future__ import annotations

import copy
import json

import pytest

pytestmark = pytest.mark.integration

STEPS = [{"setWeight": 20}, {"pause": {}}]
ROLLOUT = {
    "apiVersion": "coalmine.dev/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "payment"},
    "spec": {
        "workloadRef": {"name": "payment"},
        "scaleDownDelaySeconds": 1,
        "steps": STEPS,
        "analysis": {"enabled": False, "minStepDuration": "1s"},
    },
}


def commit(shop, version, *, replicas=1, **annotations):
    """What git holds: a plain Deployment, its Service, and a Rollout."""
    deployment, service = shop.objects("payment.yaml")
    deployment["metadata"]["annotations"] = annotations
    deployment["spec"]["replicas"] = replicas
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = f"registry.example/shop/payment:{version}"
    for manifest in (deployment, service):
        del manifest["metadata"]["namespace"]
    return [deployment, service, copy.deepcopy(ROLLOUT)]


def generations(shop, manifests):
    return {m["kind"]: shop.get(m["kind"].lower(), "payment")["metadata"].get("generation") for m in manifests}


def labels(obj):
    return obj["metadata"].get("labels") or {}


def left(shop, but=""):
    """Whatever of ours is in the namespace or on the Deployment."""
    kinds = "deployments,services,replicasets,pods,configmaps,rollouts.coalmine.dev,trafficsplits.mesh.coalmine.dev"
    items = json.loads(shop.kubectl("get", kinds, "-o", "json"))["items"]
    names = [
        f"{o['kind']} {o['metadata']['name']}"
        for o in items
        if "payment-canary" in o["metadata"]["name"] and o["kind"] != but
    ]
    names += [o["kind"] for o in items if o["kind"] in {"Rollout", "TrafficSplit"}]
    deployment = shop.get("deployment", "payment")
    marks = [
        f
        for f in ("labels", "annotations", "finalizers")
        if "coalmine.dev" in json.dumps(deployment["metadata"].get(f))
    ]
    return names + marks + ["paused"] * bool(deployment["spec"].get("paused"))


def test_a_running_canary_is_neither_reverted_nor_drift_and_goes_without_a_trace(shop, applier):
    applier.sync(commit(shop, "v1"))
    shop.until(lambda: shop.status["phase"] == "Healthy")
    assert applier.drift(commit(shop, "v1")) == ""

    git = commit(shop, "v2")
    assert applier.drift(git) != ""
    applier.sync(git)
    shop.until(lambda: shop.status["phase"] == "Paused")
    assert applier.drift(git) == ""
    before = generations(shop, git)
    for _ in range(2):
        applier.sync(git)
    deployment = shop.get("deployment", "payment")
    assert (deployment["spec"].get("paused"), labels(deployment).get("coalmine.dev/rollout")) == (True, "payment")
    assert generations(shop, git) == before

    git = commit(shop, "v2", replicas=2, team="shop")
    applier.sync(git)
    shop.until(lambda: shop.get("deployment", "payment")["status"].get("readyReplicas") == 2)
    assert shop.get("deployment", "payment")["metadata"]["annotations"]["team"] == "shop"
    assert applier.drift(git) == ""
    assert (shop.status["phase"], shop.weight) == ("Paused", 20)
    assert [h["outcome"] for h in shop.status.get("history", ())] == []

    applier.sync(git[:2])
    shop.until(lambda: shop.get("rollout", "payment") is None)
    assert left(shop, but="Pod") == []
    shop.until(lambda: left(shop) == [])
    shop.kubectl("rollout", "status", "deployment/payment", "--timeout=120s")
    assert applier.drift(git[:2]) == ""


def test_pruning_the_rollout_in_the_foreground_mid_canary_loses_no_request(shop):
    shop.open(steps=[{"setWeight": 50}, {"pause": {}}], analysis={"enabled": False, "minStepDuration": "1s"})
    shop.push("v2")
    shop.until(lambda: shop.status["phase"] == "Paused")
    assert shop.weight == 50
    shop.kubectl("delete", "rollout", "payment", "--wait=false", "--cascade=foreground")
    shop.until(lambda: shop.get("rollout", "payment") is None)
    shop.until(lambda: left(shop) == [])
    shop.kubectl("rollout", "status", "deployment/payment", "--timeout=120s")
    answered = len(shop.seconds())
    shop.until(lambda: len(shop.seconds()) > answered + 2)
    assert shop.failed_by_us() == []
