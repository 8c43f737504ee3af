"""What a decision of somebody does at a gate: it counts, or it does nothing and they are told why. Pure.

The same function answers the surfaces where people decide (before anything is written) and decides in the controller
(from what was written), so both say the same.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from crds.base import Resource
from rollouts.api.approval import MOST_COMMENT, GateDecision, Verdict, Via
from rollouts.core.people import count_people, is_machine, person_of, same_person, why_maybe_author

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollouts.api.approval import ApprovalStatus, Approvers
    from rollouts.api.people import Person

__all__ = [
    "Answer",
    "ApprovalNotes",
    "Judged",
    "approvals_missing",
    "decision_words",
    "is_allowed",
    "judge",
    "read_decisions",
    "who",
]


class ApprovalNotes(Resource):
    """What is remembered of gates.

    Attributes:
        gate: Name of the question that is asked now; empty where none is.
        asked_at: Since when, Unix seconds.
        decisions: Those that count at this gate.
        expired: Whether it was told that the time is over.
        record: Those that counted at any gate of this release, for the history.
        seen: Ids of the annotation's decisions that were dealt with.
        authors: Everybody who was named as author of this release's change.
    """

    gate: str = ""
    asked_at: float = 0.0
    decisions: tuple[GateDecision, ...] = ()
    expired: bool = False
    record: tuple[GateDecision, ...] = ()
    seen: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()


class Answer(StrEnum):
    """What a decision does."""

    COUNTED = "Counted"
    DOUBLE = "Double"
    """It was counted before."""
    LATE = "Late"
    """The time is over, or the gate is decided."""
    STALE = "Stale"
    """It answers a question that nobody asks (any more)."""
    FORBIDDEN = "Forbidden"
    """They may not decide this."""


@dataclass(frozen=True)
class Judged:
    """The answer to a decision, with the reason in words."""

    answer: Answer
    words: str

    @property
    def counted(self) -> bool:
        """Whether it counts; anything else does nothing."""
        return self.answer is Answer.COUNTED


_ROOM: Final = 256 * 1024


def read_decisions(text: str | None) -> tuple[GateDecision, ...]:
    """Return the decisions that the annotation holds; what is no decision is left out.

    Admission writes strings as they came, so control characters may stand in them.
    """
    if not text or len(text) > _ROOM:
        return ()
    try:
        found = json.loads(text, strict=False)
    except ValueError:
        return ()
    read = []
    for one in found if isinstance(found, list) else ():
        if not isinstance(one, dict):
            continue
        known = {k: v for k, v in one.items() if k in GateDecision.model_fields}
        comment = str(known.get("comment", ""))[:MOST_COMMENT]
        try:
            read.append(GateDecision.model_validate({**known, "comment": comment}))
        except ValidationError:
            continue
    return tuple(read)


def who(decision: GateDecision, people: Sequence[Person] = ()) -> str:
    """Return who decided and where, as people read it."""
    person = person_of(decision, people)
    name = person.name if person else decision.by
    return f"{name} ({decision.via})" if name else f"somebody who may patch the Rollout ({decision.via})"


def decision_words(decision: GateDecision, people: Sequence[Person] = ()) -> str:
    """Return a decision with its comment, as people read it."""
    verb = "approved" if decision.verdict is Verdict.APPROVE else "rejected"
    comment = f": {decision.comment}" if decision.comment else ""
    return f"{verb} by {who(decision, people)}{comment}"


def is_allowed(decision: GateDecision, approvers: Approvers | None) -> bool:
    """Return whether the gate names whoever decided. One that names nobody leaves it to where they decided."""
    if approvers is None or approvers.anybody:
        return True
    match decision.via:
        case Via.SLACK:
            return decision.by in approvers.slack_users or bool({*decision.groups} & {*approvers.slack_groups})
        case Via.HTTP:
            return decision.by in approvers.callers
        case _:
            return decision.by in approvers.users or bool({*decision.groups} & {*approvers.groups})


def _why_not(asked: ApprovalStatus, decision: GateDecision, people: Sequence[Person]) -> str:
    """Return why somebody may not decide this; empty when they may."""
    if not asked.restricted:
        return ""
    if not decision.by:
        return (
            "it is not known who decided, and this gate asks for that: are the approvals' admission policies installed?"
        )
    if not is_allowed(decision, asked.approvers):
        return "this gate does not name them (approvers)"
    if asked.exclude_author and decision.verdict is Verdict.APPROVE:
        return why_maybe_author(decision, [a for a in asked.authors if not is_machine(a)], people)
    return ""


def approvals_missing(asked: ApprovalStatus, people: Sequence[Person]) -> int:
    """Return how many more different people have to approve."""
    valid = [d for d in asked.decisions if d.verdict is Verdict.APPROVE and not _why_not(asked, d, people)]
    have = count_people(valid, people) if asked.restricted else len(valid)
    return max(0, asked.required - have)


def judge(asked: ApprovalStatus | None, decision: GateDecision, people: Sequence[Person], now: float) -> Judged:
    """Return what a decision does.

    Args:
        asked: What people are asked now (``status.approval``), with the decisions that count so far.
        decision: What somebody decided.
        people: Who has which names.
        now: Unix seconds.
    """
    if asked is None or decision.gate != asked.gate:
        return Judged(Answer.STALE, f"gate {decision.gate} is not asked (any more)")
    if any(d.id == decision.id for d in asked.decisions):
        return Judged(Answer.DOUBLE, "this very decision is counted already")
    if words := _why_late(asked, decision, people, now):
        return Judged(Answer.LATE, words)
    if words := _why_not(asked, decision, people):
        return Judged(Answer.FORBIDDEN, words)
    if asked.restricted and any(
        same_person(d, decision, people) and d.verdict is decision.verdict for d in asked.decisions
    ):
        return Judged(Answer.DOUBLE, "they have approved this already, and count once")
    return Judged(Answer.COUNTED, _effect(asked, decision, people))


def _why_late(asked: ApprovalStatus, decision: GateDecision, people: Sequence[Person], now: float) -> str:
    if asked.until is not None:
        end = dt.datetime.fromisoformat(asked.until).timestamp()
        made = dt.datetime.fromisoformat(decision.at).timestamp() if decision.at else now
        if asked.expired or made >= end:
            return f"the time for it was over at {asked.until}"
    if reject := next((d for d in asked.decisions if d.verdict is Verdict.REJECT), None):
        return f"it is decided: {decision_words(reject, people)}"
    return "" if approvals_missing(asked, people) else "it is decided: there are enough approvals"


def _effect(asked: ApprovalStatus, decision: GateDecision, people: Sequence[Person]) -> str:
    if decision.verdict is Verdict.REJECT:
        return "the release is taken back"
    before = approvals_missing(asked, people)
    left = approvals_missing(asked.model_copy(update={"decisions": (*asked.decisions, decision)}), people)
    if not left:
        return "the gate is passed"
    words = f"{left} more {'approval is' if left == 1 else 'approvals are'} needed"
    if left < before:
        return words
    return (
        f"{words}: nobody can tell whether these are different people; write their names into approvals.people of the "
        "controller's configuration"
    )
