"""Steps: when the next one begins."""

from __future__ import annotations

from analysis.model.verdict import Decision
from rollouts.api.names import RESUME_ANNOTATION
from rollouts.api.rollout import OnInconclusive
from rollouts.core.context import Context, Signal
from rollouts.core.experiment import baseline_ready
from rollouts.core.machine import Event, State
from rollouts.core.preflight.gate import may_start
from rollouts.core.strategies import step_words
from rollouts.core.traffic import exposed, pods_to_come
from rollouts.core.words import evidence_words

__all__ = [
    "acknowledged",
    "canary_started",
    "next_step",
    "passed",
    "pause_over",
    "scaled",
    "undecided",
]


def next_step(c: Context, why: str) -> Signal:
    """Return the event with which the next step begins; with which the steps end after the last."""
    index = c.index + 1
    if c.notes.state is State.AWAITING_PROMOTION:
        return Signal(Event.FINISHED, why)
    if index >= len(c.steps):
        gate = c.spec.promotion_approval
        return Signal(Event.FINISHED, why) if gate is None else Signal(Event.ASK_PROMOTION, gate.message or why)
    step = c.steps[index]
    place = f"step {index + 1} of {len(c.steps)}, {step_words(step)}"
    if not step.waits:
        return Signal(Event.NEXT_WEIGHT, f"{place}: {why}")
    if step.pause is not None:
        return Signal(Event.NEXT_PAUSE, f"{place}: {why}")
    message = step.approval.message if step.approval else ""
    return Signal(Event.NEXT_APPROVAL, f"{place}: {message or why}")


def canary_started(c: Context) -> Signal | None:
    """Do the canary's first pods run, and is all that traffic needs as it must be?"""
    ready = not c.held and may_start(c) and c.canary_can_take
    return next_step(c, "the canary's first pods are ready") if ready else None


def scaled(c: Context) -> Signal | None:
    """Has the canary the capacity for the weight that comes?"""
    if c.held or not c.canary_can_take or not baseline_ready(c):
        return None
    return Signal(Event.SCALED, f"{pods_to_come(c)} canary pods are ready for {c.weight_to_come} % of the requests")


def acknowledged(c: Context) -> Signal | None:
    """Does every affected proxy hold the weight?"""
    if not c.in_force or c.o.traffic is None:
        return None
    return Signal(
        Event.ACKNOWLEDGED,
        f"{c.weight_words} is in force at every proxy ({c.o.traffic.proxies or 'none is affected'})",
    )


def passed(c: Context) -> Signal | None:
    """Has the step lasted long enough, and does the evidence say go on?"""
    if c.held or c.in_step < _minimum(c):
        return None
    step = c.step
    if step is not None and not (step.judged and step.duration is None):
        return _timed(c, step.duration) if step.duration is not None else next_step(c, "it is in force")
    if not exposed(c):
        return next_step(c, "the canary gets no requests in this step: nothing to judge")
    if not c.judged:
        return next_step(c, "the step's time is over; spec.analysis judges nothing")
    return _judged(c)


def _judged(c: Context) -> Signal | None:
    """Does the evidence say go on?"""
    if c.decision is Decision.PROMOTE:
        return next_step(c, evidence_words(c))
    if not c.has_baseline and c.decision in {Decision.NO_BASELINE, Decision.CONTINUE}:
        carried = c.notes.proven or "no earlier step was judged"
        return next_step(c, f"{carried}. At 100 % there is no concurrent baseline; the absolute guards found nothing")
    return None


def _minimum(c: Context) -> float:
    least = c.spec.analysis.min_step_duration
    if c.step is not None and c.step.duration is not None:
        return min(least, c.step.duration)
    changes = c.step is not None and not c.step.judged
    return 0.0 if changes or not exposed(c) else least


def _timed(c: Context, duration: float) -> Signal | None:
    """Is an analysis or experiment step over: by evidence, or by its time when nothing speaks against the canary?"""
    whole = c.step is not None and c.step.analysis is not None and c.step.analysis.full_duration
    if c.decision is Decision.PROMOTE and not whole:
        return next_step(c, evidence_words(c))
    if c.in_step < duration or c.decision is Decision.OUTLIER:
        return None
    if c.judged and exposed(c) and c.o.measured.problem:
        return None  # nothing was seen is not the same as nothing is wrong
    words = "the step's time is over and nothing speaks against the canary"
    if not c.judged or not exposed(c):
        words = "the step's time is over; nothing was judged"
    return next_step(c, f"{words}{': ' + evidence_words(c) if evidence_words(c) else ''}")


def undecided(c: Context) -> Signal | None:
    """Is the step's time over without a decision?"""
    limit = c.spec.analysis.max_step_duration
    if c.step is not None and c.step.duration is not None:
        limit = max(limit, c.step.duration)
    if c.held or c.in_step < limit:
        return None
    summary = c.o.measured.verdict.summary if c.o.measured.verdict else c.o.measured.problem or "nothing was judged"
    words = f"no decision within spec.analysis.maxStepDuration: {summary}"
    match c.spec.analysis.on_inconclusive:
        case OnInconclusive.PROMOTE:
            return next_step(c, f"{words}; spec.analysis.onInconclusive is Promote")
        case OnInconclusive.ROLL_BACK:
            return Signal(Event.ROLL_BACK, f"{words}; spec.analysis.onInconclusive is RollBack")
        case OnInconclusive.APPROVE:
            return Signal(Event.ASK, f"{words}; a person decides (spec.analysis.onInconclusive is Approve)")
        case OnInconclusive.HOLD:
            return Signal(Event.UNDECIDED, words)


def pause_over(c: Context) -> Signal | None:
    """Is the pause over?"""
    if c.asked(RESUME_ANNOTATION):
        return next_step(c, "resumed")
    if c.held:
        return None
    pause = c.step.pause if c.step else None
    if c.step is not None and (pause is None or pause.duration is None or c.in_state < pause.duration):
        return None
    return next_step(c, "the pause is over")
