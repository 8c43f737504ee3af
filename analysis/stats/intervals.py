"""Confidence sequences: intervals that hold at every look at once, by inverting the counting e-process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.stats.bets import GRID, LOG_STAKES_BETTER, LOG_STAKES_WORSE
from analysis.stats.counting import Array, log_mean, priced

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["at_least", "at_most", "difference_interval", "rejected_up_to"]


def difference_interval(
    canary: Array, baseline: Array, canary_n: Array, baseline_n: Array, *, alpha: float = 0.01, dispersion: float = 1.0
) -> tuple[float, float] | None:
    """Anytime-valid interval of the difference of bad shares, canary less baseline.

    The bounds are the margins that the e-processes against "at most this much more" and "at least this much more"
    just fail to refute at ``alpha / 2`` each.

    Args:
        canary: Bad canary requests by stratum.
        baseline: Bad baseline requests by stratum.
        canary_n: Canary attempts by stratum.
        baseline_n: Baseline attempts by stratum.
        alpha: Probability that the interval ever misses the true difference.
        dispersion: Factor by which counts vary more than independent ones.

    Returns:
        Lower and upper bound within [-1, 1]; None without attempts on both sides.
    """
    if canary_n.sum() <= 0 or baseline_n.sum() <= 0:
        return None
    both = (canary_n > 0) & (baseline_n > 0)
    canary, baseline, canary_n, baseline_n = canary[both], baseline[both], canary_n[both], baseline_n[both]
    free, price = priced(canary, baseline, canary_n, baseline_n, GRID)
    sums = free.sum(axis=0) / dispersion, price.sum(axis=0) / dispersion
    return at_least(*sums, alpha / 2.0), at_most(*sums, alpha / 2.0)


def at_least(free: Array, price: Array, alpha: float) -> float:
    """Anytime-valid lower bound of a difference of shares, from sums over the strata.

    Args:
        free: Log wealth of each bet of the grid without an absolute margin, against a ratio r of the shares (``priced``).
        price: What an absolute margin of 1 takes from each.
        alpha: Probability that the bound is ever above canary's share less r times the baseline's.
    """
    goal, up = -float(np.log(alpha)), np.isfinite(LOG_STAKES_WORSE)

    def refuted(margin: Array) -> NDArray[np.bool_]:
        return np.asarray(log_mean(free[up] - price[up] * margin[:, None], LOG_STAKES_WORSE[up]) >= goal)

    return rejected_up_to(refuted, -1.0, 1.0)


def at_most(free: Array, price: Array, alpha: float) -> float:
    """Anytime-valid upper bound; see ``at_least``. It is below a margin exactly when promotion's evidence is 1 / alpha."""
    goal, down = -float(np.log(alpha)), np.isfinite(LOG_STAKES_BETTER)

    def refuted(margin: Array) -> NDArray[np.bool_]:
        return np.asarray(log_mean(free[down] + price[down] * margin[:, None], LOG_STAKES_BETTER[down]) >= goal)

    return -rejected_up_to(refuted, -1.0, 1.0)


def rejected_up_to(
    rejected: Callable[[Array], NDArray[np.bool_]], low: float, high: float, *, rounds: int = 4, points: int = 16
) -> float:
    """The largest margin between ``low`` and ``high`` that is refuted, by narrowing; ``low`` when none is.

    Args:
        rejected: Which of some ascending margins are refuted; true below some point and false above it.
        low: Smallest margin.
        high: Largest margin.
        rounds: How often the span is narrowed.
        points: By which factor each time.
    """
    for _ in range(rounds):
        margins = np.linspace(low, high, points + 1)
        last = int(rejected(margins).sum()) - 1
        if last < 0:
            return low
        if last == points:
            return high
        low, high = float(margins[last]), float(margins[last + 1])
    return low
