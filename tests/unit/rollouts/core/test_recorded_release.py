"""What a recorder reads from a Rollout's status, held to the state machine itself: above all when the judging ended."""

from __future__ import annotations

import pytest

from analysis.model.verdict import Decision
from coalmine.recording.release import release_of
from rollouts.api.names import ABORT_ANNOTATION, PROMOTE_ANNOTATION
from rollouts.core.machine import RELEASE, State

LONG_AFTER = 90


def release(world):
    return release_of(world.observe().subject)


def good(world):
    world.says(Decision.PROMOTE)


def bad(world):
    world.says(Decision.ROLL_BACK)


WAYS = {
    "promoted": (good, "Promoted: "),
    "rolled back": (bad, "RolledBack: "),
    "aborted": (lambda world: world.annotate(ABORT_ANNOTATION), "Aborted: "),
    "superseded": (lambda world: world.push("shop:3"), "Superseded: "),
    "reverted": (lambda world: world.push("shop:1"), "Reverted: "),
    "overridden": (lambda world: world.resume(), "Overridden: "),
    "promotion forced": (lambda world: world.annotate(PROMOTE_ANNOTATION), "Promoted: "),
    "deleted": (lambda world: world.delete(), ""),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_judging_ended_when_the_machine_left_the_release_however_late_one_looks(world, way):
    world.rolls_at_once = False  # stable's new pods come one by one: none of them is a baseline
    end, words = WAYS[way]
    world.released()
    world.wait(10)
    seen = release(world)
    assert (seen.ended, seen.outcome) == (None, "")
    assert seen.step_starts == world.notes.step_starts
    assert seen.weight == 10
    assert seen.title == "shop/payment: shop:2"
    end(world)
    left = None
    for _ in range(3 * LONG_AFTER):
        world.wait(1)
        if world.gone:
            break
        now = release(world)
        if now.began != seen.began:
            assert way == "superseded"
            break
        if left is None and State(world.state) not in RELEASE:
            left = world.now
        assert now.ended == left
        if left is not None:
            assert now.outcome.startswith(words)
    assert left is not None


def test_the_end_is_known_too_after_many_later_announcements(world):
    world.released()
    good(world)
    world.wait(3 * LONG_AFTER)
    assert world.phase == "Healthy"
    known = release(world).ended
    for number in range(12):
        world.annotate(ABORT_ANNOTATION, str(number))
        world.wait(1)
    assert known <= release(world).ended <= known + 10


def test_before_the_first_release_there_is_none(world):
    assert release(world) is None
    world.settle()
    assert release(world) is None


def test_a_replaced_pod_is_named(world):
    world.released()
    seen = world.observe().subject
    notes = {**seen.status.internal, "replaced": {"name": "canary-7", "at": 5.0}}
    seen = type(seen)(**{**seen.__dict__, "status": seen.status.model_copy(update={"internal": notes})})
    assert release_of(seen).replaced == "canary-7"
