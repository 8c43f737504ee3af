"""What is kept of a data point: its stream, its range of time, and what it counts."""

from __future__ import annotations

import functools
import math
from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from analysis.providers.buckets import Buckets, exponential
from analysis.providers.series import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Attributes", "Explicit", "Exponential", "Layout", "Point", "Stream", "packed"]

Attributes = tuple[tuple[str, str], ...]
"""Sorted, values as text."""
_NANO: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Explicit:
    """A histogram with its own bounds, in the metric's unit."""

    bounds: tuple[float, ...]

    def edges(self, unit_ms: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return each bucket's lower and upper end in milliseconds."""
        return _explicit(self, unit_ms)


@dataclass(frozen=True, slots=True)
class Exponential:
    """An exponential histogram; the first of its counts is the zero bucket's, which holds negative values too."""

    scale: int
    offset: int
    size: int
    threshold: float

    def edges(self, unit_ms: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return each bucket's lower and upper end in milliseconds.

        Raises:
            OverflowError: Its scale and offset lead beyond all numbers.
        """
        return _exponential(self, unit_ms)


Layout = Explicit | Exponential


@functools.lru_cache(maxsize=512)
def _explicit(layout: Explicit, unit_ms: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    bounds = tuple(bound * unit_ms for bound in layout.bounds)
    return (-math.inf, *bounds), (*bounds, math.inf)


@functools.lru_cache(maxsize=512)
def _exponential(layout: Exponential, unit_ms: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    empty = exponential(layout.scale, 0, layout.offset, (0,) * layout.size, unit_ms)
    return empty.lower, (layout.threshold * unit_ms, *empty.upper[1:])


@dataclass(frozen=True, slots=True)
class Stream:
    """What tells a stream of points from the others of the same reporter.

    Attributes:
        metric: The metric's name.
        unit: Its unit, as it says.
        scope: The instrumentation that made it.
        attributes: Of its points.
        delta: Each point counts its own range of time, instead of all since the start.
        histogram: Whether it has buckets.
    """

    metric: str
    unit: str
    scope: str
    attributes: Attributes
    delta: bool
    histogram: bool

    def __str__(self) -> str:
        rest = ",".join(f'{key}="{value}"' for key, value in self.attributes)
        return f"{self.metric}{{{rest}}}" if rest else self.metric


@dataclass(frozen=True, slots=True)
class Point:
    """One data point.

    Attributes:
        time: Unix nanoseconds: its end.
        start: Unix nanoseconds: since when it counts; None where that is unknown.
        count: How many; None for "there is none any more".
        layout: Of a histogram with buckets.
        counts: In them.
    """

    time: int
    start: int | None
    count: float | None
    layout: Layout | None = None
    counts: array[float] | None = None

    @property
    def numbers(self) -> int:
        """How much memory it takes at most, in numbers of eight bytes."""
        return 32 + (0 if self.counts is None else len(self.counts))

    def like(self, other: Point) -> Point:
        """Return the same point, sharing with another what both have."""
        layout = other.layout if self.layout == other.layout else self.layout
        same = layout is other.layout and self.counts == other.counts
        return replace(self, layout=layout, counts=other.counts if same else self.counts)

    def total(self) -> Sample:
        """Return how many, as a sample of a counter."""
        return Sample(self.time / _NANO, self.count, self._since())

    def latency(self, unit_ms: float) -> Sample:
        """Return the sample of a histogram; of one without buckets there is no value."""
        value: Buckets | None = None
        if self.count is not None and self.layout is not None and self.counts is not None:
            lower, upper = self.layout.edges(unit_ms)
            value = Buckets(lower, upper, tuple(self.counts))
        return Sample(self.time / _NANO, value, self._since())

    def _since(self) -> float | None:
        return None if self.start is None else self.start / _NANO


def packed(counts: Sequence[float]) -> array[float]:
    """Return counts in little memory."""
    return array("d", counts)
