"""The conditional counting e-process: which arm did the bad requests fall to?

Given ``k`` bad requests in a stratum, each falls to the canary with probability ``q`` if its rate is ``ratio`` × the
baseline's. Betting that the odds are ``r`` times higher (``r < 1``: lower) pays ``a = r / (1 - q + q r)`` on a canary's
bad request and ``b = 1 / (1 - q + q r)`` on a baseline's; ``(a - 1) n_c δ`` is the price of an absolute margin δ. The
expectation is at most 1 for every baseline rate, Bernoulli or Poisson, whatever it does over time: products over
strata are e-processes, and Ville's inequality makes them valid at every look.

Sources: Wald 1945 (sequential tests); Turner and Grünwald, safe two-sample tests (2022); Lindon and Malek, anytime-valid
inference for multinomial counts (2022); Waudby-Smith and Ramdas, betting (2023).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Array", "canary_share", "log_evalues", "log_mean", "priced"]

Array = NDArray[np.float64]


def canary_share(canary_n: ArrayLike, baseline_n: ArrayLike, ratio: ArrayLike = 1.0) -> Array:
    """The probability that a bad request falls to the canary when its rate is ``ratio`` × the baseline's.

    Args:
        canary_n: Canary attempts by stratum.
        baseline_n: Baseline attempts by stratum.
        ratio: Ratio of rates; 0 means that the baseline does not matter.

    Returns:
        The share in [0, 1]; 0 where there were no attempts at all.
    """
    canary = np.asarray(canary_n, dtype=np.float64) * np.asarray(ratio, dtype=np.float64)
    total = canary + np.asarray(baseline_n, dtype=np.float64)
    return np.divide(canary, total, out=np.zeros_like(total), where=total > 0)


def log_evalues(
    canary: Array,
    baseline: Array,
    canary_n: Array,
    baseline_n: Array,
    tilts: Array,
    *,
    ratio: ArrayLike = 1.0,
    absolute: float = 0.0,
) -> Array:
    """Log e-values of each stratum for each bet.

    Args:
        canary: Bad canary requests, strata × categories (categories: latency buckets; one for errors).
        baseline: Bad baseline requests, strata × categories.
        canary_n: Canary attempts by stratum.
        baseline_n: Baseline attempts by stratum.
        tilts: Log of the ratio of rates beyond the margin that each bet stands for, categories × bets.
        ratio: The margin: tolerated ratio of rates, one or one for each category.
        absolute: The margin: tolerated additional share of bad requests (one category only).

    Returns:
        Strata × bets. Sums over strata are the log wealth of each bet. A stratum without baseline attempts, and
        one without canary attempts, is no evidence for ``ratio > 0``: its entries are 0 up to the absolute margin.
    """
    if absolute:
        free, price = priced(canary[:, 0], baseline[:, 0], canary_n, baseline_n, tilts[0], ratio=ratio)
        return free - absolute * price
    share = canary_share(canary_n[:, None], baseline_n[:, None], ratio)
    share = np.broadcast_to(share, canary.shape)[:, :, None]
    log_norm = np.log1p(share * np.expm1(tilts)[None, :, :])
    bad = (canary + baseline)[:, :, None]
    return np.asarray(canary @ tilts - (bad * log_norm).sum(axis=1))


def priced(
    canary: Array, baseline: Array, canary_n: Array, baseline_n: Array, bets: Array, *, ratio: ArrayLike = 1.0
) -> tuple[Array, Array]:
    """Log e-values of one category for every absolute margin at once.

    Args:
        canary: Bad canary requests by stratum.
        baseline: Bad baseline requests by stratum.
        canary_n: Canary attempts by stratum.
        baseline_n: Baseline attempts by stratum.
        bets: Log of the ratio of rates beyond the margin that each bet stands for.
        ratio: The margin: tolerated ratio of rates.

    Returns:
        Log e-values without an absolute margin, and what a margin of 1 takes from them, each strata × bets.
    """
    inner = canary_share(canary_n, baseline_n, ratio)[:, None] * np.expm1(bets)
    free = np.multiply.outer(canary, bets) - (canary + baseline)[:, None] * np.log1p(inner)
    return free, (np.exp(bets) / (1.0 + inner) - 1.0) * canary_n[:, None]


def log_mean(log_values: Array, log_weights: Array) -> Array:
    """Log of a weighted mean of exponentials over the last axis, without overflow.

    Args:
        log_values: Logs of what is averaged.
        log_weights: Logs of the weights; -inf for none.

    Returns:
        ``log Σ w e^v``; -inf where every weight is nought.
    """
    total = log_values + log_weights
    top = total.max(axis=-1, keepdims=True, initial=-np.inf)
    rest = np.exp(total - np.where(np.isfinite(top), top, 0.0)).sum(axis=-1)
    return np.asarray(top[..., 0] + np.log(np.maximum(rest, 1.0)))  # at least 1, unless every weight is nought
