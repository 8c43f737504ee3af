"""Guards against what nobody needs statistics for: no warm-up, wide margins."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges.errors import BadCounts
from analysis.judges.wealth import QUIET
from analysis.stats.bets import GRID, LOG_STAKES_WORSE
from analysis.stats.counting import log_mean, priced
from analysis.stats.histograms import quantile

if TYPE_CHECKING:
    from analysis.judges.latency import Latency

__all__ = ["gross_errors", "gross_latency"]

_RATIO: Final = 4.0
_ERRORS: Final = 0.05
_SLOW: Final = 0.5
_FAR_BEYOND_MEDIAN: Final = 8.0


def gross_errors(failed: BadCounts, alone: float | None, *, exact: bool) -> float:
    """Log wealth against "4 × the baseline's errors and 5 points more".

    Args:
        failed: Failed attempts without warm-up.
        alone: Since when there is no baseline; from then on its share of failures before takes its place.
        exact: False if an upper bound will do where that is quiet.
    """
    if not exact and alone is None and (most := failed.at_most(_RATIO, _ERRORS)) < QUIET:
        return most
    cells = failed.cells
    wealth = failed.wealth(_RATIO, _ERRORS)[0]
    if alone is not None:
        attempts = cells.arms[1]
        before = failed.totals()[1] / attempts if attempts > 0 else 0.0
        limit = min(_RATIO * before + _ERRORS, 1.0)
        late = cells.table.start >= alone
        canary = failed.bad[late][:, cells.canary].sum(axis=1)
        canary_n = cells.attempts[late][:, cells.canary].sum(axis=1)
        none = np.zeros_like(canary)
        free, price = priced(canary, none, canary_n, none, GRID, ratio=0.0)
        wealth = wealth + (free - limit * price).sum(axis=0) / failed.dispersion
    return float(log_mean(wealth, LOG_STAKES_WORSE))


def gross_latency(latency: Latency, *, exact: bool) -> float:
    """Log wealth against "half of the attempts beyond a bound far out in the baseline's tail, and 4 × its own share".

    Args:
        latency: All latencies, without warm-up.
        exact: False if an upper bound will do where that is quiet.
    """
    cells, bounds = latency.cells, latency.bounds
    counts = cells.table.latency.sum(axis=0)[~cells.canary].sum(axis=0)
    median, tail = quantile(counts, bounds, 0.5), quantile(counts, bounds, 0.99)
    if median is None or tail is None:
        return 0.0
    boundary = bisect_left(bounds, max(tail, median * _FAR_BEYOND_MEDIAN))
    if boundary >= len(bounds):
        return 0.0
    slow = cells.table.latency @ (np.arange(counts.size) > boundary).astype(np.float64)
    guard = BadCounts(cells, slow, np.arange(cells.canary.size))
    if not exact and (most := guard.at_most(_RATIO, _SLOW)) < QUIET:
        return most
    return guard.simple(_RATIO, _SLOW)
