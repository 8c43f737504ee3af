"""Evidence in numbers and in one sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges.series import errors_series, rank_series
from analysis.model.verdict import Evidence
from analysis.stats.bets import LOG_STAKES_BETTER, LOG_STAKES_WORSE, t_quantile
from analysis.stats.counting import Array, log_mean
from analysis.stats.histograms import quantile
from analysis.stats.intervals import difference_interval, rejected_up_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.judges.table import Table
    from analysis.model.policy import Policy

__all__ = ["describe"]

_ALPHA: Final = 0.01
_WIDEST: Final = math.log(16.0)
_LARGEST_LOG: Final = 700.0
_SLOWER_THAN_NOW: Final = 0.99


def describe(
    metric: str,
    table: Table,
    policy: Policy,
    *,
    steps: Sequence[float],
    rollback: tuple[float, float],
    promotion: float,
) -> Evidence:
    """One metric's evidence.

    Args:
        metric: Name as in ``Evidence.metric``.
        table: The counts that were judged.
        policy: For the latency bounds and the promotion threshold.
        steps: When steps began.
        rollback: Log of the rollback wealth and of its threshold.
        promotion: Log of the promotion wealth.
    """
    if metric.endswith("latency"):
        values = _latency(table, policy, steps if metric == "latency" else None)
    else:
        values = _errors(table, policy.errors.slo if metric == "slo" and policy.errors is not None else None)
    canary, baseline, counts, difference, interval, words = values
    return Evidence(
        metric=metric,
        canary=canary,
        baseline=baseline,
        canary_count=counts[0],
        baseline_count=counts[1],
        difference=difference,
        interval=interval,
        rollback_e=_exp(rollback[0]),
        rollback_at=_exp(rollback[1]),
        promote_e=_exp(promotion),
        promote_at=1.0 / policy.promotion_alpha,
        words=words,
    )


_Values = tuple[float | None, float | None, tuple[int, int], float | None, tuple[float, float] | None, str]


def _errors(table: Table, slo: float | None) -> _Values:
    series = errors_series(table, 1.0)
    canary, n = float(series.canary.sum()), float(series.canary_n.sum())
    baseline, m = float(series.baseline.sum()), float(series.baseline_n.sum())
    rate = canary / n if n > 0 else None
    other = baseline / m if m > 0 else None
    interval = difference_interval(
        series.canary[:, 0],
        series.baseline[:, 0],
        series.canary_n,
        series.baseline_n,
        alpha=_ALPHA,
        dispersion=series.dispersion,
    )
    words = _share_words(rate, n, other, m)
    if slo is not None:
        words += f"; the limit is {slo:.2%}".replace("%", " %")
    elif interval is not None:
        words += _points(interval)
    gap = rate - other if rate is not None and other is not None else None
    return rate, other, (round(n), round(m)), gap, interval, words


def _share_words(rate: float | None, n: float, other: float | None, m: float) -> str:
    if rate is None:
        return "no canary requests yet"
    words = f"canary {_percent(rate)} errors of {n:,.0f} requests"
    return words + (f", baseline {_percent(other)} of {m:,.0f}" if other is not None else ", no baseline")


def _points(interval: tuple[float, float]) -> str:
    low, high = (100.0 * end for end in interval)
    if low > 0:
        return f"; worse by ≥ {low:.2g} points, 99 % confidence at any time"
    if high < 0:
        return f"; better by ≥ {-high:.2g} points, 99 % confidence at any time"
    return f"; worse by at most {high:.2g} points, 99 % confidence at any time"


def _percent(share: float) -> str:
    percent = 100.0 * share
    return f"{percent:.1f} %" if percent >= 1 or percent == 0 else f"{percent:.2g} %"


def _latency(table: Table, policy: Policy, steps: Sequence[float] | None) -> _Values:
    arms = [table.latency[:, side].sum(axis=(0, 1)) for side in (table.canary, ~table.canary)]
    n, m = (float(counts.sum()) for counts in arms)
    p99, other = (quantile(counts, policy.bounds_ms, 0.99) for counts in arms)
    if p99 is None:
        return None, other, (0, round(m)), None, None, "no canary latencies yet"
    words = f"canary p99 {_ms(p99)} of {n:,.0f} requests"
    if other is None:
        return p99, None, (round(n), 0), None, None, words + ", no baseline"
    words += f", baseline {_ms(other)} of {m:,.0f}"
    interval = _slow_down(table.merged(steps, math.inf), policy.bounds_ms) if steps is not None else None
    if interval is not None:
        words += _slower(interval)
    return p99, other, (round(n), round(m)), p99 / other, interval, words


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2g} ms"  # noqa: PLR2004


def _slower(interval: tuple[float, float]) -> str:
    low, high = interval
    if low > 1:
        return f"; slower by ≥ {100 * (low - 1):.0f} %, 99 % confidence at any time"
    if high < 1:
        return f"; faster by ≥ {100 * (1 - high):.0f} %, 99 % confidence at any time"
    if high >= math.exp(_WIDEST) * _SLOWER_THAN_NOW:
        return ""
    return f"; slower by at most {100 * max(high - 1, 0):.0f} %, 99 % confidence at any time"


def _slow_down(table: Table, bounds: tuple[float, ...]) -> tuple[float, float] | None:
    """Anytime-valid interval of the ratio of latencies, by inverting the rank test; None while unbounded.

    As in the two tests, its lower end leaves out what pods alone may differ by, and its upper end does not.
    """

    def log_e(factor: float, stakes: Array, *, pods: bool = False) -> float:
        series = rank_series(table, bounds, math.exp(factor))
        spread = series.spread(0)
        shift = t_quantile(1.0 - _ALPHA / 2.0, spread.dof) * math.sqrt(spread.variance) if pods else 0.0
        return log_mean(series.log_evalues(shift=shift).sum(axis=0), stakes)

    goal = math.log(2.0 / _ALPHA)
    low = rejected_up_to(lambda x: log_e(x, LOG_STAKES_WORSE, pods=True) >= goal, -_WIDEST, _WIDEST)
    high = -rejected_up_to(lambda x: log_e(-x, LOG_STAKES_BETTER) >= goal, -_WIDEST, _WIDEST)
    if low <= -_WIDEST and high >= _WIDEST:
        return None
    return math.exp(low), math.exp(high)


def _exp(value: float) -> float:
    return float(np.exp(min(value, _LARGEST_LOG)))
