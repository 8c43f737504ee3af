"""What people ask of releases in the course of time: again, back, on, not now, one after the other."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import subprocess

import pytest

from coalmine.local.layout import CONTROLLER
from coalmine.local.processes import read_record

pytestmark = pytest.mark.integration

BY_TIME = {"enabled": False, "minStepDuration": "1s"}
UNTIL_TOLD = [{"setWeight": 20}, {"pause": {}}, {"setWeight": 100}]
V1, V2 = (f"registry.example/shop/payment:{version}" for version in ("v1", "v2"))


def outcomes(shop):
    return [h["outcome"] for h in shop.status["history"]]


def says(shop, words, name="payment"):
    shop.until(lambda: words in shop.status_of(name)["message"])


def healthy(shop, image):
    shop.until(lambda: shop.status["phase"] == "Healthy" and shop.status["stable"]["images"] == [image])


def test_what_was_taken_back_is_refused_until_it_is_retried_and_a_step_can_be_skipped(shop):
    shop.open(steps=UNTIL_TOLD, analysis=BY_TIME)
    shop.push("v2")
    shop.until(lambda: shop.status["phase"] == "Paused")
    shop.annotate("abort")
    shop.until(lambda: shop.status["phase"] == "RolledBack")
    shop.push("v1")
    shop.until(lambda: shop.status["phase"] == "Healthy")

    shop.push("v2")
    code, said = shop.rollout_status()
    assert code == 1, said
    shop.until(lambda: shop.status["phase"] == "RolledBack")
    assert "coalmine.dev/retry" in shop.status["message"]
    assert shop.events().count("RevisionRefused") == 1

    shop.annotate("retry")
    shop.until(lambda: shop.status["phase"] == "Paused")
    assert shop.weight == 20
    shop.annotate("skip")
    healthy(shop, V2)
    assert outcomes(shop) == ["Aborted", "Promoted"]
    assert shop.failed_by_us() == []


def test_kubectl_undo_goes_back_to_what_was_stable_without_steps(shop):
    shop.open(steps=[{"setWeight": 20}, {"setWeight": 100}], analysis=BY_TIME, rollbackWindow={"duration": "1h"})
    shop.push("v2")
    healthy(shop, V2)
    steps = shop.events().count("StepStarted")

    shop.kubectl("rollout", "undo", "deployment/payment")
    code, said = shop.rollout_status()
    assert code == 0, said
    healthy(shop, V1)
    assert outcomes(shop) == ["Promoted", "Promoted"]
    assert "spec.rollbackWindow" in shop.status["history"][1]["reason"]
    assert shop.events().count("StepStarted") == steps
    assert shop.failed_by_us() == []


def test_a_suspended_rollout_starts_nothing_and_goes_on_when_it_is_not(shop):
    shop.open(steps=[{"setWeight": 20}, {"setWeight": 100}], analysis=BY_TIME, paused=True)
    shop.push("v2")
    says(shop, "spec.paused")
    assert shop.status["phase"] == "Healthy"
    assert shop.get("deployment", "payment-canary") is None
    shop.rollout(steps=[{"setWeight": 20}, {"setWeight": 100}], analysis=BY_TIME)
    healthy(shop, V2)


def test_releases_wait_for_windows_freezes_and_other_rollouts(shop):
    now = dt.datetime.now(dt.UTC)
    hour = dt.timedelta(hours=1)
    freeze = {"start": (now - hour).isoformat(), "end": (now + hour).isoformat(), "reason": "the year ends"}
    other_month = (now + dt.timedelta(days=90)).month
    later = {"schedule": f"0 0 1 {other_month} *", "duration": "1h", "timeZone": "Europe/Berlin"}
    steps = {"steps": UNTIL_TOLD, "analysis": BY_TIME}

    shop.open(**steps, freezes=[freeze])
    shop.push("v2")
    says(shop, "the year ends")
    shop.rollout(**steps, releaseWindows=[later])
    says(shop, "spec.releaseWindows")
    assert shop.status["phase"] == "Healthy"
    assert shop.get("deployment", "payment-canary") is None

    shop.rollout(name="frontend", **steps, dependsOn=["payment"])
    shop.until(lambda: "frontend" in label_of(shop, "frontend"))
    shop.rollout(**steps, releaseWindows=[later, {"schedule": "* * * * *", "duration": "2m"}])
    shop.until(lambda: shop.status["phase"] == "Paused")
    shop.kubectl("set", "image", "deployment/frontend", "frontend=registry.example/shop/frontend:v2")
    says(shop, "Rollout payment (spec.dependsOn) is Paused", "frontend")
    shop.annotate("resume")
    shop.until(lambda: shop.status_of("frontend")["phase"] == "Paused")
    assert shop.status["phase"] == "Healthy"
    assert outcomes(shop) == ["Promoted"]
    shop.kubectl("delete", "rollout", "frontend", "--timeout=120s")


def label_of(shop, deployment):
    return (shop.get("deployment", deployment)["metadata"].get("labels") or {}).get("coalmine.dev/rollout", "")


def test_only_so_many_releases_are_under_way_at_once(shop):
    steps = {"steps": UNTIL_TOLD, "analysis": BY_TIME}
    shop.open(**steps)
    shop.rollout(name="frontend", **steps)
    shop.until(lambda: shop.status_of("frontend")["phase"] == "Healthy")
    with controller_with(shop.cluster, "--max-releases=1"):
        shop.push("v2")
        shop.until(lambda: shop.status["phase"] == "Paused")
        shop.kubectl("set", "image", "deployment/frontend", "frontend=registry.example/shop/frontend:v2")
        says(shop, "--max-releases", "frontend")
        shop.annotate("resume")
        shop.until(lambda: shop.status_of("frontend")["phase"] == "Paused")
        assert shop.status["phase"] == "Healthy"
    shop.kubectl("delete", "rollout", "frontend", "--timeout=120s")


@contextlib.contextmanager
def controller_with(cluster, *options):
    """Run the controller with further options, instead of the cluster's own."""
    command = read_record(cluster.layout.record(CONTROLLER)).command
    cluster.stop(CONTROLLER)
    with cluster.layout.log(CONTROLLER).open("a") as log:
        process = subprocess.Popen([*command, *options], env=os.environ, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)
        cluster.start(CONTROLLER)
