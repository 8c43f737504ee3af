"""One look: windows and policy in, verdict out. Nothing is remembered between looks.

Rollback and promotion are two sequential tests with a zone between their margins. False rollbacks are bounded by
``rollback_alpha``, split 0.5 to errors (half of it to the SLO guard where there is one), 0.4 to latency and 0.05 to
each gross guard. A step is passed on evidence since the release began, as what was shown at 10 % stays shown at 50 %;
but its own windows must lean the same way, as a version may break only under more load. The bounds are exact for
fixed margins; with estimated spread of pods and dispersion they are calibrated (benchmarks/).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges import evidence
from analysis.judges.cells import Cells, cells_of
from analysis.judges.errors import BadCounts, errors_of
from analysis.judges.gross import gross_errors, gross_latency
from analysis.judges.latency import Latency, latency_of
from analysis.judges.need import estimate
from analysis.judges.table import Table, tabulate
from analysis.model import budget
from analysis.model.verdict import Decision, Evidence, Need, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from analysis.model.counts import Window
    from analysis.model.policy import ErrorPolicy, Policy

__all__ = ["judge", "judge_table"]

_SILENT_SECONDS: Final = 15.0
_ALONE_SECONDS: Final = 10.0
_ALONE_ATTEMPTS: Final = 10
_QUIET_WEALTH: Final = math.log(20.0)
_SURVIVES: Final = math.log(3.0)
_STEP_LEANS: Final = math.log(2.0)


@dataclass(frozen=True, slots=True)
class Promotion:
    """Log wealth for promotion.

    Attributes:
        release: Since the release began.
        step: Since the present step began.
    """

    release: float = 0.0
    step: float = 0.0


@dataclass(frozen=True, slots=True)
class _Metric:
    """One metric at this look; wealths are logs."""

    name: str
    rollback: float
    threshold: float
    counts: BadCounts | Latency
    promotion: Promotion | None = None
    without: Callable[[Sequence[str]], float] | None = None

    @property
    def cells(self) -> Cells:
        return self.counts.cells

    @property
    def refuted(self) -> bool:
        return self.rollback >= self.threshold


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look is given."""

    table: Table
    policy: Policy
    born: Mapping[str, float]
    now: float


def judge(
    windows: Sequence[Window],
    policy: Policy,
    *,
    pods_started: Mapping[str, float],
    step_starts: Sequence[float],
    now: float,
) -> Verdict:
    """Judge a release from all the windows stored of it.

    Args:
        windows: Counts since the release began, and before it where there are any (they tell what pods differ by).
        policy: Margins, error probabilities, warm-up.
        pods_started: Start of each pod in Unix seconds; pods that are not in it count as warm.
        step_starts: When the share of traffic changed, in Unix seconds; windows are never merged over these.
        now: Unix seconds of this look.

    Returns:
        The decision with its evidence. The same arguments give the same answer.

    Raises:
        ValueError: Latency counts do not match ``policy.bounds_ms``.
    """
    return judge_table(
        tabulate(windows, len(policy.bounds_ms) + 1),
        policy,
        pods_started=pods_started,
        step_starts=step_starts,
        now=now,
    )


def judge_table(
    table: Table,
    policy: Policy,
    *,
    pods_started: Mapping[str, float],
    step_starts: Sequence[float],
    now: float,
    explain: bool = True,
) -> Verdict:
    """As ``judge``, from windows that are already a table; without ``explain`` (simulations) there is no evidence."""
    measured = table.attempts.sum(axis=1) > 0
    if not measured.any():
        return Verdict(Decision.NO_DATA, "No requests have been measured yet.", ())
    table = table.rows(measured)
    alone = _alone_since(table, step_starts)
    steps = sorted(step_starts)
    table = table.merged(_cuts(table, policy, pods_started, steps))
    found = _metrics(table, policy, pods_started, steps, alone)
    shown = tuple(_shown(metric, policy) for metric in found) if explain else ()
    refuted = [metric for metric in found if metric.refuted]
    if refuted:
        return _against(refuted, shown, found)
    silence = now - float(table.end[-1])
    if silence > _SILENT_SECONDS:
        return Verdict(Decision.NO_DATA, f"Nothing was measured for {silence:.0f} s: no traffic, or no metrics.", shown)
    if alone is not None:
        return Verdict(
            Decision.NO_BASELINE, "There is no baseline to compare with now; only absolute guards were judged.", shown
        )
    return _forward(found, shown, _Look(table, policy, pods_started, now))


def _metrics(
    table: Table, policy: Policy, born: Mapping[str, float], steps: Sequence[float], alone: float | None
) -> list[_Metric]:
    cold, found = cells_of(table, None, steps), []
    thresholds = {name: -math.log(alpha) for name, alpha in budget.split(policy).items()}
    if policy.errors is not None:
        found += _error_metrics(table, policy.errors, born, steps, thresholds)
        failed = errors_of(cold)
        found.append(_Metric("gross-errors", gross_errors(failed, alone), thresholds["gross-errors"], failed))
    if policy.latency is not None:
        found.append(_latency_metric(table, policy, born, steps, thresholds["latency"]))
        gross = gross_latency(cold, policy.bounds_ms)
        found.append(_Metric("gross-latency", gross, thresholds["gross-latency"], latency_of(cold, policy.bounds_ms)))
    return found


def _error_metrics(
    table: Table,
    policy: ErrorPolicy,
    born: Mapping[str, float],
    steps: Sequence[float],
    thresholds: Mapping[str, float],
) -> list[_Metric]:
    keep = table.warm(born, policy.warm_up)
    warm = errors_of(cells_of(table, keep, steps))

    def without(pods: Sequence[str]) -> float:
        return errors_of(cells_of(table, keep & _others(table, pods), steps)).rollback(policy)

    step_row = int(np.searchsorted(table.start, steps[-1])) if steps else 0
    promotion = Promotion(*warm.promotion(policy, step_row))
    found = [_Metric("errors", warm.rollback(policy), thresholds["errors"], warm, promotion, without)]
    if policy.slo is not None:
        found.append(_Metric("slo", warm.simple(0.0, policy.slo), thresholds["slo"], warm))
    return found


def _latency_metric(
    table: Table, policy: Policy, born: Mapping[str, float], steps: Sequence[float], threshold: float
) -> _Metric:
    assert policy.latency is not None  # noqa: S101 - the caller's own condition
    part, bounds = policy.latency, policy.bounds_ms
    keep = table.warm(born, part.warm_up)
    warm = latency_of(cells_of(table, keep, steps), bounds)

    def without(pods: Sequence[str]) -> float:
        return latency_of(cells_of(table, keep & _others(table, pods), steps), bounds).rollback(part.noise_ratio)

    step_row = int(np.searchsorted(table.start, steps[-1])) if steps else 0
    rows = [restart.row for restart in warm.cells.begun]
    promotion = Promotion(*warm.promotion(part.ratio, rows.index(step_row) if step_row in rows else 0))
    return _Metric("latency", warm.rollback(part.noise_ratio), threshold, warm, promotion, without)


def _others(table: Table, pods: Sequence[str]) -> NDArray[np.bool_]:
    """All columns but those of some canary pods."""
    return np.array([not (c and name in pods) for c, name in zip(table.canary, table.pods, strict=True)])[None, :]


def _cuts(table: Table, policy: Policy, born: Mapping[str, float], steps: Sequence[float]) -> list[float]:
    """Where cells may not be merged: the share of traffic changes, or a canary pod gets warm."""
    ages = [part.warm_up for part in (policy.errors, policy.latency) if part is not None]
    pods = {pod for pod, canary in zip(table.pods, table.canary, strict=True) if canary and pod in born}
    return [*steps, *{born[pod] + age for pod in pods for age in ages}]


def _shown(metric: _Metric, policy: Policy) -> Evidence:
    return evidence.describe(
        metric.name,
        metric.counts,
        policy,
        rollback=(metric.rollback, metric.threshold),
        promotion=metric.promotion.release if metric.promotion is not None else 0.0,
    )


def _against(refuted: Sequence[_Metric], shown: Sequence[Evidence], found: Sequence[_Metric]) -> Verdict:
    """Roll back, unless every refuted metric rests on a minority of the pods."""
    outliers: tuple[str, ...] = ()
    words = {metric.name: entry.words for metric, entry in zip(found, shown, strict=False)}
    for metric in refuted:
        pods = _carriers(metric)
        if not pods:
            return Verdict(Decision.ROLL_BACK, f"{metric.name}: {words.get(metric.name, 'worse')}", tuple(shown))
        outliers = outliers or pods
    who = f"One canary pod, {outliers[0]}, carries" if len(outliers) == 1 else f"{' and '.join(outliers)} alone carry"
    return Verdict(
        Decision.OUTLIER,
        f"{who} the whole difference: {words.get(refuted[0].name, refuted[0].name)}",
        tuple(shown),
        outlier=outliers[0],
    )


def _carriers(metric: _Metric) -> tuple[str, ...]:
    """The canary pods, fewer than half of them (or one of two), without which hardly any evidence is left; none for none."""
    if metric.without is None:
        return ()
    cells = metric.cells
    busy = cells.attempts.sum(axis=0) > 0
    pods = sorted({pod for pod, c, n in zip(cells.table.pods, cells.canary, busy, strict=True) if c and pod and n})
    if len(pods) < 2:  # noqa: PLR2004 - the only pod is the canary
        return ()
    dropped: tuple[str, ...] = ()
    for _ in range(max((len(pods) - 1) // 2, 1)):
        left = {pod: metric.without((*dropped, pod)) for pod in pods if pod not in dropped}
        worst = min(left, key=left.__getitem__)
        dropped = (*dropped, worst)
        if left[worst] < _SURVIVES:
            return dropped
    return ()


def _forward(
    found: Sequence[_Metric],
    shown: tuple[Evidence, ...],
    look: _Look,
) -> Verdict:
    goal = -math.log(look.policy.promotion_alpha)
    judged = [(metric, metric.promotion) for metric in found if metric.promotion is not None]
    if not judged:
        return Verdict(Decision.CONTINUE, "The policy judges neither errors nor latency.", shown)
    suspicious = [metric.name for metric in found if metric.rollback >= _QUIET_WEALTH]
    missing = [metric.name for metric, wealth in judged if wealth.release < goal]
    unsettled = [metric.name for metric, wealth in judged if wealth.step < _STEP_LEANS]
    if not (suspicious or missing or unsettled):
        return Verdict(Decision.PROMOTE, "Every metric is shown to be within its margin.", shown)
    if suspicious:
        return Verdict(Decision.CONTINUE, f"{' and '.join(suspicious)} may be worse; more evidence is needed.", shown)
    need = _need(judged, look)
    what = " and ".join(missing or unsettled)
    if missing:
        summary = f"{what}: not yet shown to be within the margin{_words(need)}."
    elif need is None:
        summary = f"{what}: this step's own requests do not bear it out so far."
    else:
        summary = f"{what}: this step's own requests do not say enough yet{_words(need)}."
    return Verdict(Decision.CONTINUE, summary, shown, need)


def _need(
    judged: Sequence[tuple[_Metric, Promotion]],
    look: _Look,
) -> Need | None:
    goal = -math.log(look.policy.promotion_alpha)
    attempts, wait = 0.0, 0.0
    for metric, wealth in judged:
        short = max(goal - wealth.release, _STEP_LEANS - wealth.step)
        if short <= 0.0:
            continue
        if wealth.step < -_STEP_LEANS:  # it goes the wrong way: more of the same never gets there
            return None
        gain = estimate(
            metric.name, metric.cells if metric.cells.arms[0] > 0 else cells_of(look.table, None, ()), look.policy
        )
        if gain is None:
            return None
        attempts = max(attempts, short / gain)
        wait = max(wait, _warming(metric, look))
    return _in_time(attempts, wait, look.table)


def _warming(metric: _Metric, look: _Look) -> float:
    """Seconds until the first canary pod is warm for this metric."""
    part = look.policy.errors if metric.name == "errors" else look.policy.latency
    pods = [pod for pod, c in zip(look.table.pods, look.table.canary, strict=True) if c]
    if part is None or not pods:
        return 0.0
    return max(0.0, min(look.born.get(pod, -math.inf) for pod in pods) + part.warm_up - look.now)


def _in_time(attempts: float, wait: float, table: Table) -> Need:
    recent = table.rows(table.start >= float(table.end[-1]) - 2 * _ALONE_SECONDS)
    span = float(recent.end[-1] - recent.start[0]) if recent.start.size else 0.0
    rate = float(recent.attempts[:, recent.canary].sum()) / span if span > 0 else 0.0
    whole = math.ceil(min(attempts, 1e15))
    return Need(whole, round(wait + whole / rate, 1) if rate > 0 else None)


def _words(need: Need | None) -> str:
    if need is None or need.attempts is None:
        return ""
    if need.seconds is None:
        return f"; about {need.attempts:,} more canary requests"
    span = f"{need.seconds:.0f} s" if need.seconds < 120 else f"{need.seconds / 60:.0f} minutes"  # noqa: PLR2004
    return f"; about {need.attempts:,} more canary requests, {span}"


def _alone_since(table: Table, steps: Sequence[float]) -> float | None:
    """Since when the canary has been without a baseline; None while there is one."""
    baseline = table.attempts[:, ~table.canary].sum(axis=1)
    canary = table.attempts[:, table.canary].sum(axis=1)
    served = np.flatnonzero(baseline > 0)
    row = int(served[-1]) + 1 if served.size else 0
    if row >= table.start.size or canary[row:].sum() < _ALONE_ATTEMPTS:
        return None
    start = float(table.start[row])
    lasted = float(table.end[-1]) - start
    fresh_step = bool(steps) and start >= max(steps) - 1.0
    return start if lasted >= _ALONE_SECONDS or fresh_step or not served.size else None
