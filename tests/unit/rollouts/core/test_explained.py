"""What people are told about a Rollout, against the controller itself: each offered command does something, each other nothing."""

from __future__ import annotations

import copy

import pytest

from analysis.model.verdict import Decision
from rollouts.api import names
from rollouts.views.explain import commands_of, explain
from rollouts.views.release import release_of

QUICK = {"minStepDuration": "1s", "maxStepDuration": "3s"}
STEPS = [{"setWeight": 20}, {"pause": {}}, {"approval": {"message": "ask the bank"}}, {"setWeight": 100}]
COMMANDS = ("abort", "approve", "pause", "promote", "reject", "resume", "retry", "skip")


def healthy(world):
    world.settle(3)


def starting(world):
    world.pods_start = False
    world.released()


def judging(world):
    world.released()


def inconclusive(world):
    world.released()
    world.wait(6)


def on_hold(world):
    world.released()
    world.annotate(names.PAUSE_ANNOTATION, "before")
    world.settle(2)


def at_a_pause(world):
    world.released()
    world.says(Decision.PROMOTE)
    world.wait(4)


def asking(world):
    at_a_pause(world)
    world.annotate(names.RESUME_ANNOTATION, "before")
    world.settle(3)


def scaling(world):
    asking(world)
    world.pods_start = False
    world.annotate(names.APPROVE_ANNOTATION, "before")
    world.settle(3)


def watching(world):
    asking(world)
    world.annotate(names.APPROVE_ANNOTATION, "before")
    for _ in range(40):
        if world.phase == "Watching":
            break
        world.wait(1)


def rolled_back(world):
    world.released()
    world.says(Decision.ROLL_BACK)
    world.settle(8)


SITUATIONS = {
    healthy: "Healthy",
    starting: "Starting",
    judging: "Progressing",
    inconclusive: "Inconclusive",
    on_hold: "Paused",
    at_a_pause: "Paused",
    asking: "AwaitingApproval",
    scaling: "Progressing",
    watching: "Watching",
    rolled_back: "RolledBack",
}


REACHED = {}


@pytest.fixture
def at(make_world):
    """A cluster of its own for whoever asks, brought to a situation once."""

    def reached(situation):
        if situation not in REACHED:
            world = make_world(steps=STEPS, analysis=QUICK, watch={"duration": "60s"})
            situation(world)
            assert world.phase == SITUATIONS[situation], world.status["message"]
            REACHED[situation] = world
        return copy.deepcopy(REACHED[situation])

    return reached


def rollout(world):
    metadata = {"namespace": "shop", "name": "payment", "generation": world.generation}
    status = {k: v for k, v in copy.deepcopy(world.status).items() if k != "internal"}
    return {"metadata": metadata, "spec": copy.deepcopy(world.spec), "status": status}


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.__name__)
def test_each_offered_command_does_something_and_each_other_nothing(at, situation):
    reached = at(situation)
    offered = set(commands_of(release_of(rollout(reached)))) - {"undo"}
    useful = set()
    for command in COMMANDS:
        world = at(situation)
        ignored = list(world.events.values()).count("CommandIgnored")
        before = len(world.events)
        world.annotate(getattr(names, f"{command.upper()}_ANNOTATION"), "now")
        world.settle(3)
        if list(world.events.values()).count("CommandIgnored") == ignored and len(world.events) > before:
            useful.add(command)
    assert offered == useful


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.__name__)
def test_it_is_explained_in_sentences(at, situation):
    told = explain(rollout(at(situation)))
    for text in (told.where, *told.because, *told.then):
        assert text[:1] == text[:1].upper()
        assert text.endswith((".", "!", "?"))
    assert told.then
    assert bool(told.can) is (situation is not healthy)


@pytest.mark.parametrize("gate", [{"required": 2}, {"approvers": {"users": ["ann"]}}, {"excludeAuthor": True}])
@pytest.mark.parametrize("place", ["step", "promotion"])
def test_what_goes_around_a_gate_that_asks_who_decides_is_not_offered(make_world, gate, place):
    steps = [{"setWeight": 20}, *([{"approval": gate}] if place == "step" else [])]
    spec = {"promotionApproval": gate} if place == "promotion" else {}
    world = make_world(steps=steps, analysis={"minStepDuration": "1s"}, **spec).released()
    assert "promote" not in commands_of(release_of(rollout(world)))
    world.says(Decision.PROMOTE)
    world.wait(4)
    seen = release_of(rollout(world))
    assert seen.phase == "AwaitingApproval"
    assert set(commands_of(seen)) == {"approve", "reject", "pause", "abort"}
    assert (seen.present is None) is (place == "promotion")
    for command in ("skip", "promote"):
        world.annotate(getattr(names, f"{command.upper()}_ANNOTATION"))
    world.settle(3)
    assert world.phase == "AwaitingApproval"
    assert list(world.events.values()).count("CommandIgnored") == 2
    assert "0 of " in explain(rollout(world)).waits


def test_the_explanation_names_what_is_missing_and_what_comes(at):
    asked = explain(rollout(at(asking)))
    assert "ask the bank" in asked.waits
    assert asked.then[0] == "When that has come: step 4 of 4 begins, 100 %."
    assert explain(rollout(at(at_a_pause))).waits == "somebody to resume it"
    judged = at(judging)
    judged.says(Decision.CONTINUE, need=12.0)
    judged.settle(1)
    assert explain(rollout(judged)).waits == "about 100 more canary requests, about 12s at the present rate"
    assert "revert the commit" in explain(rollout(at(rolled_back))).waits
