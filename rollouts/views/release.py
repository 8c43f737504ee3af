"""One Rollout as people look at it: where it is, its step bar, the three weights, verdict and evidence in words.

Everything is taken from the Rollout's JSON as the API server (or a `Transition`) has it; what is missing there is missing
here, never an error: a look must not fail because a release has just begun.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from rollouts.views.looks import MOVING, PHASES, STEP_SYMBOLS, UNKNOWN, PhaseLook, StepState, Tone, Waits
from rollouts.views.parts import (
    Approval,
    EvidenceView,
    VersionView,
    Weights,
    evidence_of,
    version_of,
    weight_words,
    weights_of,
)
from rollouts.views.steps import Step, restricted, steps_of
from rollouts.views.words import unix

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "PHASES",
    "Approval",
    "EvidenceView",
    "PhaseLook",
    "Release",
    "StepState",
    "StepView",
    "Tone",
    "VersionView",
    "Waits",
    "Weights",
    "release_of",
    "step_bar",
    "weight_words",
]

_PROMOTION: Final = "the promotion"
"""``status.approval.place`` of the gate behind all steps."""


@dataclass(frozen=True)
class StepView:
    """A step of this release and how far it is. ``number`` counts from 1."""

    number: int
    step: Step
    state: StepState

    @property
    def symbol(self) -> str:
        """One character, so that no bar needs colours."""
        return STEP_SYMBOLS[self.state]


@dataclass(frozen=True)
class Release:
    """One Rollout as people look at it.

    Attributes:
        namespace: Its namespace.
        name: Its name.
        phase: ``status.phase``; empty while the controller has not seen it.
        look: Symbol, tone and words of the phase.
        message: What it is doing or waiting for.
        workload: The Deployment.
        service: The Service whose requests are split.
        stable: The stable version.
        canary: The new one; without a revision where there is none.
        steps: All steps with how far each is.
        step: e.g. ``2/3``; empty between releases.
        weights: The three numbers.
        verdict: The judge's last answer, e.g. ``Continue``.
        summary: Its reason.
        need: What promotion still needs.
        evidence: Of each metric.
        problems: What was wrong with measurements.
        approval: What people are asked now; None when nobody is.
        gated: Whether a gate that asks who decides lies ahead: only approvals pass it.
        waits: Who or what it waits for.
        paused: ``spec.paused``.
        failed_revision: The revision that was taken back last.
        created: Unix seconds; None where unknown.
        started: When the release began.
        step_started: When the step began.
        current: Whether the controller has seen the present spec.
        history: ``status.history``, oldest first.
    """

    namespace: str
    name: str
    phase: str
    look: PhaseLook
    message: str
    workload: str
    service: str
    stable: VersionView
    canary: VersionView
    steps: tuple[StepView, ...]
    step: str
    weights: Weights
    verdict: str
    summary: str
    need: str
    evidence: tuple[EvidenceView, ...]
    problems: tuple[str, ...]
    approval: Approval | None
    gated: bool
    waits: Waits
    paused: bool
    failed_revision: str
    created: float | None
    started: float | None
    step_started: float | None
    current: bool
    history: tuple[Mapping[str, Any], ...]

    @property
    def under_way(self) -> bool:
        """Whether something moves or waits in the middle of a release."""
        return self.phase in MOVING or (self.phase == "Stalled" and bool(self.canary.revision) and bool(self.step))

    @property
    def present(self) -> StepView | None:
        """The step where the release is."""
        return next((s for s in self.steps if s.state in {StepState.NOW, StepState.FAILED}), None)


def release_of(rollout: Mapping[str, Any]) -> Release:
    """Return what people see of a Rollout.

    Args:
        rollout: The Rollout's JSON: ``metadata``, ``spec``, ``status``. Of a `Transition` without a spec the steps are
            unknown, and everything else is there.
    """
    metadata, spec = rollout.get("metadata") or {}, rollout.get("spec") or {}
    status: Mapping[str, Any] = rollout.get("status") or {}
    phase = status.get("phase") or ""
    workload = (spec.get("workloadRef") or {}).get("name") or metadata.get("name", "")
    steps = _steps(spec, status, phase) if spec else ()
    weights = weights_of(status.get("weight") or {})
    approval = _approval(status, steps) if phase == "AwaitingApproval" else None
    observed = status.get("observedGeneration")
    return Release(
        namespace=metadata.get("namespace", ""),
        name=metadata.get("name", ""),
        phase=phase,
        look=PHASES.get(phase, UNKNOWN),
        message=status.get("message") or ("" if phase else "the controller has not looked at it yet"),
        workload=workload,
        service=spec.get("service") or workload,
        stable=version_of(status.get("stable")),
        canary=version_of(status.get("canary")),
        steps=steps,
        step=status.get("step") or "",
        weights=weights,
        verdict=status.get("verdict") or "",
        summary=status.get("summary") or "",
        need=status.get("need") or "",
        evidence=tuple(evidence_of(e) for e in status.get("evidence") or ()),
        problems=tuple(status.get("problems") or ()),
        approval=approval,
        gated=_gated(steps, spec),
        waits=_waits(phase, status, weights, next((s for s in steps if s.state is StepState.NOW), None)),
        paused=bool(spec.get("paused")),
        failed_revision=status.get("failedRevision") or "",
        created=unix(metadata.get("creationTimestamp")),
        started=unix(status.get("startedAt")),
        step_started=unix(status.get("stepStartedAt")),
        current=observed is None or observed >= metadata.get("generation", 0),
        history=tuple(status.get("history") or ()),
    )


def step_bar(release: Release) -> str:
    """Return the steps in one line that needs no colours: ``✔ 10 %  ▶ 50 %  · 100 %``."""
    return "  ".join(f"{s.symbol} {s.step.label}" for s in release.steps)


def _steps(spec: Mapping[str, Any], status: Mapping[str, Any], phase: str) -> tuple[StepView, ...]:
    index = status.get("stepIndex")
    ended = index is None and phase == "Healthy" and bool(status.get("history"))
    passed_all = phase in {"Promoting", "Watching"} or (status.get("approval") or {}).get("place") == _PROMOTION

    def state(at: int) -> StepState:
        if index is None:
            return StepState.DONE if ended and _promoted(status) else StepState.TO_COME
        if at != index:
            return StepState.DONE if at < index or passed_all else StepState.TO_COME
        if phase in {"RolledBack", "RollingBack"}:
            return StepState.FAILED
        return StepState.DONE if passed_all else StepState.NOW

    return tuple(StepView(at + 1, step, state(at)) for at, step in enumerate(steps_of(spec)))


def _gated(steps: tuple[StepView, ...], spec: Mapping[str, Any]) -> bool:
    ahead = any(s.step.restricted and s.state in {StepState.NOW, StepState.TO_COME} for s in steps)
    return ahead or restricted(spec.get("promotionApproval"))


def _promoted(status: Mapping[str, Any]) -> bool:
    return bool(status["history"][-1].get("outcome") == "Promoted")


def _approval(status: Mapping[str, Any], steps: tuple[StepView, ...]) -> Approval:
    raw = status.get("approval") or {}
    asked = next((s.step.message for s in steps if s.state is StepState.NOW), "")
    return Approval(
        gate=raw.get("gate") or "",
        message=raw.get("message") or asked,
        required=raw.get("required") or 1,
        until=unix(raw.get("until")),
        decisions=tuple(raw.get("decisions") or ()),
        raw=raw,
    )


_WAITS: Final[Mapping[str, Waits]] = MappingProxyType(
    {
        "Initializing": Waits.PODS,
        "Starting": Waits.PODS,
        "AwaitingApproval": Waits.PEOPLE,
        "Inconclusive": Waits.JUDGE,
        "Watching": Waits.TIME,
        "RollingBack": Waits.PROXIES,
        "RolledBack": Waits.GIT,
        "Stalled": Waits.FIX,
        "Promoting": Waits.PODS,
    }
)


def _waits(phase: str, status: Mapping[str, Any], weights: Weights, step: StepView | None) -> Waits:
    if phase == "Paused":
        timed = step is not None and step.step.kind == "pause" and step.step.seconds
        return Waits.TIME if timed else Waits.PEOPLE
    if phase != "Progressing":
        return _WAITS.get(phase, Waits.NOBODY)
    if status.get("stepStartedAt"):
        return Waits.JUDGE
    wanted = step.step.weight if step else None
    at_last = wanted is None or weights.configured in {wanted, 100 - weights.held_back}
    return Waits.PROXIES if at_last and not weights.in_force else Waits.PODS
