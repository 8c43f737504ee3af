"""From telemetry to what a decision looks at: both arms' counts, the judge's answer, the actual share. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from analysis.judges import judge
from analysis.model.counts import Arm, PodCounts, Window
from analysis.model.policy import ErrorPolicy, LatencyPolicy, Policy
from mesh.api.telemetry import LATENCY_BOUNDS_MS
from rollouts.core.machine import RELEASE
from rollouts.core.observed import Measured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mesh.api.telemetry import TelemetryWindow
    from rollouts.api.rollout import Analysis
    from rollouts.core.naming import Names
    from rollouts.core.notes import Notes, ReplacedPod

__all__ = ["HISTORY_SECONDS", "arms", "measure", "policy_of"]

HISTORY_SECONDS: Final = 600.0
"""How much of the time before a release is asked for: it tells what stable pods differ by."""
_PERCENT: Final = 100.0


def policy_of(analysis: Analysis) -> Policy:
    """Return the judge's policy for a Rollout's ``spec.analysis``."""
    errors, latency = analysis.errors, analysis.latency
    slo = None if errors.slo_percent is None else errors.slo_percent / _PERCENT
    return Policy(
        bounds_ms=LATENCY_BOUNDS_MS,
        errors=ErrorPolicy(
            ratio=errors.max_ratio,
            absolute=errors.max_increase_percent / _PERCENT,
            warm_up=errors.warm_up,
            slo=slo,
            noise_ratio=errors.noise_ratio,
            noise_absolute=errors.noise_increase_percent / _PERCENT,
        )
        if errors.enabled
        else None,
        latency=LatencyPolicy(ratio=latency.max_ratio, warm_up=latency.warm_up, noise_ratio=latency.noise_ratio)
        if latency.enabled
        else None,
        rollback_alpha=analysis.rollback_alpha,
        promotion_alpha=analysis.promotion_alpha,
    )


def arms(
    windows: Iterable[TelemetryWindow], names: Names, began: float, replaced: ReplacedPod | None = None
) -> list[Window]:
    """Return the windows as the judge takes them.

    A canary's counts from before this release are another canary's, and those of a pod that was replaced are left out.
    """
    by_backend = {names.host: Arm.BASELINE, names.canary_service: Arm.CANARY}
    result = []
    for window in windows:
        pods = tuple(
            PodCounts(
                arm=by_backend[p.backend],
                pod=p.pod,
                attempts=p.attempts,
                errors=p.attempt_errors,
                latency=p.latency,
                requests=p.requests,
                request_errors=p.request_errors,
            )
            for p in window.pods
            if p.backend == names.host
            or (
                p.backend == names.canary_service
                and window.start >= began
                and not (replaced and p.pod == replaced.name and window.start < replaced.until)
            )
        )
        result.append(Window(start=window.start, end=window.end, pods=pods))
    return result


def measure(
    windows: Sequence[TelemetryWindow],
    *,
    names: Names,
    notes: Notes,
    analysis: Analysis,
    pods_started: Mapping[str, float],
    problem: str,
    now: float,
) -> Measured:
    """Return what was measured in this release, judged where there is something to judge."""
    if notes.state not in RELEASE or not notes.step_starts:
        return Measured(problem=problem)
    requests: dict[str, int] = {}
    for window in windows:
        if window.start >= notes.step_starts[-1]:
            for pod in window.pods:
                requests[pod.backend] = requests.get(pod.backend, 0) + pod.requests
    verdict = None
    if analysis.enabled and (analysis.errors.enabled or analysis.latency.enabled):
        verdict = judge(
            arms(windows, names, notes.began, notes.replaced),
            policy_of(analysis),
            pods_started=pods_started,
            step_starts=notes.step_starts,
            now=now,
        )
    return Measured(verdict=verdict, requests=requests, problem=problem)
