"""A real release that is taken back, and what is in git afterwards."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration


def reverts(repository):
    return [branch for branch in repository.branches() if branch.startswith("coalmine/revert-")]


def told(shop):
    return [reason for reason in shop.events() if reason.startswith("Writ")]


def test_a_release_that_was_taken_back_is_reverted_in_git_once_even_across_a_restart(shop, repository):
    repository.commit("Version 1", payment_yaml="image: registry.example/shop/payment:v1\n")
    settings = {"url": repository.url, "path": "apps", "secretRef": {"name": "git"}}
    shop.push("v1")
    shop.rollout(
        steps=[{"setWeight": 20}, {"pause": {}}],
        analysis={"enabled": False, "minStepDuration": "1s"},
        gitWriteBack=settings,
    )
    shop.until(lambda: shop.status["phase"] == "Healthy")
    repository.commit("Version 2", payment_yaml="image: registry.example/shop/payment:v2\n")
    shop.push("v2")
    shop.until(lambda: shop.status["phase"] == "Paused")
    shop.annotate("abort")

    shop.until(lambda: told(shop) == ["WriteBackFailed"])
    assert "kubectl create rolebinding coalmine-secrets" in shop.status["internal"]["writeBack"]["words"]
    literals = [f"--from-literal={key}={value}" for key, value in repository.secret.items()]
    shop.kubectl("create", "secret", "generic", "git", *literals)
    role = ("--clusterrole", "coalmine-controller-secrets", "--user", "system:coalmine:controller")
    shop.kubectl("create", "rolebinding", "coalmine-secrets", *role)
    shop.kill()
    shop.until(lambda: shop.status["internal"]["writeBack"]["done"])

    revision = shop.status["failedRevision"]
    assert reverts(repository) == [f"coalmine/revert-{revision}"]
    assert repository.file(reverts(repository)[0], "apps/payment.yaml") == "image: registry.example/shop/payment:v1\n"
    assert f"Coalmine-Rollout: {shop.namespace}/payment" in repository.show(reverts(repository)[0])
    made = repository.show(reverts(repository)[0], "%H")
    shop.kill()
    shop.kubectl("annotate", "deployment", "payment", "looked=again")
    shop.until(lambda: told(shop) == ["WriteBackFailed", "WrittenBack"])
    assert repository.show(reverts(repository)[0], "%H") == made
    assert shop.status["phase"] == "RolledBack"
