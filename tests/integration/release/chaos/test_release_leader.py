"""Two controllers: one leads, the other takes over, and who was overtaken writes nothing."""

from __future__ import annotations

import signal

import pytest

pytestmark = pytest.mark.integration

STEPS = [{"setWeight": 50}, {"pause": {}}, {"setWeight": 100}]
BY_TIME = {"enabled": False, "minStepDuration": "2s"}
SENT = (
    "rollouts.engine.kube: PATCH ",
    "rollouts.engine.kube: POST ",
    "rollouts.engine.kube: PUT ",
    "rollouts.engine.kube: DELETE ",
)


def writes(lines):
    """What was sent that changes something; the Lease is asked for by everybody."""
    return [line for line in lines if any(sent in line for sent in SENT) and "/leases" not in line]


def test_the_other_controller_finishes_the_release_of_a_killed_one(controllers, shop, story):
    first = controllers.leader
    shop.open(steps=STEPS, analysis=BY_TIME)
    shop.push("v2")
    shop.until(lambda: shop.state == "Judging")
    first.kill()
    shop.until(lambda: shop.state == "Paused")
    assert controllers.leader is not first
    assert shop.weight == 50

    first.start()
    second = controllers.leader
    shop.until(lambda: first.ready)
    shop.annotate("resume")
    shop.until(lambda: shop.state in {"Judging", "Filling", "Switching", "Rolling"})
    pid = str(second.pid)
    second.stop()
    assert pid not in controllers.holder.split("_"), "SIGTERM gives the Lease back"
    shop.until(lambda: shop.status["phase"] == "Healthy")
    assert controllers.leader is first
    told = story(shop)
    told.check()
    assert [h["outcome"] for h in told.history] == ["Promoted"]
    assert told.reasons.count("Promoted") == told.reasons.count("ReleaseStarted") == 1
    assert shop.failed_by_us() == []


def test_a_stopped_leader_that_wakes_up_writes_nothing(controllers, shop, story):
    shop.open(steps=STEPS, analysis=BY_TIME)
    old = controllers.leader
    shop.push("v2")
    shop.until(lambda: shop.state == "Judging")
    assert writes(old.lines()), "it did write while it led"
    old.signal(signal.SIGSTOP)
    asleep = len(old.log.read_text(errors="replace"))
    shop.until(lambda: controllers.leader not in {None, old})
    shop.until(lambda: shop.state == "Paused")
    old.signal(signal.SIGCONT)
    shop.until(lambda: any("does not lead any more" in line for line in old.lines(asleep)))
    shop.annotate("resume")
    shop.until(lambda: shop.status["phase"] == "Healthy")
    assert writes(old.lines(asleep)) == []
    story(shop).check()
    assert shop.failed_by_us() == []
