"""Value metrics to evidence: the mean against the baseline's or a limit, or bare thresholds where people ask for them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.model.values import Direction, ValueTest
from analysis.model.verdict import Evidence
from analysis.stats.means import correlation_time, log_wealth, scaled, squashed

if TYPE_CHECKING:
    from analysis.model.values import ValuePolicy, ValueSeries
    from analysis.stats.counting import Array

__all__ = ["ValueVerdict", "judge_value"]

_LARGEST_LOG: Final = 700.0
_SURE: Final = 1e6


@dataclass(frozen=True, slots=True)
class ValueVerdict:
    """What one value metric says at one look.

    Attributes:
        rollback: Log wealth against "within the margin".
        promotion: Log wealth against "worse by the margin or more".
        evidence: The same in numbers and words.
    """

    rollback: float
    promotion: float
    evidence: Evidence


def judge_value(series: ValueSeries, *, alpha: float, promotion_alpha: float) -> ValueVerdict:
    """Judge one metric's series.

    Args:
        series: What was measured.
        alpha: The metric's own share of the probability of a false rollback.
        promotion_alpha: Probability of promoting a canary that is worse by the margin.

    Returns:
        Both log wealths with their evidence. Without measurements both are 0.
    """
    samples = [s for s in series.samples if math.isfinite(s.canary) and math.isfinite(s.baseline or 0.0)]
    canary = np.array([s.canary for s in samples], dtype=np.float64)
    if series.policy.test is ValueTest.THRESHOLD:
        return _threshold(series, canary, alpha, promotion_alpha)
    if series.policy.test is ValueTest.COMPARISON:
        paired = [s for s in samples if s.baseline is not None]
        canary = np.array([s.canary for s in paired], dtype=np.float64)
        baseline = np.array([s.baseline for s in paired], dtype=np.float64)
        sides = _beyond_baseline(series.policy, canary, baseline)
    else:
        baseline = np.zeros(0)
        sides = _beyond_limits(series.policy, canary)
    try:
        logs = [_both_ways(excess, reach) for excess, reach in sides]
    except ValueError as error:  # values outside of what they are said to be: never evidence
        series = replace(series, problem="; ".join(filter(None, (str(error), series.problem))))
        logs = []
    halves = math.log(len(logs)) if logs else 0.0
    rollback = max((up for up, _ in logs), default=0.0) - halves
    promotion = min((down for _, down in logs), default=0.0)
    shown = _evidence(series, canary, baseline, (rollback, -math.log(alpha)), (promotion, promotion_alpha))
    return ValueVerdict(rollback, promotion, shown)


_Sides = list[tuple["Array", "tuple[float, float] | None"]]


def _beyond_baseline(policy: ValuePolicy, canary: Array, baseline: Array) -> _Sides:
    """How far each value is beyond the margin, for each bad direction, and what it can be at most."""
    found: _Sides = []
    if policy.direction is not Direction.DECREASE:
        found.append((canary - baseline * policy.max_ratio - policy.max_change, _reach(policy, policy.max_ratio)))
    if policy.direction is not Direction.INCREASE:
        found.append((baseline - canary * policy.max_ratio - policy.max_change, _reach(policy, policy.max_ratio)))
    return found


def _reach(policy: ValuePolicy, ratio: float) -> tuple[float, float] | None:
    if policy.bounds is None:
        return None
    low, high = policy.bounds
    ends = [a - b * ratio - policy.max_change for a in (low, high) for b in (low, high)]
    return min(ends), max(ends)


def _beyond_limits(policy: ValuePolicy, canary: Array) -> _Sides:
    found: _Sides = []
    if policy.upper is not None:
        upper, bounds = policy.upper, policy.bounds
        found.append((canary - upper, None if bounds is None else (bounds[0] - upper, bounds[1] - upper)))
    if policy.lower is not None:
        lower, bounds = policy.lower, policy.bounds
        found.append((lower - canary, None if bounds is None else (lower - bounds[1], lower - bounds[0])))
    return found


def _both_ways(excess: Array, reach: tuple[float, float] | None) -> tuple[float, float]:
    """Log wealth of "beyond the margin" and of "within it"."""
    x = squashed(excess) if reach is None else scaled(excess, reach)
    span = correlation_time(x)
    return log_wealth(x) / span, log_wealth(-x) / span


def _threshold(series: ValueSeries, canary: Array, alpha: float, promotion_alpha: float) -> ValueVerdict:
    policy = series.policy
    high = np.inf if policy.upper is None else policy.upper
    low = -np.inf if policy.lower is None else policy.lower
    failed = int(((canary > high) | (canary < low)).sum())
    sure = math.log(_SURE)
    rollback = sure if failed > policy.failure_limit else 0.0
    passed = canary.size > 0 and failed <= policy.failure_limit and bool(low <= canary[-1] <= high)
    promotion = sure if passed else 0.0
    words = f"{failed} of {canary.size} measurements beyond {_limits(policy)}, {policy.failure_limit} tolerated"
    evidence = _evidence(
        series, canary, np.zeros(0), (rollback, -math.log(alpha)), (promotion, promotion_alpha), words=words
    )
    return ValueVerdict(rollback, promotion, evidence)


def _evidence(
    series: ValueSeries,
    canary: Array,
    baseline: Array,
    rollback: tuple[float, float],
    promotion: tuple[float, float],
    *,
    words: str = "",
) -> Evidence:
    mean = float(canary.mean()) if canary.size else None
    other = float(baseline.mean()) if baseline.size else None
    return Evidence(
        metric=series.policy.name,
        canary=mean,
        baseline=other,
        canary_count=canary.size,
        baseline_count=baseline.size,
        difference=None if mean is None or other is None else mean - other,
        interval=None,
        rollback_e=math.exp(min(rollback[0], _LARGEST_LOG)),
        rollback_at=math.exp(min(rollback[1], _LARGEST_LOG)),
        promote_e=math.exp(min(promotion[0], _LARGEST_LOG)),
        promote_at=1.0 / promotion[1],
        words=_words(series, mean, other, canary.size, words),
    )


def _words(series: ValueSeries, mean: float | None, other: float | None, count: int, words: str) -> str:
    policy = series.policy
    if mean is None:
        words = series.problem or "not measured yet"
    else:
        against = f", baseline {other:.4g}" if other is not None else ""
        against = against or (f", to be {_limits(policy)}" if policy.test is ValueTest.LIMIT else "")
        words = words or f"canary {mean:.4g} on average of {count} measurements{against}"
        words += f"; {series.problem}" if series.problem else ""
    return f"{words} (dry run)" if policy.dry_run else words


def _limits(policy: ValuePolicy) -> str:
    if policy.lower is None:
        return f"at most {policy.upper:g}" if policy.upper is not None else "no limit"
    return f"at least {policy.lower:g}" if policy.upper is None else f"{policy.lower:g} to {policy.upper:g}"
