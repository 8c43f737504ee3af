"""Somebody stops a release where it is, and lets it go on: by annotations, since ``spec.paused`` belongs to git."""

from __future__ import annotations

import pytest

from analysis.model.verdict import Decision
from rollouts.api.names import (
    ABORT_ANNOTATION,
    APPROVE_ANNOTATION,
    PAUSE_ANNOTATION,
    PROMOTE_ANNOTATION,
    RESUME_ANNOTATION,
    SKIP_ANNOTATION,
)

QUICK = {"minStepDuration": "2s"}


@pytest.fixture
def world(make_world):
    return make_world(analysis=QUICK)


def paused(world):
    """A release at 10 % that would go on, and was stopped."""
    world.released()
    world.annotate(PAUSE_ANNOTATION)
    world.says(Decision.PROMOTE)
    world.wait(20)
    return world


def test_it_stays_where_it_is_until_it_is_resumed(world):
    paused(world)
    assert (world.phase, world.weight, world.state) == ("Paused", 10, "Judging")
    assert "paused by annotation coalmine.dev/pause" in world.status["message"]
    world.annotate(RESUME_ANNOTATION)
    world.wait(40)
    assert world.outcomes == ["Promoted"]
    assert [r for r in world.events.values() if r in {"ReleasePaused", "ReleaseResumed", "CommandIgnored"}] == [
        "ReleasePaused",
        "ReleaseResumed",
    ]


def test_the_guards_stay_on(world):
    paused(world).says(Decision.ROLL_BACK)
    world.settle()
    assert (world.phase, world.weight) == ("RolledBack", 0)


def test_it_can_be_aborted_and_promoted_as_it_stands(make_world):
    aborted = paused(make_world(analysis=QUICK))
    aborted.annotate(ABORT_ANNOTATION)
    aborted.settle()
    assert aborted.phase == "RolledBack"
    promoted = paused(make_world(analysis=QUICK))
    promoted.annotate(PROMOTE_ANNOTATION)
    promoted.wait(15)
    assert promoted.outcomes == ["Promoted"]


def test_a_skipped_step_or_an_approval_does_not_let_it_go_on(make_world):
    skipped = paused(make_world(analysis=QUICK))
    skipped.annotate(SKIP_ANNOTATION)
    skipped.wait(15)
    assert (skipped.status["step"], skipped.weight, skipped.phase) == ("2/3", 10, "Paused")
    asked = make_world(analysis=QUICK, steps=[{"approval": {}}, {"setWeight": 10}]).released()
    asked.annotate(PAUSE_ANNOTATION)
    asked.settle()
    asked.annotate(APPROVE_ANNOTATION)
    asked.wait(15)
    assert (asked.status["step"], asked.weight, asked.phase) == ("2/2", 0, "Paused")


@pytest.mark.parametrize("pause", [{}, {"duration": "10s"}])
def test_one_resume_ends_a_pause_step_as_well(make_world, pause):
    world = make_world(analysis=QUICK, steps=[{"pause": pause}, {"setWeight": 10}]).released()
    world.annotate(PAUSE_ANNOTATION)
    world.wait(20)
    assert (world.phase, world.status["step"]) == ("Paused", "1/2")
    world.annotate(RESUME_ANNOTATION)
    world.settle()
    assert (world.status["step"], world.weight, world.phase) == ("2/2", 10, "Progressing")


def test_where_both_are_asked_for_at_once_it_stays(world):
    world.released()
    world.annotate(RESUME_ANNOTATION)
    world.annotate(PAUSE_ANNOTATION)
    world.says(Decision.PROMOTE)
    world.wait(10)
    assert (world.phase, world.weight) == ("Paused", 10)


def test_a_second_pause_changes_nothing_and_is_not_told(world):
    paused(world)
    before = dict(world.events)
    world.annotate(PAUSE_ANNOTATION, "again")
    world.settle()
    assert world.events == before
    world.annotate(RESUME_ANNOTATION)
    world.wait(40)
    assert world.outcomes == ["Promoted"]


def test_it_holds_for_one_release_only(world):
    paused(world)
    world.push("shop:3")
    world.says(Decision.PROMOTE)
    world.wait(60)
    assert world.outcomes[-1] == "Promoted"


def test_nothing_to_pause_is_told(world):
    world.settle(3)
    world.annotate(PAUSE_ANNOTATION)
    world.settle(3)
    assert "CommandIgnored" in world.events.values()
    world.released()
    world.says(Decision.PROMOTE)
    world.wait(40)
    assert world.outcomes == ["Promoted"]
