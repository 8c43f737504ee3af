"""Rollouts that are released first: a release starts when they are done, and nobody waits for himself."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.model.verdict import Decision
from rollouts.core.dependencies import Neighbour, circle, unfinished

DONE = Neighbour("Healthy")
NAMES = st.sampled_from("abcd")


@pytest.fixture
def frontend(make_world):
    world = make_world(dependsOn=["ledger", "cart"])
    world.neighbours = {"ledger": DONE, "cart": DONE}
    return world


@pytest.mark.parametrize(
    ("neighbour", "says"),
    [
        (Neighbour("Progressing"), "Rollout ledger (spec.dependsOn) is Progressing"),
        (Neighbour("RolledBack"), "is RolledBack"),
        (Neighbour("Healthy", pending=True), "has a change that is not released yet"),
        (None, "there is no Rollout ledger"),
    ],
)
def test_a_release_waits_until_what_it_depends_on_is_done(frontend, neighbour, says):
    if neighbour is None:
        del frontend.neighbours["ledger"]
    else:
        frontend.neighbours["ledger"] = neighbour
    frontend.released()
    assert (frontend.phase, frontend.paused, frontend.canary) == ("Healthy", True, None)
    assert says in frontend.status["message"]
    assert frontend.decide().wake_at is not None, "nobody else tells this Rollout that the other one is done"
    frontend.neighbours["ledger"] = DONE
    frontend.settle()
    assert (frontend.state, frontend.weight) == ("Judging", 10)


def test_a_release_that_has_started_goes_on(frontend):
    frontend.released()
    frontend.neighbours["ledger"] = Neighbour("Progressing")
    frontend.says(Decision.PROMOTE)
    frontend.wait(40)
    assert (frontend.state, frontend.weight) == ("Judging", 50)


def test_a_circle_is_said_with_its_way(frontend):
    frontend.neighbours["cart"] = Neighbour("Healthy", depends_on=("payment",))
    frontend.settle()
    assert frontend.phase == "Stalled"
    assert "spec.dependsOn: payment waits for cart waits for payment" in frontend.status["message"]


def test_nobody_waits_for_himself():
    assert circle("a", ("a",), {}) == ("a", "a")


@given(st.dictionaries(NAMES, st.lists(NAMES, unique=True).map(tuple), min_size=1))
def test_a_way_is_a_way_and_without_one_somebody_can_start(graph):
    neighbours = {name: Neighbour("Healthy", depends_on=wanted) for name, wanted in graph.items()}
    ways = {name: circle(name, graph[name], neighbours) for name in graph}
    for name, way in ways.items():
        assert all(b in graph[a] for a, b in itertools.pairwise(way))
        assert not way or way[0] == way[-1] == name
    if not any(ways.values()):
        assert any(not (set(wanted) & graph.keys()) for wanted in graph.values())


def test_all_done_is_nothing_to_wait_for():
    assert unfinished(("a", "b"), {"a": DONE, "b": DONE}) == ""


def test_a_release_waits_for_its_turn(world):
    world.full = "3 releases are under way, and at most 3 may be at once (--max-releases)"
    world.released()
    assert (world.phase, world.canary) == ("Healthy", None)
    assert "waits: 3 releases are under way" in world.status["message"]
    world.full = ""
    world.settle()
    world.full = "3 releases are under way"
    world.settle()
    assert (world.state, world.weight) == ("Judging", 10), "its turn is not taken from it"
