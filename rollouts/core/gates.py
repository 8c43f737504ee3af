"""What people are asked at the present moment of a release, and what gates lie ahead of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rollouts.api.approval import Approval, ApprovalStatus, OnTimeout, Verdict
from rollouts.api.names import (
    APPROVE_ANNOTATION,
    AUTHOR_ANNOTATION,
    CHANGED_BY_ANNOTATION,
    PROMOTE_ANNOTATION,
    REJECT_ANNOTATION,
    SKIP_ANNOTATION,
)
from rollouts.core.approvals import ApprovalNotes, approvals_missing, decision_words, who
from rollouts.core.machine import ASKING, RELEASE, State
from rollouts.core.observed import stamp
from rollouts.core.people import is_machine

if TYPE_CHECKING:
    from rollouts.api.approval import Approvers
    from rollouts.core.context import Context

__all__ = [
    "asked_of",
    "asking_words",
    "authors_of",
    "fresh_release",
    "gates_ahead",
    "seconds_left",
    "turned",
    "why_ignored",
]

_PROMOTING: Final = frozenset({State.FILLING, State.SWITCHING, State.WATCHING})
_MOST_AUTHORS: Final = 16
_NOTHING_WAITS: Final = "nothing waits for it"


def _gate(c: Context) -> Approval:
    """Return what the present gate asks for; one that asks for little where the spec has none any more."""
    if c.notes.state is State.AWAITING_PROMOTION:
        return c.spec.promotion_approval or Approval()
    return (c.step.approval if c.step else None) or Approval()


def _place(c: Context) -> str:
    if c.notes.state is State.AWAITING_PROMOTION:
        return "the promotion"
    step = f"step {c.index + 1} of {len(c.steps)}"
    return f"{step}, which is undecided" if c.undecided else step


def asked_of(c: Context) -> ApprovalStatus | None:
    """Return what people are asked now; None where nobody is."""
    if c.notes.state not in ASKING:
        return None
    gate, notes = _gate(c), c.notes.approval
    until = None if gate.timeout is None else notes.asked_at + gate.timeout
    asked = ApprovalStatus(
        gate=notes.gate,
        place=_place(c),
        message=gate.message,
        restricted=gate.restricted,
        approvers=gate.approvers,
        required=gate.required,
        exclude_author=gate.exclude_author,
        authors=notes.authors if gate.exclude_author else (),
        asked_at=stamp(notes.asked_at),
        until=None if until is None else stamp(until),
        on_timeout=gate.on_timeout,
        expired=notes.expired and until is not None and gate.on_timeout is OnTimeout.HOLD and c.now >= until,
        decisions=notes.decisions,
    )
    missing = approvals_missing(asked, c.o.people)
    return asked.model_copy(update={"missing": missing, "summary": _summary(c, asked, missing)})


def seconds_left(c: Context) -> float | None:
    """Return how long people still have; None where there is no limit."""
    timeout = _gate(c).timeout
    return None if timeout is None else c.notes.approval.asked_at + timeout - c.now


def _summary(c: Context, asked: ApprovalStatus, missing: int) -> str:
    have = asked.required - missing
    parts = [f"{have} of {asked.required} {'approval' if asked.required == 1 else 'approvals'}"]
    yes = [who(d, c.o.people) for d in asked.decisions if d.verdict is Verdict.APPROVE]
    if yes:
        parts[0] += f" ({', '.join(yes)})"
    parts += [decision_words(d, c.o.people) for d in asked.decisions if d.verdict is Verdict.REJECT]
    if asked.restricted:
        parts.append(f"asked: {_approvers_words(asked.approvers)}")
    if asked.exclude_author:
        people = [a for a in asked.authors if not is_machine(a)]
        parts.append(f"not the author ({', '.join(people) or 'who is not known: set coalmine.dev/author'})")
    if asked.until is not None:
        parts.append(f"the time was over at {asked.until}" if asked.expired else f"until {asked.until}")
    return "; ".join(parts)


def _approvers_words(approvers: Approvers | None) -> str:
    if approvers is None or approvers.anybody:
        return "whoever has the verb approve on rollouts"
    kinds = (
        ("", approvers.users),
        ("group ", approvers.groups),
        ("Slack ", approvers.slack_users),
        ("Slack group ", approvers.slack_groups),
        ("caller ", approvers.callers),
    )
    return ", ".join(f"{kind}{name}" for kind, names in kinds for name in names)


def asking_words(c: Context) -> str:
    """Return what a release says while it waits for people."""
    asked = asked_of(c)
    if asked is None:
        return ""
    words = f" {asked.message}" if asked.message else ""
    if not asked.restricted:
        until = f" until {asked.until}" if asked.until else ""
        what = "" if c.notes.state is State.AWAITING_APPROVAL else " of the promotion"
        return (
            f"waits at {c.weight_words} for approval{what} (annotation {APPROVE_ANNOTATION}){until}; "
            f"the guards stay on.{words}"
        )
    return f"waits at {c.weight_words} for approval of {asked.place}: {asked.summary}; the guards stay on.{words}"


# --- what changes it ------------------------------------------------------------------------------------------------


def turned(c: Context, before: State) -> Context:
    """Return the context after a transition: a new question where one begins, none where one ended."""
    notes = c.notes.approval
    if before in ASKING:
        notes = notes.model_copy(update={"gate": "", "asked_at": 0.0, "decisions": (), "expired": False})
    if c.notes.state in ASKING:
        place = "promotion" if c.notes.state is State.AWAITING_PROMOTION else f"step-{c.index + 1}"
        # The number of an announcement comes once in the life of a Rollout, and a Rollout made anew has another uid.
        gate = f"{place}.{c.o.subject.uid[:8]}.{c.notes.number}"
        notes = notes.model_copy(update={"gate": gate, "asked_at": c.now})
    return c if notes == c.notes.approval else c.noted(approval=notes)


def fresh_release(notes: ApprovalNotes) -> ApprovalNotes:
    """Return the notes with which a release begins."""
    return ApprovalNotes(seen=notes.seen)


def authors_of(c: Context) -> tuple[str, ...]:
    """Return everybody who was named as author of the change since the release began.

    Whoever takes their name off the Deployment afterwards stays in it.
    """
    known = c.notes.approval.authors
    if c.notes.state not in RELEASE or c.o.deployment is None or c.revision != c.notes.target:
        return known
    said = c.o.deployment.raw["metadata"].get("annotations") or {}
    named = [*str(said.get(AUTHOR_ANNOTATION, "")).split(","), str(said.get(CHANGED_BY_ANNOTATION, ""))]
    found = [name for one in named if (name := one.strip()[:256])]
    return tuple(dict.fromkeys((*known, *found)))[:_MOST_AUTHORS]


# --- what does not go around it -------------------------------------------------------------------------------------


def gates_ahead(c: Context) -> tuple[str, ...]:
    """Return the fields of the gates that ask who decides and that the release has not passed yet."""
    if c.notes.state not in RELEASE or c.notes.state in _PROMOTING:
        return ()
    asked = c.notes.state is State.AWAITING_APPROVAL and not c.undecided
    first = c.index if asked else c.index + 1
    if c.notes.state is State.AWAITING_PROMOTION:
        first = len(c.steps)
    found = [
        f"spec.steps[{number}].approval"
        if c.spec.strategy is None or c.spec.strategy.canary
        else "the strategy's approval"
        for number, step in enumerate(c.steps)
        if number >= first and step.approval is not None and step.approval.restricted
    ]
    if c.spec.promotion_approval is not None and c.spec.promotion_approval.restricted:
        found.append("spec.promotionApproval")
    return tuple(found)


def why_ignored(c: Context, annotation: str) -> str:
    """Return why a command does nothing now."""
    ahead, asked = gates_ahead(c), asked_of(c)
    around = annotation == PROMOTE_ANNOTATION or (annotation == SKIP_ANNOTATION and asked is not None)
    if around and ahead:
        return (
            f"{' and '.join(ahead)} asks who decides, and only approvals pass it; "
            f"kubectl rollout resume deployment/{c.names.workload} ships it at once, which is recorded"
        )
    if annotation in {APPROVE_ANNOTATION, REJECT_ANNOTATION} and c.notes.state in ASKING:
        return (
            "the gate asks who decides, and admission did not say who this was: "
            "install its policies (coalmine controller policy)"
        )
    return _NOTHING_WAITS
