"""Taking what people decided: each decision counts once or does nothing, and either is told once. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rollouts.api.approval import GateDecision, OnTimeout, Verdict, Via
from rollouts.api.names import APPROVE_ANNOTATION, DECISIONS_ANNOTATION, REJECT_ANNOTATION
from rollouts.core.approvals import decision_words, judge, read_decisions
from rollouts.core.effects import announce
from rollouts.core.gates import asked_of, authors_of, seconds_left, turned, why_ignored
from rollouts.core.machine import ASKING, State
from rollouts.core.observed import stamp

if TYPE_CHECKING:
    from rollouts.core.approvals import ApprovalNotes
    from rollouts.core.context import Context

__all__ = ["take_decisions"]

_MOST_RECORDED: Final = 32
_PLAIN: Final = ((REJECT_ANNOTATION, Verdict.REJECT), (APPROVE_ANNOTATION, Verdict.APPROVE))
"""Whoever says both at once says no."""


def take_decisions(c: Context) -> Context:
    """Return the context with what people decided since the last look."""
    found = read_decisions(c.o.subject.annotations.get(DECISIONS_ANNOTATION))
    if c.notes.state is State.INITIALIZING and not c.notes.workload:
        return _seen(c, found)  # they came with a Rollout that was made anew: they answer nothing of it
    if c.notes.state in ASKING and not c.notes.approval.gate:
        c = turned(c, c.notes.state)  # an earlier version of the controller asked, and gave it no name
    if c.problem is not None:
        return c
    c = _noted(c, authors=authors_of(c))
    done = set(c.notes.approval.seen)
    for decision in found:
        if decision.id not in done:
            done.add(decision.id)
            c = _taken(c, decision)
    if c.notes.state in ASKING:
        c = _expired(_plain(c))
    return _seen(c, found)


def _noted(c: Context, **changes: object) -> Context:
    notes: ApprovalNotes = c.notes.approval.model_copy(update=changes)
    return c if notes == c.notes.approval else c.noted(approval=notes)


def _seen(c: Context, found: tuple[GateDecision, ...]) -> Context:
    return _noted(c, seen=tuple(dict.fromkeys(d.id for d in found)))


def _taken(c: Context, decision: GateDecision) -> Context:
    asked, people = asked_of(c), c.o.people
    judged = judge(asked, decision, people, c.now)
    words = decision_words(decision, people)
    if not judged.counted or asked is None:
        return announce(c, "Warning", "CommandIgnored", f"{words}. This does nothing: {judged.words}")
    decision = decision if decision.at else decision.model_copy(update={"at": stamp(c.now)})
    notes = c.notes.approval
    c = _noted(
        c,
        decisions=(*notes.decisions, decision),
        record=(*notes.record, decision)[-_MOST_RECORDED:],
    )
    if decision.verdict is Verdict.REJECT:
        return c  # the transition that follows tells of it
    return announce(c, "Normal", "Approved", f"{asked.place}: {words}. {judged.words[:1].upper()}{judged.words[1:]}")


def _plain(c: Context) -> Context:
    """Take the commands themselves, where it does not matter who gave them."""
    for annotation, verdict in _PLAIN:
        if not c.asked(annotation):
            continue
        asked, value = asked_of(c), c.o.subject.annotations[annotation]
        if asked is None or asked.restricted:
            c = announce(
                c, "Warning", "CommandIgnored", f"annotation {annotation} does nothing: {why_ignored(c, annotation)}"
            )
        else:
            key = f"{verdict}:{value}"[:256]
            c = _taken(c, GateDecision(id=key, gate=asked.gate, verdict=verdict, by="", via=Via.API))
        c = replace(c, handled={**c.handled, annotation: value})
    return c


def _expired(c: Context) -> Context:
    """Tell once that the time is over, where it then stays as it is."""
    asked, left = asked_of(c), seconds_left(c)
    over = (
        asked is not None
        and left is not None
        and left <= 0
        and asked.on_timeout is OnTimeout.HOLD
        and asked.missing > 0
        and not any(d.verdict is Verdict.REJECT for d in asked.decisions)
    )
    if over and asked is not None and not c.notes.approval.expired:
        c = announce(
            c,
            "Warning",
            "ApprovalTimedOut",
            f"{asked.place}: {asked.summary}. Nobody can approve it any more; it stays as it is (onTimeout is Hold). "
            "Abort it, change or revert the Deployment, or write a longer timeout into the spec",
        )
    return _noted(c, expired=over)
