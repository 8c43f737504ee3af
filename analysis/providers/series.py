"""Cumulative counters as they were scraped: what a source hands over to be made into windows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.model.counts import Arm
    from analysis.providers.buckets import Buckets

__all__ = ["Counting", "Kind", "Sample", "Series"]


class Kind(Enum):
    """What a counter counts."""

    PASSED = "passed"
    """Attempts that did not fail."""
    FAILED = "failed"
    """Attempts that failed; they are attempts too."""
    ALL = "all"
    """Attempts, failed or not; ``ERRORS`` tells how many failed."""
    ERRORS = "errors"
    """Failed attempts that another counter has counted as attempts."""
    LATENCY = "latency"
    """A histogram of attempts by latency."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A counter at one time.

    Attributes:
        time: Unix seconds.
        value: The count since the counter's start; None or NaN for "there is none any more" (a stale marker).
        start: Since when it counts, Unix seconds, where the source says so (OpenTelemetry, created timestamps).
    """

    time: float
    value: float | Buckets | None
    start: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """One counter.

    Attributes:
        arm: The version that the pod runs.
        pod: The pod's name.
        name: What tells it from the other counters of its target, and what messages call it.
        kind: What it counts.
        samples: In any order.
        target: Which of a pod's scrape targets it belongs to: its counters are read at the same times.
        route: Kind of request, where known.
        delta: Each sample counts only since its own start (OpenTelemetry's delta temporality).
    """

    arm: Arm
    pod: str
    name: str
    kind: Kind
    samples: Sequence[Sample]
    target: str = ""
    route: str = ""
    delta: bool = False


@dataclass(frozen=True, slots=True)
class Counting:
    """How counters become windows.

    Attributes:
        bounds_ms: The judge's latency bounds; empty when latency is not judged.
        interval: Seconds between two samples, and the length of a window.
        patience: A target without a sample for longer than this many intervals has been away: what happened meanwhile is
            unknown, and nobody waits for it.
    """

    bounds_ms: tuple[float, ...] = ()
    interval: float = 15.0
    patience: float = 4.0

    @property
    def away(self) -> float:
        """Seconds after which a target without a sample has been away."""
        return self.patience * self.interval

    @property
    def lookback(self) -> float:
        """Seconds before a window whose samples are needed to make it."""
        return max(300.0, 5.0 * self.away)
