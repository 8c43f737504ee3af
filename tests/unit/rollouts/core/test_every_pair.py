"""Every pair of a state and an event in the state machine's table happens: for each a way there, and what causes it.

A new pair needs a way of its own here; one that nothing can cause does not belong into the table.
"""

from __future__ import annotations

import pytest

from analysis.model.verdict import Decision
from rollouts.api import names
from rollouts.core import effects
from rollouts.core.machine import TABLE, Event, State

S, E = State, Event
NEXT = {
    E.NEXT_WEIGHT: [{"setWeight": 60}],
    E.NEXT_PAUSE: [{"pause": {}}],
    E.NEXT_APPROVAL: [{"approval": {}}],
    E.FINISHED: [],
    E.ASK_PROMOTION: [],
}
STEPS = {S.PAUSED: [{"pause": {}}], S.AWAITING_APPROVAL: [{"approval": {}}], S.STARTING: []}
PROMOTING = {S.FILLING, S.SWITCHING, S.WATCHING, S.ROLLING, S.RETURNING, S.DRAINING}


def shape(state, event):
    """The spec that it takes."""
    then = [] if state in PROMOTING | {S.AWAITING_PROMOTION} else NEXT.get(event, [{"setWeight": 60}])
    steps = [*STEPS.get(state, [{"setWeight": 10}]), *then]
    asks = {"onInconclusive": "Approve"} if event is E.ASK else {}
    watch = {"watch": {"duration": "30s"}} if E.WATCH is event or state is S.WATCHING else {}
    analysis = {"minStepDuration": "1s", "maxStepDuration": "20s", **asks}
    gate = {"promotionApproval": {}} if E.ASK_PROMOTION is event or state is S.AWAITING_PROMOTION else {}
    return {"steps": steps, "analysis": analysis, "scaleDownDelaySeconds": 2, **watch, **gate}


def go(world, passes=4):
    for _ in range(passes):
        world.wait(1)


def released_to(world, state):  # noqa: C901 - a list of ways
    """Bring a world into a state, and keep it there."""
    match state:
        case S.INITIALIZING:
            world.deployment["status"]["readyReplicas"] = 1
            world.decide()
        case S.HEALTHY:
            world.settle()
        case S.STARTING:
            world.pods_start = False
            world.released()
        case S.WEIGHTING:
            world.mesh_answers = False
            world.released()
            world.mesh_answers = True
        case S.JUDGING | S.PAUSED | S.AWAITING_APPROVAL:
            world.released()
        case S.INCONCLUSIVE:
            world.released()
            go(world, 30)
        case S.AWAITING_PROMOTION:
            world.released()
            world.says(Decision.PROMOTE)
            go(world)
            world.verdict = None
        case S.SCALING | S.FILLING:
            world.released()
            world.pods_start = False
            world.says(Decision.PROMOTE)
            go(world)
            world.verdict = None
        case S.SWITCHING | S.WATCHING | S.ROLLING | S.RETURNING | S.DRAINING:
            promoted_to(world, state)
        case S.RESTORING:
            world.released()
            world.delete()
            world.decide()
        case _:
            taken_back_to(world, state)


def promoted_to(world, state):
    released_to(world, S.FILLING)
    world.kubernetes()
    world.pods_start = True
    world.kubernetes()
    world.decide()
    if state is not S.SWITCHING:
        world.mesh()
        world.decide()
    if state in {S.RETURNING, S.DRAINING}:
        world.decide()
        world.kubernetes()
        world.decide()
    if state is S.DRAINING:
        world.decide()
        world.mesh()
        world.decide()


def taken_back_to(world, state):
    world.released()
    match state:
        case S.ROLLING_BACK | S.ROLLED_BACK:
            world.annotate(names.ABORT_ANNOTATION, "abort-first")
        case S.SUPERSEDING:
            world.push("shop:3")
        case S.REVERTING:
            world.push("shop:1")
    world.decide()
    if state is S.ROLLED_BACK:
        go(world)


def cause(world, state, event):  # noqa: C901, PLR0912 - a list of what causes what
    """Let what leads to an event happen."""
    match event:
        case E.UNHELD:
            world.push("shop:2")
            world.resume()
        case E.CHANGED:
            world.push("shop:2")
        case E.EMPTY:
            world.deployment["spec"]["replicas"] = 0
            world.kubernetes()
            world.push("shop:2")
        case E.REFUSED:
            world.push("shop:2")
        case E.SUPERSEDE:
            world.push("shop:7")
        case E.REVERT:
            world.push("shop:1")
        case E.OVERRIDE:
            world.resume()
        case E.ROLL_BACK:
            world.says(Decision.ROLL_BACK)
        case E.DELETE:
            world.delete()
        case E.REJECT:
            world.annotate(names.REJECT_ANNOTATION)
        case E.ABORT:
            world.annotate(names.ABORT_ANNOTATION)
        case E.PROMOTE:
            world.annotate(names.PROMOTE_ANNOTATION)
        case E.RETRY:
            world.annotate(names.RETRY_ANNOTATION)
        case E.NEXT_WEIGHT | E.NEXT_PAUSE | E.NEXT_APPROVAL | E.ASK_PROMOTION | E.FINISHED | E.SCALED:
            world.pods_start = True
            world.says(Decision.PROMOTE)
            world.annotate(names.RESUME_ANNOTATION)
            world.annotate(names.APPROVE_ANNOTATION)


def prepare(world, state, event):
    """Some events need a past."""
    if event is E.REFUSED:
        taken_back_to(world, S.ROLLED_BACK)
        world.push("shop:1" if state is S.HEALTHY else "shop:3")
        go(world, 10) if state is S.HEALTHY else world.decide()
        return
    released_to(world, state)


@pytest.fixture
def seen(monkeypatch):
    """The pairs that happen."""
    pairs = []
    advance = effects.advance

    def noted(state, event):
        pairs.append((state, event))
        return advance(state, event)

    monkeypatch.setattr(effects, "advance", noted)
    return pairs


@pytest.mark.parametrize(("state", "event"), sorted(TABLE), ids=lambda x: x.value)
def test_it_happens(make_world, seen, state, event):
    world = make_world(replicas=4, **shape(state, event))
    prepare(world, state, event)
    assert world.state == state
    seen.clear()
    cause(world, state, event)
    for _ in range(60):
        if (state, event) in seen or world.gone:
            break
        world.wait(1)
    assert (state, event) in seen, f"{world.state}: {world.status['message']}"
    assert seen[0][0] is state
