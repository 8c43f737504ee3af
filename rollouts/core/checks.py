"""When which event happens: for each state an ordered list of one-question checks. The first that answers wins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from analysis.model.verdict import Decision
from rollouts.api.names import (
    ABORT_ANNOTATION,
    APPROVE_ANNOTATION,
    PROMOTE_ANNOTATION,
    RESUME_ANNOTATION,
    RETRY_ANNOTATION,
    ROLLOUT_LABEL,
)
from rollouts.api.rollout import OnInconclusive
from rollouts.core.context import ACK_PATIENCE, Context, Signal
from rollouts.core.machine import RELEASE, Event, State
from rollouts.core.words import evidence_words

__all__ = ["CHECKS", "GUARDS", "Check", "first_signal"]

Check = Callable[[Context], Signal | None]


# --- what people do -------------------------------------------------------------------------------------------------


def deleted(c: Context) -> Signal | None:
    """Is the Rollout being deleted?"""
    return (
        Signal(Event.DELETE, "the Rollout is being deleted: all requests go back to the Deployment")
        if c.o.subject.deleting
        else None
    )


def overridden(c: Context) -> Signal | None:
    """Did somebody resume the Deployment?"""
    if c.paused or c.reverted:
        return None
    return Signal(
        Event.OVERRIDE,
        f"Deployment {c.names.workload} was resumed: revision {c.revision} is shipped without waiting for the judge",
    )


def reverted(c: Context) -> Signal | None:
    """Does the Deployment ask for the stable template again?"""
    return (
        Signal(Event.REVERT, f"Deployment {c.names.workload} asks for the stable revision {c.stable} again")
        if c.reverted
        else None
    )


def superseded(c: Context) -> Signal | None:
    """Did the template change again?"""
    if c.revision == c.notes.target:
        return None
    return Signal(Event.SUPERSEDE, f"revision {c.revision} replaces {c.notes.target}")


def aborted(c: Context) -> Signal | None:
    """Did somebody ask to take the release back?"""
    return Signal(Event.ABORT, f"aborted: annotation {ABORT_ANNOTATION} was set") if c.asked(ABORT_ANNOTATION) else None


def forced(c: Context) -> Signal | None:
    """Did somebody ask to promote without evidence?"""
    if c.notes.state in {State.FILLING, State.SWITCHING} or not c.asked(PROMOTE_ANNOTATION):
        return None
    return Signal(Event.PROMOTE, f"promoted without waiting for evidence: annotation {PROMOTE_ANNOTATION} was set")


def retried(c: Context) -> Signal | None:
    """Did somebody ask to run the release again?"""
    return (
        Signal(Event.RETRY, f"revision {c.revision} is tried again: annotation {RETRY_ANNOTATION} was set")
        if c.asked(RETRY_ANNOTATION)
        else None
    )


# --- guards: they look at every moment of a release -----------------------------------------------------------------


def canary_lost(c: Context) -> Signal | None:
    """Do requests go to a canary without a ready pod?"""
    if not c.canary_lost:
        return None
    return Signal(
        Event.ROLL_BACK,
        f"Deployment {c.names.canary_deployment} has no ready pod left while {c.notes.weight} % of the requests go to it",
    )


def judged_worse(c: Context) -> Signal | None:
    """Does the judge say that the canary is worse?"""
    verdict = c.o.measured.verdict
    if c.notes.forced or verdict is None or c.decision is not Decision.ROLL_BACK:
        return None
    return Signal(Event.ROLL_BACK, verdict.summary)


def not_ready_in_time(c: Context) -> Signal | None:
    """Did the canary's pods take too long to become ready?"""
    deadline = c.spec.progress_deadline_seconds
    if c.in_state < deadline or c.canary_can_take(c.weight_to_come):
        return None
    have = c.o.canary.ready if c.o.canary else 0
    return Signal(
        Event.ROLL_BACK,
        f"only {have} of {c.needed(c.weight_to_come)} canary pods became ready within spec.progressDeadlineSeconds ({deadline} s)",
    )


def not_acknowledged_in_time(c: Context) -> Signal | None:
    """Did the proxies take too long to acknowledge the weight?"""
    deadline = c.spec.progress_deadline_seconds
    if c.in_state < deadline:
        return None
    words = c.o.traffic.message if c.o.traffic else "the split was not written"
    return Signal(
        Event.ROLL_BACK,
        f"weight {c.notes.weight} % was not acknowledged by every proxy within spec.progressDeadlineSeconds ({deadline} s): {words}",
    )


# --- adoption and rest ----------------------------------------------------------------------------------------------


def runs_one_revision(c: Context) -> Signal | None:
    """Does the Deployment run one revision completely? What is held does not count: it runs nowhere yet."""
    d = c.deployment
    if not (d.observed and d.running == d.replicas and d.ready >= d.replicas):
        return None
    running = set(c.o.running) if d.replicas else {d.revision}
    held = d.paused and d.revision not in running
    if not held and running != {d.revision}:
        return None
    stable = c.most_run if d.replicas else d.revision
    return Signal(Event.ADOPTED, f"Deployment {d.name} runs revision {stable}; it is the stable one")


def changed_unheld(c: Context) -> Signal | None:
    """Did the template change without being held?"""
    if c.reverted or c.paused:
        return None
    return Signal(
        Event.UNHELD,
        f"Deployment {c.names.workload} rolls out revision {c.revision} by itself: nothing held the change",
    )


def refused(c: Context) -> Signal | None:
    """Is the held template the one that was taken back last?"""
    if c.reverted or c.spec.paused or c.revision != c.status.failed_revision:
        return None
    return Signal(
        Event.REFUSED,
        f"revision {c.revision} was taken back before; set annotation {RETRY_ANNOTATION} on the Rollout to try it again",
    )


def scaled_to_zero(c: Context) -> Signal | None:
    """Is there a held template, and nothing to compare it with?"""
    if c.reverted or c.spec.paused or c.deployment.replicas > 0:
        return None
    return Signal(Event.EMPTY, f"Deployment {c.names.workload} is scaled to 0: revision {c.revision} is taken as it is")


def changed(c: Context) -> Signal | None:
    """Is there a held template?"""
    if c.reverted or c.spec.paused:
        return None
    return Signal(
        Event.CHANGED,
        f"revision {c.revision} ({', '.join(c.deployment.images)}) is released step by step; stable is {c.stable}",
    )


# --- steps ----------------------------------------------------------------------------------------------------------


def _next(c: Context, why: str) -> Signal:
    index = c.index + 1
    if index >= len(c.spec.steps):
        return Signal(Event.FINISHED, why)
    step = c.spec.steps[index]
    place = f"step {index + 1} of {len(c.spec.steps)}"
    if step.set_weight is not None:
        return Signal(Event.NEXT_WEIGHT, f"{place}, {step.set_weight} %: {why}")
    if step.pause is not None:
        return Signal(Event.NEXT_PAUSE, f"{place}, a pause: {why}")
    message = step.approval.message if step.approval else ""
    return Signal(Event.NEXT_APPROVAL, f"{place}, an approval: {message or why}")


def held_by_spec(c: Context) -> bool:
    """Return whether ``spec.paused`` keeps a release where it is."""
    return c.spec.paused


def canary_started(c: Context) -> Signal | None:
    """Do the canary's first pods run?"""
    return (
        _next(c, "the canary's first pods are ready")
        if not held_by_spec(c) and c.canary_can_take(c.weight_to_come)
        else None
    )


def scaled(c: Context) -> Signal | None:
    """Has the canary the capacity for the weight that comes?"""
    weight = c.weight_to_come
    if held_by_spec(c) or not c.canary_can_take(weight):
        return None
    return Signal(Event.SCALED, f"{c.needed(weight)} canary pods are ready for {weight} % of the requests")


def acknowledged(c: Context) -> Signal | None:
    """Does every affected proxy hold the weight?"""
    if not c.in_force or c.o.traffic is None:
        return None
    return Signal(
        Event.ACKNOWLEDGED,
        f"{c.notes.weight} % is in force at every proxy ({c.o.traffic.proxies or 'none is affected'})",
    )


def passed(c: Context) -> Signal | None:
    """Has the step lasted long enough, and does the evidence say go on?"""
    if held_by_spec(c) or c.in_step < _minimum(c):
        return None
    if c.notes.weight == 0:
        return _next(c, "the canary gets no requests in this step: nothing to judge")
    if not c.judged:
        return _next(c, "the step's time is over; spec.analysis judges nothing")
    if c.decision is Decision.PROMOTE:
        return _next(c, evidence_words(c))
    if not c.has_baseline and c.decision in {Decision.NO_BASELINE, Decision.CONTINUE}:
        carried = c.notes.proven or "no earlier step was judged"
        return _next(c, f"{carried}. At 100 % there is no concurrent baseline; the absolute guards found nothing")
    return None


def _minimum(c: Context) -> float:
    return 0.0 if c.notes.weight == 0 else c.spec.analysis.min_step_duration


def undecided(c: Context) -> Signal | None:
    """Is the step's time over without a decision?"""
    if held_by_spec(c) or c.in_step < c.spec.analysis.max_step_duration:
        return None
    summary = c.o.measured.verdict.summary if c.o.measured.verdict else c.o.measured.problem or "nothing was judged"
    words = f"no decision within spec.analysis.maxStepDuration: {summary}"
    match c.spec.analysis.on_inconclusive:
        case OnInconclusive.PROMOTE:
            return _next(c, f"{words}; spec.analysis.onInconclusive is Promote")
        case OnInconclusive.ROLL_BACK:
            return Signal(Event.ROLL_BACK, f"{words}; spec.analysis.onInconclusive is RollBack")
        case _:
            return Signal(Event.UNDECIDED, words)


def pause_over(c: Context) -> Signal | None:
    """Is the pause over?"""
    if c.asked(RESUME_ANNOTATION):
        return _next(c, "resumed")
    if held_by_spec(c):
        return None
    pause = c.step.pause if c.step else None
    if c.step is not None and (pause is None or pause.duration is None or c.in_state < pause.duration):
        return None
    return _next(c, "the pause is over")


def approved(c: Context) -> Signal | None:
    """Did somebody approve?"""
    if c.asked(APPROVE_ANNOTATION):
        return _next(c, "approved")
    return _next(c, "the step is no longer in the spec") if c.step is None else None


# --- endings --------------------------------------------------------------------------------------------------------


def replaced_while_rolling(c: Context) -> Signal | None:
    """Was the template changed, and held, while stable rolls?"""
    return superseded(c) if c.paused and c.stable_can_take else None


def rolled_out(c: Context) -> Signal | None:
    """Does the Deployment run the new revision completely?"""
    d = c.deployment
    if d.paused or not d.complete:
        return None
    return Signal(Event.ROLLED, f"Deployment {d.name} runs revision {d.revision} completely")


def stable_is_back(c: Context) -> Signal | None:
    """Has stable all requests?"""
    return Signal(Event.RETURNED, f"Service {c.names.host} has all requests again") if c.in_force else None


def canary_drained(c: Context) -> Signal | None:
    """Are the canary's last answers given?"""
    return Signal(Event.DRAINED, "the canary's last answers are given; it is removed") if c.drained else None


def quietly_ended(c: Context) -> Signal | None:
    """Is the canary drained and the Deployment no longer held?"""
    return canary_drained(c) if not (c.paused and c.reverted) else None


def traffic_is_back(c: Context) -> Signal | None:
    """Does the canary get nothing any more?"""
    if not c.written:
        return None
    if c.in_force:
        return Signal(Event.MARKED, c.notes.reason)
    if c.in_state < ACK_PATIENCE:
        return None
    missing = c.o.traffic.message if c.o.traffic else ""
    return Signal(Event.MARKED, f"{c.notes.reason} (not every proxy has confirmed weight 0: {missing})")


def refused_again(c: Context) -> Signal | None:
    """Is what comes next the revision that was taken back last?"""
    return refused(c) if c.drained else None


def old_canary_gone(c: Context) -> Signal | None:
    """Is the old canary gone?"""
    if not (c.drained and c.canary_gone) or c.spec.paused:
        return None
    return Signal(Event.CLEARED, f"revision {c.revision} starts from the first step")


def restored(c: Context) -> Signal | None:
    """Is a plain Deployment all that is left?"""
    labelled = c.o.deployment is not None and c.o.deployment.labels.get(ROLLOUT_LABEL) == c.o.subject.name
    if not c.canary_gone or c.o.traffic is not None or labelled or c.o.strays or c.must_unpause:
        return None
    return Signal(Event.RESTORED, f"Deployment {c.names.workload} is a plain Deployment again")


PEOPLE: Final[tuple[Check, ...]] = (deleted, reverted, overridden, superseded, aborted)
GUARDS: Final[tuple[Check, ...]] = (canary_lost, judged_worse)
_RELEASE: Final[tuple[Check, ...]] = (*PEOPLE, *GUARDS, forced)

CHECKS: Final[Mapping[State, tuple[Check, ...]]] = MappingProxyType(
    {
        State.INITIALIZING: (deleted, runs_one_revision),
        State.HEALTHY: (deleted, changed_unheld, refused, scaled_to_zero, changed),
        State.STARTING: (*_RELEASE, canary_started, not_ready_in_time),
        State.SCALING: (*_RELEASE, scaled, not_ready_in_time),
        State.WEIGHTING: (*_RELEASE, acknowledged, not_acknowledged_in_time),
        State.JUDGING: (*_RELEASE, passed, undecided),
        State.PAUSED: (*_RELEASE, pause_over),
        State.AWAITING_APPROVAL: (*_RELEASE, approved),
        State.INCONCLUSIVE: (*_RELEASE, passed),
        State.FILLING: (*_RELEASE, scaled, not_ready_in_time),
        State.SWITCHING: (*_RELEASE, acknowledged, not_acknowledged_in_time),
        State.ROLLING: (deleted, replaced_while_rolling, rolled_out),
        State.RETURNING: (deleted, stable_is_back),
        State.DRAINING: (deleted, canary_drained),
        State.ROLLING_BACK: (deleted, reverted, overridden, superseded, traffic_is_back),
        State.ROLLED_BACK: (deleted, reverted, overridden, superseded, retried),
        State.SUPERSEDING: (deleted, reverted, overridden, refused_again, old_canary_gone),
        State.REVERTING: (deleted, quietly_ended),
        State.RESTORING: (restored,),
        State.GONE: (),
    }
)
"""What is asked in each state, in this order."""


def first_signal(c: Context) -> Signal | None:
    """Return the first check's signal in the present state.

    While there is a problem with the input nothing goes on; deletion and, in a release, the guards stay on.
    """
    checks = CHECKS[c.notes.state]
    if c.problem is not None and c.notes.state is not State.RESTORING:
        checks = (deleted, *GUARDS) if c.notes.state in RELEASE and c.o.deployment is not None else (deleted,)
    return next((signal for check in checks if (signal := check(c))), None)
