"""The bets: a grid of log ratios of rates, and how much is staked on each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from analysis.stats.counting import Array

__all__ = [
    "BETTER",
    "GRID",
    "LOG_STAKES_BETTER",
    "LOG_STAKES_SLOWER",
    "LOG_STAKES_WORSE",
    "log_least_mean",
    "log_random_effects",
    "t_quantile",
]

_SMALLEST: Final = 0.02
_LARGEST: Final = 8.0
_STEPS: Final = 25
_FINEST: Final = 0.01
_SMALLEST_FLOAT: Final = float(np.finfo(np.float64).tiny)
_WORTH_A_BET: Final = (0.25, 4.0)
_WORTH_A_PROMOTION: Final = (0.15, 8.0)
_WORTH_A_TILT: Final = (0.25, 8.0)


def _grid() -> Array:
    side = np.geomspace(_SMALLEST, _LARGEST, _STEPS)
    return np.concatenate([-side[::-1], [0.0], side])


GRID: Final[Array] = _grid()
"""Log ratios of rates, canary to baseline, symmetric around 0 and evenly spaced in log."""

_EDGES: Final[Array] = np.concatenate([[GRID[0]], (GRID[1:] + GRID[:-1]) / 2, [GRID[-1]]])
_WIDTHS: Final[Array] = np.diff(_EDGES)
_LOG_WIDTHS: Final[Array] = np.log(_WIDTHS)
_MIDDLE: Final = _STEPS  # of the grid: no difference
_REACH: Final[Array] = np.cumsum(_WIDTHS[_MIDDLE:] + np.append(0.0, _WIDTHS[_MIDDLE + 1 :]))


def _log_stakes(sign: float, sizes: tuple[float, float]) -> Array:
    chosen = (sign * GRID >= sizes[0]) & (sign * GRID <= sizes[1])
    return np.where(chosen, -np.log(chosen.sum()), -np.inf)


LOG_STAKES_WORSE: Final[Array] = _log_stakes(1.0, _WORTH_A_BET)
"""Log stakes on "the canary is worse", log-uniform in the log ratio (Robbins 1970: mixtures over the alternative)."""

LOG_STAKES_SLOWER: Final[Array] = _log_stakes(1.0, _WORTH_A_TILT)
"""Log stakes on tilts of a Wilcoxon score, which lies within ±1/2: larger ones than for log ratios."""

LOG_STAKES_BETTER: Final[Array] = _log_stakes(-1.0, _WORTH_A_PROMOTION)
"""Log stakes on "the canary is better than the margin", for promotion."""

BETTER: Final = np.isfinite(LOG_STAKES_BETTER)
"""Which bets of the grid those are."""


def log_random_effects(scale: Array, dof: Array) -> Array:
    """Log weights on the grid of a t-distributed log ratio: the null in which pods differ.

    Dividing the bets' mean likelihood by the mean likelihood under these weights gives an e-value for "the log ratio is a
    draw from them" (a Bayes factor between two proper mixtures is a martingale under the second).

    Args:
        scale: Standard deviation of the log ratio from pods alone, τ, of any shape; 0 gives (nearly) all the weight to
            no difference.
        dof: How well the scale is known, of the same shape; heavy tails where it is hardly known.

    Returns:
        Log weights that sum to 1, shape of ``scale`` × grid.
    """
    wide = np.maximum(np.asarray(scale, dtype=np.float64), _FINEST)[..., None]
    free = np.asarray(dof, dtype=np.float64)[..., None]
    density = _LOG_WIDTHS - (free + 1.0) / 2.0 * np.log1p((GRID / wide) ** 2 / free)
    return np.asarray(density - np.log(np.exp(density).sum(axis=-1, keepdims=True)))


def log_least_mean(log_values: Array) -> Array:
    """A lower bound of the log mean under every null of ``log_random_effects``, whatever its scale and freedom.

    Weights that are symmetric and fall off from the middle are a mixture of uniform ones around it, of all widths (Khinchin
    1938): the least mean under one of these bounds them all.

    Args:
        log_values: Logs of what is averaged, … × grid.
    """
    top = log_values.max(axis=-1, keepdims=True)
    mass = np.exp(log_values - top) * _WIDTHS
    around = mass[..., _MIDDLE:].copy()
    around[..., 1:] += mass[..., _MIDDLE - 1 :: -1]
    least = (around.cumsum(axis=-1) / _REACH).min(axis=-1)
    return np.asarray(top[..., 0] + np.log(np.maximum(least, _SMALLEST_FLOAT)))


def t_quantile(share: float, dof: float) -> float:
    """The value that a t-distributed one stays below with probability ``share``."""
    return float(special.stdtrit(dof, share))
