"""Log normalisers of the counting test as curves, so that one pass over the cells serves every margin and every bet.

A bad request falls to the canary with probability ``q`` under equal rates. A bet on a log ratio ``x`` beyond a margin ``ρ``
costs ``log(1 - q_ρ + q_ρ e^x) = c(x + log ρ) - c(log ρ)`` with ``c(x) = log(1 - q + q e^x)``: margins and bets only
shift the argument of one curve. Curves add over cells, weighted by their bad requests; between grid points they are
read by cubic Hermite interpolation with exact slopes (error a bad request on this grid: below 1e-8 for ``|x| ≤ 1``, 3e-6 for
``|x| ≤ 4``, 7e-5 for ``|x| ≤ 8``).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.stats.counting import Array

__all__ = ["Curves", "curves", "segments"]

_POINTS: Final = 129
_WIDEST: Final = 16.0
_STRETCH: Final = 6.0
_SCALE: Final = float(_WIDEST / np.sinh(_STRETCH))
_MIDDLE: Final = _POINTS // 2
_PER_UNIT: Final = _MIDDLE / _STRETCH


def _points() -> Array:
    """Dense around 0, where nearly all requests are, and wide enough for any bet beyond any margin."""
    return np.asarray(np.sinh(np.linspace(-_STRETCH, _STRETCH, _POINTS)) * _SCALE)


_X: Final = _points()
_WIDTHS: Final = np.diff(_X)
_EXP: Final = np.exp(_X)
_EXPM1: Final = np.expm1(_X)


@dataclass(frozen=True, slots=True)
class Curves:
    """Sums of ``c(x)`` over cells.

    Attributes:
        values: At the grid points, … × categories × points.
        slopes: Derivatives there.
    """

    values: Array
    slopes: Array

    def since(self, first: int | slice | Sequence[int]) -> Curves:
        """Those of one or some entries of the first axis."""
        return Curves(self.values[first], self.slopes[first])

    def tails(self) -> Curves:
        """Sums over the first axis (segments) from each one to the last."""
        summed = self.values.copy(), self.slopes.copy()
        for part in summed:
            for segment in range(part.shape[0] - 1, 0, -1):
                part[segment - 1] += part[segment]
        return Curves(*summed)

    def at(self, x: Array) -> Array:
        """Values at ``x`` (categories × bets), for each of the leading axes: … × categories × bets."""
        place = (np.arcsinh(x / _SCALE) * _PER_UNIT + _MIDDLE).astype(np.intp)
        place = np.minimum(np.maximum(place, 0), _POINTS - 2)  # faster than np.clip, for whole numbers by far
        width = _WIDTHS[place]
        t = np.minimum(np.maximum((x - _X[place]) / width, 0.0), 1.0)
        rest = 1.0 - t
        low = rest * rest * (1.0 + 2.0 * t)
        here = place + np.arange(0, x.shape[0] * _POINTS, _POINTS)[:, None]
        values, slopes = (part.reshape(*part.shape[:-2], -1) for part in (self.values, self.slopes))
        found = values.take(here, axis=-1) * low
        found += values.take(here + 1, axis=-1) * (1.0 - low)
        found += slopes.take(here, axis=-1) * (rest * rest * t * width)
        found -= slopes.take(here + 1, axis=-1) * (t * t * rest * width)
        return np.asarray(found)


def curves(bad: Array, share: Array) -> Curves:
    """The curves of some cells.

    Args:
        bad: Bad requests of both arms, cells × categories.
        share: The canary's share of all attempts by cell, q in [0, 1].

    Returns:
        Categories × points.
    """
    return segments(bad, share, [0]).since(0)


def segments(bad: Array, share: Array, firsts: Sequence[int]) -> Curves:
    """The curves of runs of cells.

    Args:
        bad: Bad requests of both arms, cells × categories.
        share: The canary's share of all attempts by cell, q in [0, 1].
        firsts: The first cell of each run, ascending.

    Returns:
        Runs × categories × points.
    """
    found = np.zeros((2, len(firsts), bad.shape[1], _POINTS))
    active = np.flatnonzero(share)  # where all requests are the baseline's there is nothing to bet on
    bad, share = bad[active], share[active, None]
    inner = 1.0 + share * _EXPM1
    parts = np.log(inner), share * _EXP / inner
    rows = [*np.searchsorted(active, firsts), active.size]
    for number, (first, last) in enumerate(itertools.pairwise(rows)):
        for part, sums in zip(parts, found, strict=True):
            np.matmul(bad[first:last].T, part[first:last], out=sums[number])
    return Curves(found[0], found[1])
