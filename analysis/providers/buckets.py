"""Latency histograms of every kind, brought to the judge's fixed bounds without guessing.

A count at a bound is taken only where it is known: where no bucket of the histogram lies across the bound. So classic and
explicit histograms must have each of the judge's bounds among their own (they may have more), and exponential ones, whose
buckets are narrow and elsewhere, are judged at bounds of the coarsest exponential scale that is still useful
(``exponential_bounds``), which every finer scale has too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Buckets", "LayoutError", "exponential", "exponential_bounds", "from_cumulative", "to_bounds"]

_SAME: Final = 1e-6
"""Relative difference of two bounds that are the same one, written in seconds and in milliseconds."""
_SHOWN: Final = 12
_FIRST_MS: Final = 2.0
"""About the lowest bound of exponential histograms; their bounds are powers of two of the unit."""
_SCALE: Final = 2
"""Four bounds to each doubling: 19 % from one to the next."""


class LayoutError(Exception):
    """A histogram cannot be brought to the bounds; the message says how it is laid out."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """A histogram as it stands, counted since its start: buckets that do not overlap, ascending, in milliseconds.

    Attributes:
        lower: Lower end of each bucket; minus infinity for the first of a classic histogram.
        upper: Upper end of each bucket; infinity for the last of a classic histogram.
        counts: How many observations each holds, not cumulative over the buckets.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    counts: tuple[float, ...]


def from_cumulative(counts: Mapping[float, float], unit_ms: float) -> Buckets:
    """Return a classic histogram from its ``le`` series at one time.

    Args:
        counts: Observations at most as large as each bound; infinity is the bound of all.
        unit_ms: Milliseconds in the unit of the bounds.

    Raises:
        LayoutError: There is no ``+Inf`` bucket, or a larger bound has a smaller count.
    """
    bounds = sorted(counts)
    if not bounds or bounds[-1] != math.inf:
        raise LayoutError('its buckets end without le="+Inf"')
    lower, upper, inside = [], [], []
    before, below = -math.inf, 0.0
    for bound in bounds:
        count = counts[bound]
        if count < below:
            raise LayoutError(f'its bucket le="{bound:g}" holds less ({count:g}) than the one before it ({below:g})')
        lower.append(before * unit_ms)
        upper.append(bound * unit_ms)
        inside.append(count - below)
        before, below = bound, count
    return Buckets(tuple(lower), tuple(upper), tuple(inside))


def exponential(scale: int, zero: float, offset: int, counts: Sequence[float], unit_ms: float) -> Buckets:
    """Return an exponential histogram (OpenTelemetry; Prometheus calls them native, and the scale schema).

    Args:
        scale: Bucket ``index`` lies from ``2 ** (index / 2**scale)``, exclusive, to ``2 ** ((index + 1) / 2**scale)``.
        zero: Count of the zero bucket.
        offset: Index of the first of ``counts``.
        counts: Counts of the buckets from ``offset`` on.
        unit_ms: Milliseconds in the unit of the values.
    """
    step = 2.0**-scale
    ends = [unit_ms * 2.0 ** ((offset + index) * step) for index in range(len(counts) + 1)]
    # Nothing is known about what lies in the zero bucket, except that it is far below every bound.
    return Buckets((-math.inf, *ends[:-1]), (0.0, *ends[1:]), (zero, *counts))


def exponential_bounds(unit_ms: float) -> tuple[float, ...]:
    """Return bounds from about 2 ms to 32 s that exponential histograms have at scale 2 and at every finer one.

    Args:
        unit_ms: Milliseconds in the unit of the values.
    """
    first = round(math.log2(_FIRST_MS / unit_ms))
    steps = 2**_SCALE
    return tuple(unit_ms * 2.0 ** (index / steps) for index in range(first * steps, (first + 14) * steps + 1))


def to_bounds(buckets: Buckets, bounds_ms: Sequence[float]) -> tuple[int, ...]:
    """Return the observations by the judge's buckets, one more than ``bounds_ms``.

    Raises:
        LayoutError: The histogram does not tell how many observations are below one of the bounds.
    """
    if buckets.upper == (*bounds_ms, math.inf):
        return tuple(map(round, buckets.counts))  # the usual case, and there are many of them at each look
    counts = [0.0] * (len(bounds_ms) + 1)
    place = 0
    for lower, upper, count in zip(buckets.lower, buckets.upper, buckets.counts, strict=True):
        while place < len(bounds_ms) and lower >= bounds_ms[place] * (1.0 - _SAME):
            place += 1
        if place < len(bounds_ms) and upper > bounds_ms[place] * (1.0 + _SAME):
            missing = [bound for bound in bounds_ms[place:] if bound < upper * (1.0 - _SAME)]
            raise LayoutError(f"it has no bucket bound at {_listed(missing)} ms; its buckets are {_layout(buckets)}")
        counts[place] += count
    return tuple(round(count) for count in counts)


def _listed(values: Sequence[float]) -> str:
    """Return numbers as text: all of a few, or the first ones."""
    shown = ", ".join(f"{value:g}" for value in values[:_SHOWN])
    return shown if len(values) <= _SHOWN else f"{shown}, …"


def _layout(buckets: Buckets) -> str:
    return f"{_listed([upper for upper in buckets.upper if upper < math.inf])} ms"
