"""From telemetry to what a decision looks at: both arms' counts, the judge's answer, the actual share. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from analysis.judges import judge_objectives, judge_table
from analysis.model.budget import split
from analysis.model.counts import Arm, PodCounts, Window
from analysis.model.objective import Objective
from analysis.model.policy import ErrorPolicy, LatencyPolicy, Policy
from rollouts.core.machine import RELEASE
from rollouts.core.observed import Measured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from analysis.judges.table import Table
    from analysis.model.values import ValueSeries
    from mesh.api.telemetry import TelemetryWindow
    from rollouts.api.rollout import Analysis
    from rollouts.api.slos import Slo
    from rollouts.core.naming import Names
    from rollouts.core.notes import Notes

__all__ = ["HISTORY_SECONDS", "Known", "Share", "arms", "measure", "of_release", "policy_of"]

HISTORY_SECONDS: Final = 600.0
"""How much of the time before a release is asked for: it tells what stable pods differ by."""
_PERCENT: Final = 100.0
_MILLISECONDS: Final = 1000.0


@dataclass(frozen=True)
class Known:
    """What is known of the pods behind both Services, by name.

    Attributes:
        started: When each started, Unix seconds.
        arms: Which version each runs.
        fresh: Those that an experiment started of the stable version.
        experiment_since: When the experiment that is under way began, Unix seconds; None when there is none.
    """

    started: Mapping[str, float] = field(default_factory=dict)
    arms: Mapping[str, Arm] = field(default_factory=dict)
    fresh: frozenset[str] = frozenset()
    experiment_since: float | None = None


def policy_of(analysis: Analysis, bounds: tuple[float, ...], slos: Sequence[Slo] = ()) -> Policy:
    """Return the judge's policy for a Rollout's ``spec.analysis`` and ``spec.slos``.

    Args:
        analysis: What people wrote.
        bounds: Upper bounds of the latency buckets, milliseconds; without any, latency is not judged.
        slos: The objectives.
    """
    errors, latency = analysis.errors, analysis.latency
    slo = None if errors.slo_percent is None else errors.slo_percent / _PERCENT
    return Policy(
        bounds_ms=bounds,
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
        if latency.enabled and bounds
        else None,
        rollback_alpha=analysis.rollback_alpha,
        promotion_alpha=analysis.promotion_alpha,
        objectives=tuple(_objective(slo, analysis) for slo in slos),
    )


def _objective(slo: Slo, analysis: Analysis) -> Objective:
    """Return an objective; what does not count for the judge while pods are cold does not count here either."""
    latency = slo.latency
    return Objective(
        name=slo.name,
        share=slo.share,
        burn_rate=slo.burn_rate,
        threshold_ms=None if latency is None else latency.threshold * _MILLISECONDS,
        warm_up=analysis.errors.warm_up if latency is None else analysis.latency.warm_up,
    )


def arms(windows: Iterable[TelemetryWindow], names: Names) -> list[Window]:
    """Return the mesh's windows as the judge takes them."""
    by_backend = {names.host: Arm.BASELINE, names.baseline_service: Arm.BASELINE, names.canary_service: Arm.CANARY}
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
                route=p.route,
            )
            for p in window.pods
            if p.backend in by_backend
        )
        result.append(Window(start=window.start, end=window.end, pods=pods))
    return result


def of_release(windows: Iterable[Window], began: float) -> list[Window]:
    """Return the windows without the canary's counts from before the release: they are another canary's."""
    return [
        w if w.start >= began else replace(w, pods=tuple(p for p in w.pods if p.arm is not Arm.CANARY)) for w in windows
    ]


@dataclass
class Share:
    """Counts both versions' requests in the present step.

    Attributes:
        since: When the step began, Unix seconds.
        canary: Requests that the canary answered.
        baseline: Requests that the baseline answered.
    """

    since: float = 0.0
    canary: int = 0
    baseline: int = 0

    def add(self, windows: Iterable[Window], step_starts: Sequence[float]) -> None:
        """Count windows that no earlier call had."""
        if not step_starts:
            return
        if step_starts[-1] != self.since:
            self.since, self.canary, self.baseline = step_starts[-1], 0, 0
        for window in windows:
            if window.start >= self.since:
                # Not every source tells tries from answers. One that does knows copies for a mirror, too: tries without answers.
                answers = any(pod.requests for pod in window.pods)
                for pod in window.pods:
                    count = pod.requests if answers else pod.attempts
                    if pod.arm is Arm.CANARY:
                        self.canary += count
                    else:
                        self.baseline += count

    @property
    def percent(self) -> float | None:
        """The canary's part; None while nothing was counted."""
        total = self.canary + self.baseline
        return _PERCENT * self.canary / total if total else None


def measure(
    table: Table,
    values: Sequence[ValueSeries],
    policy: Policy,
    *,
    notes: Notes,
    analysis: Analysis,
    pods_started: Mapping[str, float],
    now: float,
) -> Measured:
    """Return what was measured in this release, judged where there is something to judge.

    Args:
        table: Both versions' counts.
        values: The metrics of templates.
        policy: What the judge is asked.
        notes: Where the release is.
        analysis: What people wrote.
        pods_started: When each pod started, Unix seconds.
        now: Unix seconds.
    """
    if notes.state not in RELEASE or not notes.step_starts or not (analysis.judges or policy.objectives):
        return Measured()
    burns = judge_objectives(table, policy, pods_started=pods_started, step_starts=notes.step_starts)
    if not analysis.judges:
        alone = replace(policy, errors=None, latency=None)
        return Measured(burns=burns, budget=split(alone))
    verdict = judge_table(
        table, policy, pods_started=pods_started, step_starts=notes.step_starts, now=now, values=values
    )
    custom = [s.policy.name for s in values if s.policy.critical and not s.policy.dry_run]
    return Measured(verdict=verdict, budget=split(policy, custom), burns=burns)
