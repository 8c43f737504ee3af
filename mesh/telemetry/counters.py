"""From the running totals that a proxy reports to what is new in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from mesh.api.telemetry import LATENCY_BOUNDS_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BUCKETS", "Counts", "Host", "News", "Point", "ProxyTotals", "Report", "Row", "Series", "Values"]

BUCKETS: Final = len(LATENCY_BOUNDS_MS) + 1


class Host(NamedTuple):
    """A Service that callers ask for."""

    namespace: str
    service: str


class Row(NamedTuple):
    """What is counted apart of a host: one kind of request to a backend's pod."""

    backend: str
    pod: str
    route: str = ""
    mirrored: bool = False


class Series(NamedTuple):
    """What a proxy counts apart: a row, reached by asking for a host."""

    host: Host
    backend: str
    pod: str
    route: str = ""
    mirrored: bool = False
    """Whether copies of requests are counted, whose answers nobody got."""

    @property
    def row(self) -> Row:
        """What it is of its host."""
        return Row(self.backend, self.pod, self.route, self.mirrored)


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals of one series, or a difference of two; the fields mean what they mean in ``mesh.api.telemetry.PodWindow``.

    Attributes:
        answered: Answered attempts by latency bucket; empty or ``BUCKETS`` numbers.
        silent: Attempts without an answer by latency bucket, likewise.
    """

    requests: int = 0
    request_errors: int = 0
    attempts: int = 0
    attempt_errors: int = 0
    answered: tuple[int, ...] = ()
    silent: tuple[int, ...] = ()

    def since(self, before: Counts) -> Counts:
        """Return what came after ``before``. A total that fell was started again at zero: all of it is new."""
        return Counts(
            _rise(before.requests, self.requests),
            _rise(before.request_errors, self.request_errors),
            _rise(before.attempts, self.attempts),
            _rise(before.attempt_errors, self.attempt_errors),
            _rises(before.answered, self.answered),
            _rises(before.silent, self.silent),
        )

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.requests + other.requests,
            self.request_errors + other.request_errors,
            self.attempts + other.attempts,
            self.attempt_errors + other.attempt_errors,
            add_buckets(self.answered, other.answered),
            add_buckets(self.silent, other.silent),
        )

    def __bool__(self) -> bool:
        return bool(
            self.requests
            or self.request_errors
            or self.attempts
            or self.attempt_errors
            or any(self.answered)
            or any(self.silent)
        )


def add_buckets(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    """Add two histograms, either of which may be empty."""
    if not left or not right:
        return left or right
    return tuple(a + b for a, b in zip(left, right, strict=True))


def _rise(before: int, now: int) -> int:
    return now - before if now >= before else now


def _rises(before: tuple[int, ...], now: tuple[int, ...]) -> tuple[int, ...]:
    if not before or now == before:
        return now if not before else ()
    if not now or any(a > b for a, b in zip(before, now, strict=True)):
        return now
    return tuple(b - a for a, b in zip(before, now, strict=True))


class Point(NamedTuple):
    """What a proxy counts for the standard metrics, or of calls in plaintext.

    Attributes:
        stat: Name of its stat.
        tags: Values of ``mesh.xds.standard.TAGS`` (or ``mesh.xds.plaintext.TAGS``), in that order; empty where the stat
            has no such tag.
    """

    stat: str
    tags: tuple[str, ...]


Values = tuple[float, ...]
"""The one value of a counter; of a histogram the counts of its buckets and, last, the sum of what was measured."""


class News(NamedTuple):
    """What a report adds to the one before."""

    series: dict[Series, Counts]
    points: dict[Point, Values]


@dataclass(frozen=True, slots=True)
class Report:
    """One flush of one proxy: all its totals.

    Attributes:
        proxy: ``namespace/pod``.
        time: When the proxy took them, Unix seconds by its clock.
        uptime: As Envoy counts it: the whole second in which it reports less the one in which it started.
        totals: Since its start, by series.
        points: Likewise for the standard metrics.
        ejected: How many endpoints it has ejected now, by the Envoy cluster's name; of those that ever ejected one.
    """

    proxy: str
    time: float
    uptime: int
    totals: Mapping[Series, Counts]
    points: Mapping[Point, Values] = field(default_factory=dict)
    ejected: Mapping[str, int] = field(default_factory=dict)

    @property
    def least_age(self) -> float:
        """Seconds for which the proxy has run at least; it may be up to one more."""
        return max(0.0, self.uptime - 1 + self.time % 1)


_REORDERED: Final = 60.0
"""Seconds. A report older than the newest by less was overtaken by it; by more, the proxy's clock was set back."""


@dataclass(slots=True)
class ProxyTotals:
    """The newest totals of one proxy."""

    time: float = 0.0
    uptime: int = 0
    totals: Mapping[Series, Counts] = field(default_factory=dict)
    points: Mapping[Point, Values] = field(default_factory=dict)

    def baseline(self, report: Report) -> None:
        """Take the report as the start: what it holds was counted before."""
        self.time, self.uptime, self.totals, self.points = report.time, report.uptime, report.totals, report.points

    def advance(self, report: Report) -> News:
        """Take the report and return what is new in it, without series in which nothing is.

        A report that was overtaken by a newer one holds nothing new. One from a younger Envoy is all new. A series
        that is missing was dropped by Envoy and will start again at zero.
        """
        if self.time - _REORDERED < report.time <= self.time:
            return News({}, {})
        younger = report.uptime < self.uptime
        before, points = ({}, {}) if younger else (self.totals, self.points)
        self.baseline(report)
        fresh = Counts()
        deltas = {series: counts.since(before.get(series, fresh)) for series, counts in report.totals.items()}
        return News(
            {series: delta for series, delta in deltas.items() if delta},
            {
                point: _risen(points.get(point, ()), values)
                for point, values in report.points.items()
                if points.get(point) != values and any(values)
            },
        )


def _risen(before: Values, now: Values) -> Values:
    if not before or any(a > b for a, b in zip(before, now, strict=True)):
        return now
    return tuple(b - a for a, b in zip(before, now, strict=True))
