"""Textbook tests for one planned look: what rivals use. Looked at repeatedly their error rates do not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from analysis.stats.counting import Array

__all__ = [
    "clopper_pearson",
    "fisher_greater",
    "log_mixture_sprt",
    "mann_whitney_interval",
    "rank_sum_z",
    "z_quantile",
]


def z_quantile(share: float) -> float:
    """The standard normal quantile."""
    return float(special.ndtri(share))


def fisher_greater(canary: float, canary_n: float, baseline: float, baseline_n: float) -> float:
    """One-sided p-value of Fisher's exact test (Fisher 1935): at least so many of the bad ones in the canary by chance.

    Args:
        canary: Bad canary requests.
        canary_n: Canary requests.
        baseline: Bad baseline requests.
        baseline_n: Baseline requests.
    """
    bad, most = canary + baseline, min(canary + baseline, canary_n)
    k = np.arange(canary, most + 1.0)
    logs = _log_choose(canary_n, k) + _log_choose(baseline_n, bad - k) - _log_choose(canary_n + baseline_n, bad)
    return float(min(np.exp(logs).sum(), 1.0))


def _log_choose(n: Array | float, k: Array | float) -> Array:
    return np.asarray(special.gammaln(n + 1.0) - special.gammaln(k + 1.0) - special.gammaln(n - k + 1.0))


def mann_whitney_interval(one: Array, other: Array, confidence: float) -> tuple[float, float, float]:
    """Hodges-Lehmann estimate of the shift of ``one`` against ``other`` with its Mann-Whitney confidence interval.

    The shifts that the rank sum test (normal approximation, continuity correction, variance for ties) does not refuse, as
    R's ``wilcox.test(conf.int = TRUE, exact = FALSE)`` finds them; found here by counting pairwise differences instead of
    searching for a root (Hodges and Lehmann 1963; Bauer 1972).

    Args:
        one: A sample; it must not be empty.
        other: Another one.
        confidence: Of the two-sided interval (0.98).

    Returns:
        Lower end, estimate, upper end.
    """
    differences = np.sort((one[:, None] - other[None, :]).ravel())
    m, n, pairs = one.size, other.size, differences.size
    # At a shift that is no difference between the samples, only values within a sample tie.
    counts = np.concatenate([np.unique(sample, return_counts=True)[1] for sample in (one, other)]).astype(np.float64)
    ties = float((counts**3 - counts).sum()) / max((m + n) * (m + n - 1), 1)
    spread = float(np.sqrt(max(pairs / 12.0 * (m + n + 1 - ties), 0.0)))
    reach = z_quantile(0.5 + confidence / 2.0) * spread
    below = min(max(int(np.floor(pairs / 2.0 - 0.5 - reach)), 0), (pairs - 1) // 2)
    return float(differences[below]), float(np.median(differences)), float(differences[pairs - 1 - below])


def clopper_pearson(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of a probability (Clopper and Pearson 1934).

    Args:
        hits: How often it happened.
        trials: Out of how many.
        confidence: Of the interval; each side misses with half the rest.
    """
    side = (1.0 - confidence) / 2.0
    low = float(special.betaincinv(hits, trials - hits + 1.0, side)) if hits > 0 else 0.0
    high = float(special.betaincinv(hits + 1.0, trials - hits, 1.0 - side)) if hits < trials else 1.0
    return low, high


def rank_sum_z(canary: Array, baseline: Array) -> float:
    """Normal score of the Wilcoxon rank sum of two histograms over the same buckets, with the variance for ties."""
    n, m = float(canary.sum()), float(baseline.sum())
    total = n + m
    if n <= 0 or m <= 0:
        return 0.0
    pooled = canary + baseline
    midranks = np.cumsum(pooled) - pooled / 2.0 + 0.5
    ties = float((pooled**3 - pooled).sum()) / (total * max(total - 1.0, 1.0))
    variance = n * m / 12.0 * (total + 1.0 - ties)
    return float(((canary @ midranks) - n * (total + 1.0) / 2.0) / np.sqrt(variance)) if variance > 0 else 0.0


def log_mixture_sprt(estimate: float, variance: float, scale: float) -> float:
    """Log likelihood ratio of a normal mixture against no difference (Robbins 1970; Johari and others 2017).

    Args:
        estimate: Estimated difference.
        variance: Its variance.
        scale: Standard deviation of the mixture over differences.
    """
    if variance <= 0:
        return 0.0
    whole = variance + scale * scale
    return float(0.5 * np.log(variance / whole) + estimate**2 * scale * scale / (2.0 * variance * whole))
