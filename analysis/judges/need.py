"""How much longer: what one more canary attempt adds to the promotion wealth if the canary is as good as the baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.judges.metrics import latency_tests
from analysis.judges.series import Series, errors_series
from analysis.stats.bets import GRID
from analysis.stats.counting import Array, log_evalues

if TYPE_CHECKING:
    from analysis.judges.table import Table
    from analysis.model.policy import Policy

__all__ = ["estimate"]


def estimate(metric: str, table: Table, policy: Policy) -> float | None:
    """Log wealth that one more canary attempt adds on average, at the present shares of traffic.

    Args:
        metric: ``errors`` or ``latency``.
        table: What was measured so far.
        policy: Margins.

    Returns:
        The gain with the best bet; None where it is not positive or nothing is known.
    """
    if metric == "errors" and policy.errors is not None:
        return _gain(errors_series(table, policy.errors.ratio), policy.errors.absolute)
    if metric == "latency" and policy.latency is not None and table.latency[:, ~table.canary].sum() > 0:
        *needed, _ = latency_tests(table, policy.bounds_ms, policy.latency.ratio)
        gains = [_gain(series, 0.0) for series in needed]
        return None if None in gains else min(gain for gain in gains if gain is not None)
    return None


def _gain(series: Series, absolute: float) -> float | None:
    canary_n, baseline_n = float(series.canary_n.sum()), float(series.baseline_n.sum())
    if canary_n <= 0 or baseline_n <= 0:
        return None
    pooled: Array = (series.baseline.sum(axis=0) + series.canary.sum(axis=0)) / (canary_n + baseline_n)
    one, others = np.ones(1), np.array([baseline_n / canary_n])
    cell = log_evalues(
        pooled[None, :],
        pooled[None, :] * others[0],
        one,
        others,
        series.tilts(GRID[GRID < 0]),
        ratio=series.ratio,
        absolute=absolute,
    )
    best = float(cell.max()) / series.dispersion
    return best if best > 1e-12 else None  # noqa: PLR2004 - nothing but rounding
