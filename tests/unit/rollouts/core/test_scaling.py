"""Stable never shrinks under a release, and requests go back only as far as stable's ready pods can take them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.model.verdict import Decision
from rollouts.api import names
from rollouts.core.machine import State
from rollouts.core.notes import Notes
from rollouts.core.scaling import AFTER_SECONDS, ScalingNotes, weight_on_return

STEPS = [{"setWeight": 50}, {"pause": {}}, {"setWeight": 100}]


@pytest.fixture
def half(make_world):
    """A release that pauses at 50 %, of a Deployment with 8 pods."""
    world = make_world(replicas=8, steps=STEPS, progressDeadlineSeconds=120, analysis={"enabled": False, "minStepDuration": "2s"})  # fmt: skip
    world.released()
    world.wait(10)
    assert (world.phase, world.weight) == ("Paused", 50)
    return world


def scale(world, replicas, *, ready=None):
    """People or lost nodes: no admission is asked."""
    world.deployment["spec"]["replicas"] = replicas
    (running,) = world.stable_pods
    world.stable_pods = {running: replicas if ready is None else ready}
    world._touch(world.deployment)
    world.kubernetes()


# --- the floor ---


def test_autoscalers_are_held_from_before_the_first_request_moves_until_after_the_release(half):
    assert half.floor == 8
    half.annotate(names.RESUME_ANNOTATION)
    half.wait(20)
    assert (half.phase, half.floor) == ("Healthy", 8)
    half.wait(AFTER_SECONDS)
    assert half.floor == 0


def test_the_floor_rises_with_stable_and_does_not_fall_with_it(half):
    scale(half, 12)
    half.settle(3)
    assert half.floor == 12
    scale(half, 9)
    half.settle(3)
    assert half.floor == 12


def test_an_abort_lets_autoscalers_go_after_their_metrics_are_fresh(half):
    half.annotate(names.ABORT_ANNOTATION)
    half.settle()
    assert (half.phase, half.floor) == ("RolledBack", 8)
    half.wait(AFTER_SECONDS + 1)
    assert half.floor == 0


def test_deletion_lets_autoscalers_go_at_once(half):
    half.delete()
    half.wait(20)
    assert half.gone
    assert half.notes.scaling.floor == 0


def test_a_new_release_starts_with_the_size_of_its_own_time(half):
    scale(half, 4)
    half.push("shop:3")
    half.wait(150)
    assert (half.phase, half.floor) == ("Paused", 4)


# --- the canary follows ---


def test_the_canary_follows_stable_up_and_down(half):
    assert half.canary_replicas == 4
    scale(half, 12)
    half.settle(3)
    assert half.canary_replicas == 6
    scale(half, 2)
    half.settle(3)
    assert half.canary_replicas == 1  # half of two: what its weight needs


# --- on the way back ---


def test_enough_of_stable_takes_everything_back_at_once(half):
    scale(half, 8, ready=6)
    half.annotate(names.ABORT_ANNOTATION)
    half.decide()
    assert half.weight == 0


@pytest.mark.parametrize("how", ["abort", "worse", "revert", "supersede", "delete"])
def test_a_smaller_stable_gets_back_what_it_can_take_and_more_as_it_grows(half, how):
    scale(half, 8, ready=2)
    match how:
        case "abort":
            half.annotate(names.ABORT_ANNOTATION)
        case "worse":
            half.spec["analysis"] = {"minStepDuration": "2s"}
            half.says(Decision.ROLL_BACK)
        case "revert":
            half.push("shop:1")
        case "supersede":
            half.push("shop:3")
        case "delete":
            half.delete()
    scale(half, 8, ready=2)
    half.decide()
    assert half.weight == 50  # 2 of the 8 pods can take a third: less than the half that they have
    assert "2 of 8 pods that all requests need are ready" in half.status["message"]
    scale(half, 8, ready=5)
    half.decide()
    assert half.weight == 17
    scale(half, 8, ready=5)
    half.mesh()
    half.decide()
    assert half.weight == 0


def test_a_canary_without_a_ready_pod_gets_nothing_however_small_stable_is(half):
    scale(half, 8, ready=1)
    half.pods_start = False
    half.canary["status"]["readyReplicas"] = 0
    half.decide()
    assert (half.state, half.weight) == ("RollingBack", 0)


def test_stable_gets_everything_after_the_deadline_unless_it_has_no_ready_pod(half):
    scale(half, 8, ready=0)
    half.annotate(names.ABORT_ANNOTATION)
    half.decide()
    scale(half, 8, ready=0)
    half.now += 500
    half.decide()
    assert (half.state, half.weight) == ("RollingBack", 50)
    scale(half, 8, ready=1)
    half.decide()
    assert half.weight == 0


def test_the_patience_with_proxies_begins_when_everything_is_asked_back(half):
    scale(half, 8, ready=3)
    half.annotate(names.ABORT_ANNOTATION)
    half.decide()
    half.mesh_answers = False
    half.now += 100
    scale(half, 8, ready=8)
    half.decide()
    assert half.weight == 0
    half.now += 1
    half.decide()
    assert half.state == "RollingBack"


def context(weight, ready, need, *, canary_ready=1, replicas=10, state=State.ROLLING_BACK, in_state=0.0):
    return SimpleNamespace(
        notes=Notes(state=state, weight=weight, scaling=ScalingNotes(floor=need)),
        o=SimpleNamespace(canary=SimpleNamespace(ready=canary_ready), deployment=SimpleNamespace(ready=ready, replicas=replicas)),
        deployment=SimpleNamespace(ready=ready, replicas=replicas),
        spec=SimpleNamespace(progress_deadline_seconds=600),
        in_state=in_state,
    )  # fmt: skip


@given(st.integers(0, 100), st.integers(0, 60), st.integers(1, 40))
def test_the_weight_only_falls_and_more_ready_pods_never_leave_more_on_the_canary(weight, ready, need):
    left = weight_on_return(context(weight, ready, need))
    assert 0 <= left <= weight
    assert weight_on_return(context(left, ready, need)) <= left
    assert weight_on_return(context(weight, ready + 1, need)) <= left
    if left < weight and weight > 25:
        assert (100 - left) * need * 3 <= 400 * max(ready, 0) + 400 or ready * 4 >= need * 3
        assert (100 - left) * need <= 134 * ready  # nobody gets more than four thirds of what a pod has normally


def test_other_states_keep_their_weight():
    assert weight_on_return(context(50, 0, 10, state=State.JUDGING)) == 50
