"""A changed ConfigMap or Secret is a release where the Rollout asks for it."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration

UNTIL_TOLD = [{"setWeight": 50}, {"pause": {}}, {"setWeight": 100}]
BY_TIME = {"enabled": False, "minStepDuration": "2s"}


def contents(shop, kind, **data):
    field = {"ConfigMap": "data", "Secret": "stringData"}[kind]
    shop.apply({"apiVersion": "v1", "kind": kind, "metadata": {"name": "payment-settings"}, field: data})


def push(shop):
    """Push v2, which takes its environment from a ConfigMap and a Secret."""
    deployment, _ = shop.objects("payment.yaml")
    deployment["spec"]["replicas"] = 2
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["image"] = "registry.example/shop/payment:v2"
    name = "payment-settings"
    container["envFrom"] = [{"configMapRef": {"name": name}}, {"secretRef": {"name": name}}]
    shop.apply(deployment)


def test_changed_contents_are_a_release_and_those_that_go_back_a_revert(shop):
    contents(shop, "ConfigMap", LIMIT="10")
    contents(shop, "Secret", KEY="old")
    shop.open(steps=UNTIL_TOLD, analysis=BY_TIME)
    push(shop)
    shop.until(lambda: shop.status["phase"] == "Paused")
    shop.annotate("resume")
    shop.until(lambda: shop.status["phase"] == "Healthy")

    shop.rollout(steps=UNTIL_TOLD, analysis=BY_TIME, configChanges="Release")
    shop.until(lambda: shop.status["phase"] == "Stalled")
    assert "spec.configChanges: the controller may not read Secret payment-settings" in shop.status["message"]
    role, user = "coalmine-controller-secrets", "system:coalmine:controller"
    shop.kubectl("create", "rolebinding", "secrets", f"--clusterrole={role}", f"--user={user}")
    shop.until(lambda: shop.status["phase"] == "Healthy")
    shop.until(lambda: shop.status["internal"].get("config", {}).get("stable", {}).get("digest", "") != "")
    assert len(shop.status["history"]) == 1  # switching it on releases nothing

    contents(shop, "ConfigMap", LIMIT="20")
    shop.until(lambda: shop.status["phase"] == "Paused")
    assert shop.weight == 50
    assert shop.get("deployment", "payment")["spec"]["paused"] is True
    contents(shop, "ConfigMap", LIMIT="10")  # git revert
    shop.until(lambda: shop.status["phase"] == "Healthy")
    contents(shop, "Secret", KEY="new")
    shop.until(lambda: shop.status["phase"] == "Paused")
    shop.annotate("resume")
    shop.until(lambda: shop.status["phase"] == "Healthy")
    assert [h["outcome"] for h in shop.status["history"]] == ["Promoted", "Reverted", "Promoted"]
    push(shop)  # the applier comes again and leaves the annotation alone
    assert shop.status["phase"] == "Healthy"
    assert shop.failed_by_us() == []
