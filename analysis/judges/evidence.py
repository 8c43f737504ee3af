"""Evidence in numbers and in one sentence."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges.latency import Latency
from analysis.model.verdict import Evidence
from analysis.stats.bets import GRID, t_quantile
from analysis.stats.counting import Array, log_mean
from analysis.stats.histograms import quantile
from analysis.stats.intervals import interval_of, rejected_up_to

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analysis.judges.errors import BadCounts
    from analysis.model.policy import Policy

__all__ = ["describe"]

_ALPHA: Final = 0.01
_WIDEST: Final = math.log(16.0)
_SHOWN_BETS: Final = (0.15, 8.0)
_LARGEST_LOG: Final = 700.0
_SLOWER_THAN_NOW: Final = 0.99


def describe(
    metric: str,
    counts: BadCounts | Latency,
    policy: Policy,
    *,
    rollback: tuple[float, float],
    promotion: float,
) -> Evidence:
    """One metric's evidence.

    Args:
        metric: Name as in ``Evidence.metric``.
        counts: The counts that were judged.
        policy: For the latency bounds and the promotion threshold.
        rollback: Log of the rollback wealth and of its threshold.
        promotion: Log of the promotion wealth.
    """
    if isinstance(counts, Latency):
        values = _latency(counts, policy, bounded=metric == "latency")
    else:
        values = _errors(counts, policy.errors.slo if metric == "slo" and policy.errors is not None else None)
    canary, baseline, attempts, difference, interval, words = values
    return Evidence(
        metric=metric,
        canary=canary,
        baseline=baseline,
        canary_count=attempts[0],
        baseline_count=attempts[1],
        difference=difference,
        interval=interval,
        rollback_e=_exp(rollback[0]),
        rollback_at=_exp(rollback[1]),
        promote_e=_exp(promotion),
        promote_at=1.0 / policy.promotion_alpha,
        words=words,
    )


_Values = tuple[float | None, float | None, tuple[int, int], float | None, tuple[float, float] | None, str]


def _errors(counts: BadCounts, slo: float | None) -> _Values:
    (canary, baseline), (n, m) = counts.totals(), counts.cells.arms
    rate = canary / n if n > 0 else None
    other = baseline / m if m > 0 else None
    interval = None
    if n > 0 and m > 0:
        interval = interval_of(counts.wealth(1.0)[0], counts.price(1.0), alpha=_ALPHA)
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


def _latency(counts: Latency, policy: Policy, *, bounded: bool) -> _Values:
    arms = counts.histograms()
    n, m = (float(arm.sum()) for arm in arms)
    p99, other = (quantile(arm, policy.bounds_ms, 0.99) for arm in arms)
    if p99 is None:
        return None, other, (0, round(m)), None, None, "no canary latencies yet"
    words = f"canary p99 {_ms(p99)} of {n:,.0f} requests"
    if other is None:
        return p99, None, (round(n), 0), None, None, words + ", no baseline"
    words += f", baseline {_ms(other)} of {m:,.0f}"
    interval = _slow_down(counts) if bounded else None
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


def _slow_down(counts: Latency) -> tuple[float, float] | None:
    """Anytime-valid interval of the ratio of latencies, by inverting the rank test; None while unbounded.

    As in the two tests, its lower end leaves out what pods alone may differ by, and its upper end does not.
    """
    phi, spread = counts.ranks_noise()
    shift = t_quantile(1.0 - _ALPHA / 2.0, float(spread.dof[0])) * math.sqrt(float(spread.variance[0]))
    goal = math.log(2.0 / _ALPHA)

    def refuted(factors: Array, sign: float, beyond: float) -> NDArray[np.bool_]:
        bets = GRID[(sign * GRID >= _SHOWN_BETS[0]) & (sign * GRID <= _SHOWN_BETS[1])][::2]
        like = counts.against(np.exp(factors), np.append(bets + beyond, beyond))
        wealth = (like[:, :-1] - like[:, -1:]) / phi
        return np.asarray(log_mean(wealth, np.full(bets.size, -math.log(bets.size))) >= goal)

    low = rejected_up_to(lambda x: refuted(x, 1.0, shift), -_WIDEST, _WIDEST, rounds=2, points=24)
    high = -rejected_up_to(lambda x: refuted(-x, -1.0, 0.0), -_WIDEST, _WIDEST, rounds=2, points=24)
    if low <= -_WIDEST and high >= _WIDEST:
        return None
    return math.exp(low), math.exp(high)


def _exp(value: float) -> float:
    return float(np.exp(min(value, _LARGEST_LOG)))
