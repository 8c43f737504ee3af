"""kill -9 of the mesh's control plane during a release: traffic goes on at the last weights, and so does the release."""

from __future__ import annotations

import signal

import pytest

from coalmine.local.layout import CONTROLLER, MESH

pytestmark = pytest.mark.integration

STEPS = [{"setWeight": 50}, {"pause": {}}, {"setWeight": 100}]
BY_TIME = {"enabled": False, "minStepDuration": "2s"}


def test_a_release_waits_for_a_killed_mesh_and_then_goes_on(shop):
    shop.open(steps=STEPS, analysis=BY_TIME)
    shop.push("v2")
    for state in ("Scaling", "Judging", "Paused"):
        shop.until(lambda state=state: shop.state in {state, "Paused"})
        shop.kill_mesh()
    shop.until(lambda: shop.state == "Paused")
    assert shop.weight == 50

    shop.cluster.stop(MESH, signal.SIGKILL)
    answered = len(shop.seconds())
    shop.annotate("resume")
    shop.until(lambda: shop.state != "Paused" and len(shop.seconds()) > answered + 3)
    assert shop.weight == 50, "nobody can have acknowledged another weight"
    shop.cluster.start(MESH)

    shop.until(lambda: shop.state == "Rolling")
    shop.kill_mesh()
    shop.until(lambda: shop.status["phase"] == "Healthy")
    assert [h["outcome"] for h in shop.status["history"]] == ["Promoted"]
    assert shop.failed_by_us() == []


def test_both_killed_at_once_lose_neither_the_weight_nor_the_way_back(shop):
    shop.open(steps=STEPS, analysis=BY_TIME)
    shop.push("v2")
    shop.until(lambda: shop.state == "Judging")
    shop.cluster.stop(CONTROLLER, signal.SIGKILL)
    shop.cluster.stop(MESH, signal.SIGKILL)
    answered = len(shop.seconds())
    shop.until(lambda: len(shop.seconds()) > answered + 2)
    assert shop.weight == 50
    shop.cluster.start(MESH)
    shop.cluster.start(CONTROLLER)
    shop.until(lambda: shop.state == "Paused")
    assert shop.weight == 50

    shop.cluster.stop(MESH, signal.SIGKILL)
    shop.annotate("abort")
    shop.until(lambda: shop.status["phase"] == "RollingBack")
    shop.cluster.start(MESH)
    code, said = shop.rollout_status()
    assert code == 1, said
    shop.until(lambda: shop.status["phase"] == "RolledBack")
    assert shop.weight == 0
    assert shop.failed_by_us() == []
