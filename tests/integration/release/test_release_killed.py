"""kill -9 of the controller in each state: traffic goes on, and after a restart the release goes on where it was."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.integration

STEPS = [{"setWeight": 50}, {"pause": {}}, {"setWeight": 100}]
BY_TIME = {"enabled": False, "minStepDuration": "2s"}


BEFORE, AFTER = ("Starting", "Weighting", "Judging", "Paused"), ("Rolling", "Returning", "Draining")
"""The states of a release before and after the pause, in order. Some last milliseconds: the kill then hits the next."""


def test_a_controller_killed_in_every_state_of_a_release_goes_on_where_it_was(shop):
    shop.open(steps=STEPS, analysis=BY_TIME)
    shop.push("v2")
    for state in BEFORE:
        shop.until(lambda state=state: at_least(shop, state, BEFORE))
        killed(shop)
    shop.until(lambda: shop.state == "Paused")
    assert shop.weight == 50
    shop.annotate("resume")
    for state in AFTER:
        shop.until(lambda state=state: at_least(shop, state, AFTER))
        killed(shop)
    shop.until(lambda: shop.status["phase"] == "Healthy")
    assert [h["outcome"] for h in shop.status["history"]] == ["Promoted"]
    assert shop.failed_by_us() == []
    events = shop.events()
    assert events.count("Promoted") == events.count("ReleaseStarted") == 1


def at_least(shop, state, order):
    """Say whether the release is in this state or beyond it."""
    return shop.state in {*order[order.index(state) :], *({"Healthy"} if order is AFTER else set())}


def killed(shop):
    """kill -9; the weight may only be the one that was, or the next one that was asked for already."""
    before = shop.weight
    shop.cluster.stop("controller", 9)
    assert shop.weight in {before, *{0: {50}, 50: {100}, 100: {0}}[before]}
    shop.cluster.start("controller")


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
