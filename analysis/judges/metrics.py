"""Each metric's evidence at one look, before it is put into words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges.series import Series, errors_series, exceedance_series, rank_series
from analysis.judges.wealth import Restart, promotion, restarts, rollback, simple
from analysis.stats.bets import LOG_STAKES_WORSE
from analysis.stats.counting import Array, log_mean
from analysis.stats.histograms import nearest_boundary, quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.judges.table import Table
    from analysis.model.policy import ErrorPolicy, LatencyPolicy

__all__ = [
    "Promotion",
    "errors_promotion",
    "errors_rollback",
    "gross_errors",
    "gross_latency",
    "latency_promotion",
    "latency_rollback",
    "latency_tests",
    "slo",
]

_GROSS_RATIO: Final = 4.0
_GROSS_ERRORS: Final = 0.05
_GROSS_SLOW: Final = 0.5
_FAR_BEYOND_MEDIAN: Final = 8.0
_TAILS: Final = (0.05, 0.01, 0.002)
_LATENCY_STAKES: Final = np.log([0.4, 0.2, 0.2, 0.2])


@dataclass(frozen=True, slots=True)
class Promotion:
    """Log wealth for promotion.

    Attributes:
        release: Since the release began.
        step: Since the present step began.
    """

    release: float = 0.0
    step: float = 0.0


def _begun(table: Table, series: Series, steps: Sequence[float]) -> tuple[Restart, ...]:
    return restarts(table.start, series.canary_n, steps)


def errors_rollback(table: Table, policy: ErrorPolicy, steps: Sequence[float]) -> float:
    """Log wealth against "as good as the baseline" on failed attempts."""
    series = errors_series(table, policy.noise_ratio)
    return rollback(series, _begun(table, series, steps), absolute=policy.noise_absolute)


def errors_promotion(table: Table, policy: ErrorPolicy, step_row: int) -> Promotion:
    """Log wealth against "worse by the margin" on failed attempts."""
    series = errors_series(table, policy.ratio)
    return Promotion(*(promotion(series, row, absolute=policy.absolute) for row in (0, step_row)))


def slo(table: Table, limit: float) -> float:
    """Log wealth against "at most this share of attempts fails", whatever the baseline does."""
    return simple(errors_series(table, 0.0), absolute=limit)


def gross_errors(table: Table, alone: float | None) -> float:
    """Log wealth against "4 × the baseline's errors and 5 points more".

    Args:
        table: Counts without warm-up.
        alone: Since when there is no baseline; from then on its share of failures before takes its place.
    """
    wealth = errors_series(table, _GROSS_RATIO).log_evalues(absolute=_GROSS_ERRORS).sum(axis=0)
    if alone is not None:
        attempts = float(table.attempts[:, ~table.canary].sum())
        before = float(table.errors[:, ~table.canary].sum()) / attempts if attempts > 0 else 0.0
        limit = min(_GROSS_RATIO * before + _GROSS_ERRORS, 1.0)
        wealth = wealth + errors_series(table.since(alone), 0.0).log_evalues(absolute=limit).sum(axis=0)
    return log_mean(wealth, LOG_STAKES_WORSE)


def gross_latency(table: Table, bounds: Sequence[float]) -> float:
    """Log wealth against "half of the attempts beyond a bound far out in the baseline's tail, and 4 × its own share"."""
    counts = _baseline_histogram(table)
    median, tail = quantile(counts, bounds, 0.5), quantile(counts, bounds, 0.99)
    if median is None or tail is None:
        return 0.0
    boundary = int(np.searchsorted(np.asarray(bounds), max(tail, median * _FAR_BEYOND_MEDIAN)))
    if boundary >= len(bounds):
        return 0.0
    series = exceedance_series(table, bounds, boundary, 1.0)
    return simple(replace(series, ratio=np.array([_GROSS_RATIO])), absolute=_GROSS_SLOW)


def latency_rollback(table: Table, bounds: Sequence[float], policy: LatencyPolicy, steps: Sequence[float]) -> float:
    """Log wealth against "as fast as the baseline": ranks, and requests beyond the baseline's far percentiles."""
    logs = [
        rollback(series, _begun(table, series, steps)) for series in latency_tests(table, bounds, policy.noise_ratio)
    ]
    return log_mean(np.array(logs), _LATENCY_STAKES)


def latency_promotion(table: Table, bounds: Sequence[float], policy: LatencyPolicy, step_row: int) -> Promotion:
    """Log wealth against "slower by the margin": the body and the tail up to p99 must both be shown to be fine."""
    if _baseline_histogram(table).sum() <= 0:
        return Promotion()
    *needed, _ = latency_tests(table, bounds, policy.ratio)
    return Promotion(*(min(promotion(series, row) for series in needed) for row in (0, step_row)))


def latency_tests(table: Table, bounds: Sequence[float], factor: float) -> list[Series]:
    """Ranks, then requests beyond the baseline's 95th, 99th and 99.8th percentiles; ``factor`` times slower is fine."""
    counts = _baseline_histogram(table)
    tails = [exceedance_series(table, bounds, nearest_boundary(counts, share), factor) for share in _TAILS]
    return [rank_series(table, bounds, factor), *tails]


def _baseline_histogram(table: Table) -> Array:
    return np.asarray(table.latency[:, ~table.canary].sum(axis=(0, 1)))
