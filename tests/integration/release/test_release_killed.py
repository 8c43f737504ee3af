"""kill -9 of the controller in each state: traffic goes on, and after a restart the release goes on where it was."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration

STEPS = [{"setWeight": 50}, {"pause": {}}, {"setWeight": 100}]
BY_TIME = {"enabled": False, "minStepDuration": "2s"}


@pytest.mark.parametrize("state", ["Starting", "Weighting", "Judging", "Paused", "Rolling", "Returning", "Draining"])
def test_a_killed_controller_goes_on_where_it_was(shop, state):
    shop.open(steps=STEPS, analysis=BY_TIME)
    shop.push("v2")
    if state in {"Rolling", "Returning", "Draining"}:
        shop.until(lambda: shop.state == "Paused")
        shop.annotate("resume")
    shop.until(lambda: shop.state == state or passed(shop, state))
    before = shop.weight
    shop.cluster.stop("controller", 9)
    assert shop.weight in {before, *allowed(before)}
    shop.cluster.start("controller")
    if state not in {"Rolling", "Returning", "Draining"}:
        shop.until(lambda: shop.state == "Paused")
        assert shop.weight == 50
        shop.annotate("resume")
    shop.until(lambda: shop.status["phase"] == "Healthy")
    assert [h["outcome"] for h in shop.status["history"]] == ["Promoted"]
    assert shop.failed_by_us() == []
    events = shop.events()
    assert events.count("Promoted") == events.count("ReleaseStarted") == 1


def passed(shop, state):
    """Some states last milliseconds; then the kill comes in the next one."""
    return state in {"Weighting", "Returning"} and shop.state in {"Judging", "Paused", "Draining", "Healthy"}


def allowed(weight):
    return {0: {50}, 50: {50, 100}, 100: {0}}[weight]


def test_a_rollback_decided_before_the_kill_is_finished_after_it(shop):
    shop.open(rate=60, analysis={"minStepDuration": "2s", "errors": {"warmUp": "0s"}, "latency": {"enabled": False}})
    shop.push("v2", errors=0.5)
    shop.until(
        lambda: shop.status["phase"] in {"RollingBack", "RolledBack"} or shop.status.get("verdict") == "Continue"
    )
    shop.kill()
    code, said = shop.rollout_status()
    assert code == 1, said
    shop.until(lambda: shop.status["phase"] == "RolledBack")
    assert shop.weight == 0
    assert shop.failed_by_us() == []
