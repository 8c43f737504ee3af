"""Anytime-valid tests of means by betting, for values that are not counts.

A bettor stakes a fraction λ of the wealth on each observation ``x`` in [-1, 1] and gets ``1 + λ x``. While the mean given the
past is at most 0 the wealth is a supermartingale, whatever the distribution; the mean over a grid of λ is one too.

- Values with known bounds are scaled into [-1, 1]: exact for means (Waudby-Smith and Ramdas 2023).
- Values without bounds are divided by a scale known from the past alone and squashed by an odd increasing function: exact
  when the differences are symmetric about a middle that is at most 0, as paired differences of two equal arms are
  (de la Peña 1999 for symmetric variables; bounding them makes the bet monotone, so one-sided nulls are covered).

What is calibrated, not proven: successive values of a gauge are correlated, and log wealth is divided by how much longer
that makes a series look than it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.stats.counting import log_mean

if TYPE_CHECKING:
    from analysis.stats.counting import Array

__all__ = ["correlation_time", "log_wealth", "scaled", "squashed"]

_FRACTIONS: Final[Array] = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9])
_SCALING: Final = 3
_ENOUGH: Final = 8
_LONGEST: Final = 20.0
_ALIKE: Final = 1e-6


def log_wealth(x: Array) -> float:
    """Log of the mean wealth of the bettors who bet that the mean of ``x`` is above 0.

    Args:
        x: Observations in [-1, 1], in order of time.

    Returns:
        0 without observations. At most ``log(1/α)`` at any time with probability 1 - α while the mean is at most 0.
    """
    total = np.log1p(_FRACTIONS[:, None] * x[None, :]).sum(axis=1)
    return float(log_mean(total, np.full(_FRACTIONS.size, -np.log(_FRACTIONS.size))))


def scaled(x: Array, bounds: tuple[float, float]) -> Array:
    """Differences scaled into [-1, 1] by the most that they can be.

    Args:
        x: Differences.
        bounds: The least and the most that a difference can be.

    Raises:
        ValueError: A difference lies outside.
    """
    if x.size and (x.min() < bounds[0] or x.max() > bounds[1]):
        raise ValueError(f"a value lies outside the metric's bounds ({bounds[0]:g} to {bounds[1]:g}): correct bounds")
    return np.asarray(x / max(abs(bounds[0]), abs(bounds[1])))


def squashed(x: Array) -> Array:
    """Differences divided by the root mean square of those before them, squashed into (-1, 1).

    The first few only set the scale: they are no evidence.
    """
    before = np.cumsum(x * x) - x * x
    scale = np.sqrt(before / np.maximum(np.arange(x.size), 1))
    usable = (np.arange(x.size) >= _SCALING) & (scale > 0)
    return np.where(usable, np.tanh(np.divide(x, scale, out=np.zeros_like(x), where=scale > 0)), 0.0)


def correlation_time(x: Array) -> float:
    """How many values in a row say what one independent value says, at least 1.

    From the correlation of neighbours, as for a first-order autoregression: ``(1 + r) / (1 - r)``. Bounded, and 1 while there
    are too few values to tell.
    """
    if x.size < _ENOUGH:
        return 1.0
    centred = x - x.mean()
    total = float(centred @ centred)
    if total <= _ALIKE**2 * x.size:  # what is left of a constant is rounding
        return 1.0
    r = float(centred[:-1] @ centred[1:]) / total
    return min(max((1.0 + r) / max(1.0 - r, 1e-9), 1.0), _LONGEST)
