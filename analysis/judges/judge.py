"""One look: windows and policy in, verdict out. Nothing is remembered between looks.

Rollback and promotion are two sequential tests with a zone between their margins. False rollbacks are bounded by
``rollback_alpha``, split 0.5 to errors (half of it to the SLO guard where there is one), 0.4 to latency and 0.05 to
each gross guard. A step is passed on evidence since the release began, as what was shown at 10 % stays shown at 50 %;
but its own windows must lean the same way, as a version may break only under more load. The bounds are exact for
fixed margins; with estimated spread of pods and dispersion they are calibrated (benchmarks/).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges import evidence
from analysis.judges.conclude import Look, against, forward
from analysis.judges.metrics import Metric, count_metrics, cuts, value_metrics
from analysis.judges.table import Table, tabulate
from analysis.model import budget
from analysis.model.verdict import Decision, Evidence, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from analysis.model.counts import Window
    from analysis.model.policy import Policy
    from analysis.model.values import ValueSeries

__all__ = ["judge", "judge_table"]

_SILENT_SECONDS: Final = 15.0
_SCRAPES: Final = 2.0
_ALONE_SECONDS: Final = 10.0
_ALONE_ATTEMPTS: Final = 10


def judge(
    windows: Sequence[Window],
    policy: Policy,
    *,
    pods_started: Mapping[str, float],
    step_starts: Sequence[float],
    now: float,
    values: Sequence[ValueSeries] = (),
) -> Verdict:
    """Judge a release from all the windows stored of it.

    Args:
        windows: Counts since the release began, and before it where there are any (they tell what pods differ by).
        policy: Margins, error probabilities, warm-up.
        pods_started: Start of each pod in Unix seconds; pods that are not in it count as warm.
        step_starts: When the share of traffic changed, in Unix seconds; windows are never merged over these.
        now: Unix seconds of this look.
        values: What was measured of other metrics.

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
        values=values,
    )


def judge_table(
    table: Table,
    policy: Policy,
    *,
    pods_started: Mapping[str, float],
    step_starts: Sequence[float],
    now: float,
    values: Sequence[ValueSeries] = (),
    explain: bool = True,
) -> Verdict:
    """As ``judge``, from windows that are already a table.

    Without ``explain`` the decision is the same, for half of the time: there is no evidence and no estimate of what is
    still needed, and tests that a bound shows to be quiet are not worked out.
    """
    steps = sorted(step_starts)
    served = table.attempts.sum(axis=1) > 0
    table = table if served.all() else table.rows(served)
    counted = table.start.size > 0 and (policy.errors is not None or policy.latency is not None)
    alone = _alone_since(table, steps) if counted else None
    patience = _patience(table) if counted else 0.0
    table = table.merged(cuts(table, policy, pods_started, steps))
    alphas = budget.split(policy, [s.policy.name for s in values if s.policy.critical and not s.policy.dry_run])
    found = (
        count_metrics(table, policy, pods_started, steps, alone=alone, alphas=alphas, exact=explain) if counted else []
    )
    found += value_metrics(values, policy, alphas)
    shown = tuple(_shown(metric, policy) for metric in found) if explain else ()
    refuted = [metric for metric in found if metric.refuted]
    if refuted:
        return against(refuted, shown, found)
    if not table.start.size and not _values_only(policy, values):
        return Verdict(Decision.NO_DATA, "No requests have been measured yet.", shown)
    if counted and (silence := now - float(table.end[-1])) > patience:
        return Verdict(Decision.NO_DATA, f"Nothing was measured for {silence:.0f} s: no traffic, or no metrics.", shown)
    if alone is not None:
        return Verdict(
            Decision.NO_BASELINE, "There is no baseline to compare with now; only absolute guards were judged.", shown
        )
    return forward(found, shown, Look(table, policy, pods_started, now, explain))


def _patience(table: Table) -> float:
    """How old the newest window may be, in seconds: sources that are scraped tell of a time one or two scrapes later."""
    return _SILENT_SECONDS + _SCRAPES * float(table.end[-1] - table.start[-1])


def _values_only(policy: Policy, values: Sequence[ValueSeries]) -> bool:
    return bool(values) and policy.errors is None and policy.latency is None


def _shown(metric: Metric, policy: Policy) -> Evidence:
    if metric.counts is None:
        assert metric.told is not None  # noqa: S101 - a metric has one or the other
        return metric.told
    return evidence.describe(
        metric.name,
        metric.counts,
        policy,
        rollback=(metric.rollback, metric.threshold),
        promotion=metric.promotion.release if metric.promotion is not None else 0.0,
    )


def _alone_since(table: Table, steps: Sequence[float]) -> float | None:
    """Since when the canary has been without a baseline; None while there is one."""
    baseline, canary = table.attempts @ ~table.canary, table.attempts @ table.canary
    served = np.flatnonzero(baseline > 0)
    row = int(served[-1]) + 1 if served.size else 0
    if row >= table.start.size or canary[row:].sum() < _ALONE_ATTEMPTS:
        return None
    start = float(table.start[row])
    lasted = float(table.end[-1]) - start
    fresh_step = bool(steps) and start >= max(steps) - 1.0
    return start if lasted >= _ALONE_SECONDS or fresh_step or not served.size else None
