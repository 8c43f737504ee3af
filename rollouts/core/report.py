"""The status that people and tools read: phase, weights, evidence, kstatus conditions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from mesh.api.trafficsplit import Condition
from rollouts.api.rollout import EvidenceStatus, Phase, RolloutStatus, WeightStatus
from rollouts.core.gates import asked_of
from rollouts.core.machine import PHASES, RELEASE, RESTING, State
from rollouts.core.observed import stamp
from rollouts.core.preflight.gate import blocking
from rollouts.core.words import message, need

if TYPE_CHECKING:
    from analysis.model.verdict import Evidence
    from rollouts.api.approval import ApprovalStatus
    from rollouts.core.context import Context

__all__ = ["condition", "report"]

_LARGE = 1e12
"""Evidence beyond this is written as this: JSON knows no infinity."""


def report(c: Context) -> RolloutStatus:
    """Return the status to be written."""
    phase, text = _phase(c), message(c)
    judged = _judged(c)
    return c.status.model_copy(
        update={
            "observed_generation": c.o.subject.generation,
            "phase": phase,
            "message": text,
            "weight": _weight(c),
            "approval": _approval(c),
            "handled": dict(c.handled),
            "conditions": _conditions(c, phase, text),
            "internal": c.notes.dump(),
            **judged,
        }
    )


def _phase(c: Context) -> Phase:
    if c.problem is not None and c.notes.state is not State.RESTORING:
        return Phase.STALLED
    if c.held and c.notes.state in RELEASE:
        return Phase.PAUSED
    if blocking(c):
        return Phase.STALLED
    return PHASES[c.notes.state]


def _approval(c: Context) -> ApprovalStatus | None:
    """Return what people are asked; while the spec cannot be read, what they were asked before."""
    asked = asked_of(c)
    return c.status.approval if asked is not None and c.o.subject.spec is None else asked


def _judged(c: Context) -> dict[str, object]:
    measured = c.o.measured
    if c.notes.state not in RELEASE | {State.ROLLING_BACK}:
        return {"problems": ()}
    verdict, burns = measured.verdict, measured.burns
    if verdict is None and not burns:
        return {"problems": measured.problems}
    found = verdict.evidence if verdict else ()
    objectives = (
        _evidence(b.evidence).model_copy(update={"burn_rate": None if b.rate is None else _number(b.rate)})
        for b in burns
    )
    return {
        "budget": {name: _number(alpha) for name, alpha in measured.budget.items()},
        "problems": measured.problems,
        "verdict": verdict.decision.value if verdict else "",
        "summary": verdict.summary if verdict else "",
        "evidence": (*(_evidence(e) for e in found), *objectives),
        "need": need(c),
    }


def _number(value: float) -> float:
    """Return the value with four significant digits."""
    if not math.isfinite(value) or abs(value) > _LARGE:
        return math.copysign(_LARGE, value)
    return float(f"{value:.4g}")


def _evidence(e: Evidence) -> EvidenceStatus:
    return EvidenceStatus(
        metric=e.metric,
        words=e.words,
        canary=None if e.canary is None else _number(e.canary),
        baseline=None if e.baseline is None else _number(e.baseline),
        canary_count=round(e.canary_count),
        baseline_count=round(e.baseline_count),
        rollback_e=_number(e.rollback_e),
        rollback_at=_number(e.rollback_at),
        promote_e=_number(e.promote_e),
        promote_at=_number(e.promote_at),
        difference=None if e.difference is None else _number(e.difference),
        interval=None if e.interval is None else (_number(e.interval[0]), _number(e.interval[1])),
    )


def _weight(c: Context) -> WeightStatus:
    t = c.o.traffic
    return WeightStatus(
        configured=c.notes.weight,
        held_back=c.held_back,
        acknowledged=None if t is None or t.held is None else t.held.get(c.names.canary_service, 0),
        actual=_actual(c),
        proxies=t.proxies if t else "",
        message=t.message if t else "",
    )


def _actual(c: Context) -> float | None:
    """Return the canary's measured share in this step; None while nothing was counted."""
    share = c.o.measured.share
    return None if share is None or c.notes.state not in RELEASE else round(share, 1)


def _conditions(c: Context, phase: Phase, text: str) -> tuple[Condition, ...]:
    state = c.notes.state
    stalled = phase is Phase.STALLED
    failed = state is State.ROLLED_BACK
    blocked = next((str(x.reason) for x in blocking(c)), phase.value)
    reason = c.problem.reason if stalled and c.problem else blocked
    ready = state is State.HEALTHY and not stalled
    return (
        condition(c, "Ready", ready, reason, text),
        condition(c, "Reconciling", state not in RESTING and not stalled, reason, text),
        condition(c, "Stalled", stalled or failed, reason, text),
    )


def condition(c: Context, kind: str, holds: bool, reason: str, text: str) -> Condition:  # noqa: FBT001 - a condition is a boolean
    """Return a condition; its time is when its value last changed."""
    status: Literal["True", "False"] = "True" if holds else "False"
    before = next((x for x in c.status.conditions if x.type == kind), None)
    time = before.last_transition_time if before and before.status == status else stamp(c.now)
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=text,
        observed_generation=c.o.subject.generation,
        last_transition_time=time,
    )
