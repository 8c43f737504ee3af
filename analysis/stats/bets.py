"""The bets: a grid of log ratios of rates, and how much is staked on each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from analysis.stats.counting import Array

__all__ = ["GRID", "LOG_STAKES_BETTER", "LOG_STAKES_WORSE", "log_random_effects", "t_quantile"]

_SMALLEST: Final = 0.02
_LARGEST: Final = 8.0
_STEPS: Final = 25
_SAME: Final = 1e-9
_WORTH_A_BET: Final = 0.15


def _grid() -> Array:
    side = np.geomspace(_SMALLEST, _LARGEST, _STEPS)
    return np.concatenate([-side[::-1], [0.0], side])


GRID: Final[Array] = _grid()
"""Log ratios of rates, canary to baseline, symmetric around 0 and evenly spaced in log."""


def _log_stakes(*, worse: bool) -> Array:
    side = GRID > 0 if worse else GRID < 0
    chosen = side & (np.abs(GRID) >= _WORTH_A_BET)
    return np.where(chosen, -np.log(chosen.sum()), -np.inf)


LOG_STAKES_WORSE: Final[Array] = _log_stakes(worse=True)
"""Log stakes on "the canary is worse", log-uniform in the log ratio (Robbins 1970: mixtures over the alternative)."""

LOG_STAKES_BETTER: Final[Array] = _log_stakes(worse=False)
"""Log stakes on "the canary is better than the margin", for promotion."""


def log_random_effects(scale: float, dof: float) -> Array:
    """Log weights on the grid of a t-distributed log ratio: the null in which pods differ.

    Dividing the bets' mean likelihood by the mean likelihood under these weights gives an e-value for "the log ratio is a
    draw from them" (a Bayes factor between two proper mixtures is a martingale under the second).

    Args:
        scale: Standard deviation of the log ratio from pods alone, τ; 0 gives all the weight to no difference.
        dof: How well the scale is known; heavy tails where it is hardly known.

    Returns:
        Log weights that sum to 1.
    """
    if scale <= _SAME:
        return np.where(GRID == 0.0, 0.0, -np.inf)
    edges = np.concatenate([[-np.inf], (GRID[1:] + GRID[:-1]) / 2, [np.inf]])
    weights = np.diff(special.stdtr(dof, edges / scale))
    with np.errstate(divide="ignore"):
        # Far tails may vanish by cancellation; symmetry gives them back.
        return np.asarray(np.log(np.maximum(weights, weights[::-1])))


def t_quantile(share: float, dof: float) -> float:
    """The value that a t-distributed one stays below with probability ``share``."""
    return float(special.stdtrit(dof, share))
