"""Textbook tests for one planned look: what rivals use. Looked at repeatedly their error rates do not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from analysis.stats.counting import Array

__all__ = ["fisher_greater", "log_mixture_sprt", "mann_whitney_interval", "rank_sum_z", "z_quantile"]


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

    Normal approximation with the variance for ties left out, as R's ``wilcox.test(conf.int = TRUE)`` ranks the pairwise
    differences (Hodges and Lehmann 1963; Bauer 1972).

    Returns:
        Lower end, estimate, upper end.
    """
    differences = np.sort((one[:, None] - other[None, :]).ravel())
    m, n = one.size, other.size
    spread = float(np.sqrt(m * n * (m + n + 1) / 12.0))
    cut = int(np.clip(np.floor(m * n / 2.0 - z_quantile(0.5 + confidence / 2.0) * spread), 0, differences.size - 1))
    return float(differences[cut]), float(np.median(differences)), float(differences[differences.size - 1 - cut])


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
