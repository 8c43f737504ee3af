"""Objectives and the watch window, with a real API server, real Envoys and real requests."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration

SLOS = [{"name": "availability", "availability": {"objective": 99.9}}]
BY_TIME = {"enabled": False, "minStepDuration": "1s", "errors": {"warmUp": "0s"}}


def breaks(path, share):
    """From now on so many of the charges fail, of every version that was told to look at this file."""
    path.with_suffix(".new").write_text(str(share))
    path.with_suffix(".new").rename(path)


def pods(shop):
    return set(shop.kubectl("get", "pods", "-l", "app=payment,coalmine.dev/role!=canary", "-o", "name").split())


def test_an_outage_of_both_versions_takes_the_release_back_by_its_objective(shop, tmp_path):
    outage = tmp_path / "outage"
    shop.env = {"ERROR_RATE_FILE": str(outage)}
    shop.open(rate=60, slos=SLOS, steps=[{"setWeight": 50}, {"pause": {}}])
    shop.push("v2")
    shop.until(lambda: shop.state == "Judging")
    breaks(outage, 0.4)
    shop.until(lambda: shop.status["phase"] == "RolledBack")
    assert shop.weight == 0
    reason = shop.status["history"][0]["reason"]
    assert reason.startswith("spec.slos: availability is missed:")
    assert "the error budget burns" in reason
    assert "stable burns it" in reason
    shown = {e["metric"]: e for e in shop.status["evidence"]}
    assert shown["slo/availability"]["burnRate"] > 14.4
    assert shown["errors"]["rollbackE"] < shown["errors"]["rollbackAt"]
    assert shop.failed_by_us() == []


def test_a_version_that_breaks_while_it_is_watched_goes_back_and_a_quiet_one_is_promoted(shop, tmp_path):
    broken = tmp_path / "broken"
    steps = {"slos": SLOS, "steps": [{"setWeight": 100}], "analysis": BY_TIME}
    shop.open(rate=60, **steps, watch={"duration": "1h"})
    before = pods(shop)
    shop.push("v2", ERROR_RATE_FILE=str(broken))
    shop.until(lambda: shop.status["phase"] == "Watching")
    assert shop.weight == 100
    assert "is watched for" in shop.status["message"]
    assert shop.get("deployment", "payment")["spec"]["paused"] is True
    assert shop.get("deployment", "payment-canary")["spec"]["replicas"] == 2

    breaks(broken, 0.4)
    code, said = shop.rollout_status()
    assert code == 1, said
    shop.until(lambda: shop.status["phase"] == "RolledBack")
    assert shop.weight == 0
    assert pods(shop) == before
    assert "spec.slos: availability is missed" in shop.status["history"][0]["reason"]

    broken.unlink()
    shop.rollout(**steps, watch={"duration": "4s"})
    shop.annotate("retry")
    shop.until(lambda: shop.status["phase"] == "Watching")
    code, said = shop.rollout_status()
    assert code == 0, said
    shop.until(lambda: shop.status["phase"] == "Healthy")
    assert [h["outcome"] for h in shop.status["history"]] == ["RolledBack", "Promoted"]
    assert {"WatchStarted", "WatchPassed"} <= set(shop.events())
    assert shop.failed_by_us() == []
