"""Value metrics: numbers that somebody's monitoring answers, and what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Direction", "ValuePolicy", "ValueSample", "ValueSeries", "ValueTest"]


class Direction(StrEnum):
    """Which change of a value is a change for the worse."""

    INCREASE = "Increase"
    DECREASE = "Decrease"
    EITHER = "Either"


class ValueTest(StrEnum):
    """How a value metric is judged."""

    COMPARISON = "Comparison"
    """Anytime-valid: the canary's mean against the baseline's, paired by time."""
    LIMIT = "Limit"
    """Anytime-valid: the canary's mean against a fixed limit."""
    THRESHOLD = "Threshold"
    """A bare threshold on each measurement, as people know it from elsewhere: looked at often enough, noise crosses it."""


@dataclass(frozen=True, slots=True)
class ValuePolicy:
    """One value metric.

    Attributes:
        name: The metric's name, unique in a release.
        test: How it is judged.
        direction: Which change is for the worse.
        max_ratio: Comparison: tolerated ratio of canary to baseline in the bad direction (1.1: a tenth worse).
        max_change: Comparison: tolerated change beyond that, in the metric's own unit.
        lower: Limit and threshold: the least that is fine; None for no lower end.
        upper: Limit and threshold: the most that is fine; None for no upper end.
        bounds: Smallest and largest value that the metric can have (0 and 1 for a share): the test is then exact for
            means. None when it has none: the test is then exact for differences that are symmetric about their middle.
        critical: Whether it may roll back. One that is not critical still has to be fine for promotion.
        dry_run: Measured and shown, but never decides anything.
        failure_limit: Threshold: measurements beyond it that are tolerated.
    """

    name: str
    test: ValueTest = ValueTest.COMPARISON
    direction: Direction = Direction.INCREASE
    max_ratio: float = 1.0
    max_change: float = 0.0
    lower: float | None = None
    upper: float | None = None
    bounds: tuple[float, float] | None = None
    critical: bool = True
    dry_run: bool = False
    failure_limit: int = 0


@dataclass(frozen=True, slots=True)
class ValueSample:
    """One measurement.

    Attributes:
        time: Unix seconds.
        canary: The canary's value.
        baseline: The baseline's value at the same time; None where the test needs none.
    """

    time: float
    canary: float
    baseline: float | None = None


@dataclass(frozen=True, slots=True)
class ValueSeries:
    """What was measured of one metric in this release.

    Attributes:
        policy: What is asked of it.
        samples: In order of time. What could not be measured is not in it: an outage is never evidence.
        problem: Why nothing can be measured at the moment, in words; empty when all is well.
    """

    policy: ValuePolicy
    samples: tuple[ValueSample, ...] = ()
    problem: str = ""
