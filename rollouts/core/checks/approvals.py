"""Gates: what people decided, and that their time is over."""

from __future__ import annotations

from rollouts.api.approval import OnTimeout, Verdict
from rollouts.core.approvals import decision_words, who
from rollouts.core.checks.steps import next_step
from rollouts.core.context import Context, Signal
from rollouts.core.gates import asked_of, seconds_left
from rollouts.core.machine import Event, State
from rollouts.core.words import evidence_words

__all__ = ["approved", "out_of_time", "rejected"]


def rejected(c: Context) -> Signal | None:
    """Did somebody who was asked say no?"""
    found = next((d for d in c.notes.approval.decisions if d.verdict is Verdict.REJECT), None)
    return Signal(Event.REJECT, decision_words(found, c.o.people)) if found else None


def approved(c: Context) -> Signal | None:
    """Did enough people approve, or is nobody asked any more?"""
    if c.notes.state is State.AWAITING_PROMOTION and c.spec.promotion_approval is None:
        return next_step(c, "spec.promotionApproval is no longer in the spec")
    if c.notes.state is State.AWAITING_APPROVAL and c.step is None:
        return next_step(c, "the step is no longer in the spec")
    asked = asked_of(c)
    if asked is None or asked.missing:
        return None
    yes = [d for d in asked.decisions if d.verdict is Verdict.APPROVE]
    words = f"approved by {' and '.join(who(d, c.o.people) for d in yes)}"
    return next_step(c, f"{words}, {evidence_words(c)}" if c.undecided else words)


def out_of_time(c: Context) -> Signal | None:
    """Did too few people approve in the time that they had?"""
    asked, left = asked_of(c), seconds_left(c)
    if asked is None or left is None or left > 0 or c.held or asked.on_timeout is OnTimeout.HOLD:
        return None
    return Signal(Event.ROLL_BACK, f"{asked.place} was not approved in time (timeout): {asked.summary}")
