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
from analysis.stats.intervals import at_least, at_most, rejected_up_to

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analysis.judges.errors import BadCounts
    from analysis.model.policy import ErrorPolicy, Policy

__all__ = ["describe"]

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
    # The interval's ends are where the two tests stand: below the margin it promotes, above what is noise it rolls back.
    alphas = (math.exp(-rollback[1]), policy.promotion_alpha)
    if isinstance(counts, Latency):
        values = _latency(counts, policy, alphas, bounded=metric == "latency")
    else:
        values = _errors(metric, counts, policy.errors, alphas)
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


_Alphas = tuple[float, float]
"""Probability that the interval's lower end is ever too high, and that its upper end is ever too low."""
_Values = tuple[float | None, float | None, tuple[int, int], float | None, tuple[float, float] | None, str]


def _errors(metric: str, counts: BadCounts, policy: ErrorPolicy | None, alphas: _Alphas) -> _Values:
    (canary, baseline), (n, m) = counts.totals(), counts.cells.arms
    rate = canary / n if n > 0 else None
    other = baseline / m if m > 0 else None
    gap = interval = None
    if rate is not None and other is not None:
        gap = rate - other
        interval = _between(counts, gap, other, policy.ratio if policy and metric == "errors" else 1.0, alphas)
    words = _share_words(rate, n, other, m)
    if policy is not None and policy.slo is not None and metric == "slo":
        words += f"; the limit is {policy.slo:.2%}".replace("%", " %")
    elif interval is not None:
        words += _points(interval, alphas)
    return rate, other, (round(n), round(m)), gap, interval, words


def _between(counts: BadCounts, gap: float, other: float, ratio: float, alphas: _Alphas) -> tuple[float, float]:
    """Anytime-valid interval of the difference of the rates.

    Promotion asks what the canary's rate is beyond a ratio of the baseline's. The upper end answers that, and the rest of
    the ratio is added at the rate that the baseline has: so it is below the margin when promotion's evidence is enough.
    """
    low = at_least(counts.wealth(1.0)[0], counts.price(1.0), alphas[0])
    high = at_most(counts.wealth(ratio)[0], counts.price(ratio), alphas[1]) + (ratio - 1.0) * other
    return low, min(max(high, gap, low), 1.0)


def _share_words(rate: float | None, n: float, other: float | None, m: float) -> str:
    if rate is None:
        return "no canary requests yet"
    words = f"canary {_percent(rate)} errors of {n:,.0f} requests"
    return words + (f", baseline {_percent(other)} of {m:,.0f}" if other is not None else ", no baseline")


def _points(interval: tuple[float, float], alphas: _Alphas) -> str:
    low, high = (100.0 * end for end in interval)
    if low > 0:
        return f"; worse by ≥ {low:.2g} points, {_sure(alphas[0])}"
    if high < 0:
        return f"; better by ≥ {-high:.2g} points, {_sure(alphas[1])}"
    return f"; worse by at most {high:.2g} points, {_sure(alphas[1])}"


def _sure(alpha: float) -> str:
    return f"{100.0 * (1.0 - alpha):.3g} % confidence at any time"


def _percent(share: float) -> str:
    percent = 100.0 * share
    return f"{percent:.1f} %" if percent >= 1 or percent == 0 else f"{percent:.2g} %"


def _latency(counts: Latency, policy: Policy, alphas: _Alphas, *, bounded: bool) -> _Values:
    arms = counts.histograms()
    n, m = (float(arm.sum()) for arm in arms)
    p99, other = (quantile(arm, policy.bounds_ms, 0.99) for arm in arms)
    if p99 is None:
        return None, other, (0, round(m)), None, None, "no canary latencies yet"
    words = f"canary p99 {_ms(p99)} of {n:,.0f} requests"
    if other is None:
        return p99, None, (round(n), 0), None, None, words + ", no baseline"
    words += f", baseline {_ms(other)} of {m:,.0f}"
    interval = _slow_down(counts, alphas) if bounded else None
    if interval is not None:
        words += _slower(interval, alphas)
    return p99, other, (round(n), round(m)), p99 / other, interval, words


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2g} ms"  # noqa: PLR2004


def _slower(interval: tuple[float, float], alphas: _Alphas) -> str:
    low, high = interval
    if low > 1:
        return f"; slower by ≥ {100 * (low - 1):.0f} %, {_sure(alphas[0])}"
    if high < 1:
        return f"; faster by ≥ {100 * (1 - high):.0f} %, {_sure(alphas[1])}"
    if high >= math.exp(_WIDEST) * _SLOWER_THAN_NOW:
        return ""
    return f"; slower by at most {100 * max(high - 1, 0):.0f} %, {_sure(alphas[1])}"


def _slow_down(counts: Latency, alphas: _Alphas) -> tuple[float, float] | None:
    """Anytime-valid interval of the ratio of latencies, by inverting the rank test; None while unbounded.

    As in the two tests, its lower end leaves out what pods alone may differ by, and its upper end does not.
    """
    phi, spread = counts.ranks_noise()
    shift = t_quantile(1.0 - alphas[0], float(spread.dof[0])) * math.sqrt(float(spread.variance[0]))

    def refuted(factors: Array, sign: float, beyond: float, alpha: float) -> NDArray[np.bool_]:
        bets = GRID[(sign * GRID >= _SHOWN_BETS[0]) & (sign * GRID <= _SHOWN_BETS[1])][::2]
        like = counts.against(np.exp(factors), np.append(bets + beyond, beyond))
        wealth = (like[:, :-1] - like[:, -1:]) / phi
        return np.asarray(log_mean(wealth, np.full(bets.size, -math.log(bets.size))) >= -math.log(alpha))

    low = rejected_up_to(lambda x: refuted(x, 1.0, shift, alphas[0]), -_WIDEST, _WIDEST, rounds=2, points=24)
    high = -rejected_up_to(lambda x: refuted(-x, -1.0, 0.0, alphas[1]), -_WIDEST, _WIDEST, rounds=2, points=24)
    if low <= -_WIDEST and high >= _WIDEST:
        return None
    return math.exp(low), math.exp(high)


def _exp(value: float) -> float:
    return float(np.exp(min(value, _LARGEST_LOG)))
