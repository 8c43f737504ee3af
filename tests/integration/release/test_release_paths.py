"""How releases end, with a real API server, real Envoys and real requests."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration

BY_TIME = {"enabled": False, "minStepDuration": "2s"}
UNTIL_TOLD = [{"setWeight": 20}, {"pause": {}}, {"setWeight": 100}]


def gone(shop):
    return shop.get("deployment", "payment-canary") is None and shop.get("service", "payment-canary") is None


def label_of(shop):
    return (shop.get("deployment", "payment")["metadata"].get("labels") or {}).get("coalmine.dev/rollout")


def at_pause(shop):
    shop.until(lambda: shop.status["phase"] == "Paused")
    assert shop.weight == 20


def test_a_good_release_is_promoted_and_kubectl_waits_for_it(shop):
    shop.open(steps=[{"setWeight": 50}, {"setWeight": 100}], analysis=BY_TIME)
    shop.push("v2")
    code, said = shop.rollout_status()
    assert code == 0, said
    assert "successfully rolled out" in said
    shop.until(lambda: shop.status["phase"] == "Healthy")
    assert shop.status["history"][0]["outcome"] == "Promoted"
    shop.until(lambda: gone(shop))
    assert shop.weight == 0
    assert shop.failed_by_us() == []
    assert shop.events() == [
        "Adopted", "ReleaseStarted", "StepStarted", "CanaryScaled", "WeightAcknowledged", "StepStarted", "CanaryScaled", "WeightAcknowledged",
        "StepsPassed", "CanaryScaled", "WeightAcknowledged", "Promoted", "TrafficReturned", "Finished",
    ]  # fmt: skip


def test_a_bad_release_is_taken_back_and_kubectl_fails(shop):
    shop.open(rate=60)
    before = shop.get("deployment", "payment")["status"]["readyReplicas"]
    shop.push("v2", errors=0.4)
    code, said = shop.rollout_status()
    assert code == 1
    assert "progress deadline" in said
    shop.until(lambda: shop.status["phase"] == "RolledBack")
    assert shop.weight == 0
    assert "errors" in shop.status["history"][0]["reason"]
    assert shop.get("deployment", "payment")["status"]["readyReplicas"] == before
    shop.until(lambda: gone(shop))
    shop.push("v1")  # git revert
    code, said = shop.rollout_status()
    shop.until(lambda: shop.status["phase"] == "Healthy")
    assert shop.get("deployment", "payment")["spec"].get("paused", False) is False
    assert shop.failed_by_us() == []


def test_a_second_change_supersedes_the_first(shop):
    shop.open(steps=UNTIL_TOLD, analysis=BY_TIME)
    shop.push("v2")
    at_pause(shop)
    shop.push("v3")
    shop.until(lambda: shop.status["canary"]["images"] == ["registry.example/shop/payment:v3"])
    at_pause(shop)
    assert [h["outcome"] for h in shop.status["history"]] == ["Superseded"]
    assert shop.failed_by_us() == []


def test_a_revert_and_an_abort_leave_stable_as_it_was(shop):
    shop.open(steps=UNTIL_TOLD, analysis=BY_TIME)
    shop.push("v2")
    at_pause(shop)
    shop.push("v1")
    shop.until(lambda: shop.status["phase"] == "Healthy")
    shop.push("v3")
    at_pause(shop)
    shop.annotate("abort")
    shop.until(lambda: shop.status["phase"] == "RolledBack")
    assert shop.weight == 0
    assert [h["outcome"] for h in shop.status["history"]] == ["Reverted", "Aborted"]
    assert shop.failed_by_us() == []


def test_resume_of_the_deployment_ships_it(shop):
    shop.open(steps=UNTIL_TOLD, analysis=BY_TIME)
    shop.push("v2")
    at_pause(shop)
    shop.kubectl("rollout", "resume", "deployment/payment")
    shop.until(lambda: shop.status["phase"] == "Healthy")
    assert shop.status["history"][0]["outcome"] == "Overridden"
    assert shop.status["stable"]["images"] == ["registry.example/shop/payment:v2"]
    assert shop.failed_by_us() == []


def test_deletion_mid_canary_leaves_a_plain_deployment_and_nothing_else(shop):
    shop.open(steps=UNTIL_TOLD, analysis=BY_TIME)
    shop.push("v2")
    at_pause(shop)
    shop.kubectl("delete", "rollout", "payment", "--timeout=120s")
    assert gone(shop)
    assert shop.get("trafficsplit", "payment") is None
    assert label_of(shop) is None
    shop.kubectl("rollout", "status", "deployment/payment", "--timeout=120s")
    assert shop.failed_by_us() == []


def test_bad_input_is_told_and_mended(shop):
    shop.rollout()
    shop.until(lambda: shop.status["phase"] == "Stalled")
    assert "spec.workloadRef.name: there is no Deployment payment" in shop.status["message"]
    shop.push("v1")
    shop.until(lambda: shop.status["phase"] == "Healthy")
