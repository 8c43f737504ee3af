"""When following a Rollout ends, and with which exit code."""

from __future__ import annotations

import pytest

from coalmine.people.endings import Follower, Goal

PROMOTED = [{"outcome": "Promoted", "reason": "all steps have passed"}]
REVERTED = [{"outcome": "Reverted", "reason": "asks for stable again"}]


def ends(*looks, goal=Goal.PROMOTED):
    """Feed what is seen; return the exit code at each look."""
    follower = Follower(goal)
    return [None if (e := follower.look(seen, held=held)) is None else e.code for seen, held in looks]


def test_a_release_that_is_promoted_ends_with_0(rollout):
    looks = [(rollout("judging"), True), (rollout("promoted", phase="Promoting"), False), (rollout("promoted"), False)]
    assert ends(*looks) == [None, None, 0]


def test_a_release_that_is_taken_back_ends_with_1_and_says_why(rollout):
    follower = Follower()
    assert follower.look(rollout("rolling-back"), held=True) is None
    ending = follower.look(rollout("rolled-back"), held=True)
    assert ending.code == 1
    assert "worse by at least 3.9 points" in ending.words


def test_a_change_that_is_held_and_not_seen_yet_is_waited_for(rollout):
    looks = [(rollout("healthy"), True), (rollout("starting"), True), (rollout("promoted"), False)]
    assert ends(*looks) == [None, None, 0]


def test_a_push_that_the_controller_has_not_seen_yet_is_waited_for(rollout):
    for situation, known in (("rolled-back", "b588b7b48c"), ("healthy", "be5dcb48b3")):
        follower = Follower()
        assert follower.look(rollout(situation), held=situation == "rolled-back", asked="0123456789") is None
        assert follower.look(rollout(situation), held=situation == "rolled-back", asked=known) is not None


def test_without_a_release_it_ends_at_once(rollout):
    assert ends((rollout("healthy"), False)) == [0]
    assert ends((rollout("rolled-back"), True)) == [1]


def test_a_rollout_that_the_controller_has_not_seen_in_its_present_form_is_waited_for(rollout):
    edited = rollout("healthy")
    edited["metadata"]["generation"] = 99
    assert ends((edited, False)) == [None]


@pytest.mark.parametrize(("goal", "code"), [(Goal.PROMOTED, 1), (Goal.AT_REST, 0), (Goal.TAKEN_BACK, 0)])
def test_a_release_that_is_reverted_was_not_promoted(rollout, goal, code):
    assert ends((rollout("judging"), True), (rollout("promoted", history=REVERTED), False), goal=goal) == [None, code]


def test_an_abort_wants_it_taken_back(rollout):
    assert ends((rollout("rolling-back"), True), (rollout("rolled-back"), True), goal=Goal.TAKEN_BACK) == [None, 0]
    looks = [(rollout("judging"), True), (rollout("promoted", history=PROMOTED), False)]
    assert ends(*looks, goal=Goal.TAKEN_BACK) == [None, 1]


def test_going_back_after_a_rollback_waits_until_that_is_over(rollout):
    looks = [
        (rollout("rolled-back"), True),
        (rollout("rolling-back"), True),
        (rollout("promoted", history=REVERTED), False),
    ]
    assert ends(*looks, goal=Goal.AT_REST) == [None, None, 0]


def test_a_stalled_one_is_waited_for_and_a_deleted_one_is_the_end(rollout):
    assert ends((rollout("judging", phase="Stalled"), True), (None, False)) == [None, 1]
