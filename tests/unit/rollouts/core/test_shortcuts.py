"""Ways around the steps: skipping one, and going back to what was good a short while ago."""

from __future__ import annotations

import pytest

from analysis.model.verdict import Decision
from rollouts.api.names import PROMOTE_ANNOTATION, RETRY_ANNOTATION, SKIP_ANNOTATION
from rollouts.core import actions as a

APPROVAL = [{"setWeight": 10}, {"approval": {}}, {"setWeight": 50}]


def promoted(world, image):
    """Release an image without a step's evidence, and forget how it went."""
    world.push(image)
    world.settle()
    world.annotate(PROMOTE_ANNOTATION, f"for {image}")
    world.wait(20)
    assert (world.phase, world.status["stable"]["images"]) == ("Healthy", [image])
    world.log.clear()
    return world


@pytest.mark.parametrize("decision", [Decision.CONTINUE, Decision.NO_DATA])
def test_a_step_that_is_judged_can_be_skipped_once(world, decision):
    world.released()
    world.says(decision)
    world.annotate(SKIP_ANNOTATION)
    world.wait(5)
    assert (world.state, world.weight) == ("Judging", 50), "one step, not all"
    assert SKIP_ANNOTATION in world.status["handled"]
    assert "CommandIgnored" not in world.events.values()


def test_pauses_approvals_and_inconclusive_steps_can_be_skipped(make_world):
    world = make_world(steps=[{"setWeight": 10}, {"pause": {}}, *APPROVAL[1:]], analysis={"maxStepDuration": "60s"})
    world.released()
    world.says(Decision.CONTINUE)
    world.wait(62)
    assert world.phase == "Inconclusive"
    for number, phase in enumerate(("Paused", "AwaitingApproval", "Progressing")):
        world.annotate(SKIP_ANNOTATION, str(number))
        world.settle()
        assert world.phase == phase
    assert (world.state, world.weight) == ("Judging", 50)


def test_the_guard_comes_before_the_skip(world):
    world.released()
    world.says(Decision.ROLL_BACK)
    world.annotate(SKIP_ANNOTATION)
    world.wait(5)
    assert world.phase == "RolledBack"


def test_skipping_where_nothing_waits_does_nothing_and_is_said(world):
    world.settle()
    world.annotate(SKIP_ANNOTATION)
    world.settle()
    assert "CommandIgnored" in world.events.values()
    world.push("shop:2")
    world.settle()
    assert (world.state, world.weight) == ("Judging", 10), "an old wish is nobody's wish now"


def back_to_1(world):
    world.settle()
    for image in ("shop:1", "shop:2"):
        if image != "shop:1":
            promoted(world, image)
    promoted(world, "shop:3")
    world.push("shop:2")
    world.wait(20)
    return world


def test_a_revision_that_was_good_lately_comes_back_without_steps(make_world):
    world = back_to_1(make_world(rollbackWindow={}))
    assert (world.phase, world.status["stable"]["images"]) == ("Healthy", ["shop:2"])
    assert [x.weights.get("payment-canary", 0) for x in world.log if isinstance(x, a.SetTraffic)] == [0, 100, 0, 0]
    assert "spec.rollbackWindow" in world.status["history"][-1]["reason"]


@pytest.mark.parametrize("window", [None, {"revisions": 1, "duration": "1s"}])
def test_without_a_window_or_after_it_there_are_steps(make_world, window):
    world = back_to_1(make_world(rollbackWindow=window) if window else make_world())
    assert (world.state, world.weight) == ("Judging", 10)


def test_only_so_many_revisions_are_good(make_world):
    world = make_world(rollbackWindow={"revisions": 1})
    world.settle()
    for image in ("shop:2", "shop:3", "shop:4"):
        promoted(world, image)
    world.push("shop:2")
    world.wait(20)
    assert (world.state, world.weight) == ("Judging", 10)


def test_what_was_adopted_is_as_good_as_what_was_promoted(make_world):
    world = make_world(rollbackWindow={"duration": "1h"})
    world.settle()
    promoted(world, "shop:2")
    world.push("shop:1")
    world.wait(20)
    assert (world.phase, world.status["stable"]["images"]) == ("Healthy", ["shop:1"])
    assert "was stable until" in world.status["history"][-1]["reason"]


def test_what_was_taken_back_since_is_not_good(make_world):
    world = make_world(rollbackWindow={"revisions": 9})
    world.settle()
    for image in ("shop:2", "shop:3"):
        promoted(world, image)
    world.says(Decision.ROLL_BACK)
    world.spec = {"workloadRef": {"name": "payment"}}
    world.push("shop:2")
    world.wait(20)
    assert world.outcomes[-1] == "RolledBack"
    world.spec = {"workloadRef": {"name": "payment"}, "rollbackWindow": {"revisions": 9}}
    world.says(Decision.CONTINUE)
    world.annotate(RETRY_ANNOTATION)
    world.wait(20)
    assert (world.state, world.weight) == ("Judging", 10)


def test_what_was_good_and_does_not_start_now_is_taken_back(make_world):
    world = make_world(rollbackWindow={}, progressDeadlineSeconds=60)
    world.settle()
    promoted(world, "shop:2")
    promoted(world, "shop:3")
    world.pods_start = False
    world.push("shop:2")
    world.wait(70)
    assert (world.phase, world.outcomes[-1]) == ("RolledBack", "RolledBack")
    assert world.weight == 0
