"""The cap on releases at once: what was decided counts before any watch tells of it."""

from __future__ import annotations

import pytest

from rollouts.core.machine import State
from rollouts.engine.cache import Cache
from rollouts.engine.cap import Cap

NAMES = "abcdef"


def body(name, state):
    return {"metadata": {"namespace": "shop", "name": name}, "status": {"internal": {"state": state.value}}}


@pytest.fixture
def cache():
    cache = Cache()
    for name in NAMES:
        cache.put("rollouts", body(name, State.HEALTHY))
    return cache


def note(cap, name, state):
    cap.note(("shop", name), {"state": state.value})


def full(cap, cache, name):
    return cap.full(cache, ("shop", name))


def test_without_a_cap_nothing_is_counted(cache):
    cap = Cap(None)
    for name in NAMES:
        note(cap, name, State.JUDGING)
    assert full(cap, cache, "a") == ""


def test_a_release_that_was_decided_a_moment_ago_counts(cache):
    cap = Cap(1)
    assert full(cap, cache, "a") == full(cap, cache, "b") == ""
    note(cap, "a", State.STARTING)
    assert "1 releases are under way (shop/a), and at most 1 may be at once" in full(cap, cache, "b")
    assert full(cap, cache, "a") == "", "nobody waits for himself"


@pytest.mark.parametrize("state", State)
def test_after_a_restart_the_statuses_count(cache, state):
    cache.put("rollouts", body("a", state))
    rests = state in {State.INITIALIZING, State.HEALTHY, State.ROLLED_BACK, State.RESTORING, State.GONE}
    assert (full(Cap(1), cache, "b") == "") is rests


def test_what_has_ended_or_is_gone_makes_room(cache):
    cap = Cap(2)
    for name in "ab":
        note(cap, name, State.JUDGING)
    assert full(cap, cache, "c") != ""
    note(cap, "a", State.HEALTHY)
    assert full(cap, cache, "c") == ""
    note(cap, "a", State.JUDGING)
    cache.drop("rollouts", "shop", "b")
    cap.forget(("shop", "b"))
    assert full(cap, cache, "c") == ""


def test_many_are_told_shortly(cache):
    cap = Cap(4)
    for name in "abcde":
        note(cap, name, State.WEIGHTING)
    assert "5 releases are under way (shop/a, shop/b, shop/c, …)" in full(cap, cache, "f")
