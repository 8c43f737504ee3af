"""From the points of one release's pods to the counters that windows are made of. Pure.

A process that restarts is another reporter, or says a later start. Two processes that report as one (workers that were
forked after the SDK was set up) cannot be told apart: their points overlap, and nothing of them is counted.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from analysis.providers.opentelemetry.metrics import holds, milliseconds
from analysis.providers.series import Kind, Sample, Series

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from analysis.api.opentelemetry import OpenTelemetryCounts
    from analysis.model.counts import Arm
    from analysis.providers.opentelemetry.metrics import Metrics
    from analysis.providers.opentelemetry.points import Point, Stream
    from analysis.providers.opentelemetry.store import Pod, Reporter

__all__ = ["Assembly", "histograms", "latest_gaps", "unit_of"]

_NANO: Final = 1_000_000_000
_SAME: Final = 1_000_000
"""Nanoseconds: starts that differ by less are one start."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """How points become counters.

    Attributes:
        settings: What is counted.
        metrics: The same, with the preset's.
        since: Unix seconds; earlier points are left out.
        problems: Where it is said what is not counted.
    """

    settings: OpenTelemetryCounts
    metrics: Metrics
    since: float
    problems: dict[str, None] = field(default_factory=dict)

    def series(self, name: str, arm: Arm, pod: Pod) -> Iterator[Series]:
        """Yield a pod's counters.

        Args:
            name: The pod's name.
            arm: The version that it runs.
            pod: What it has sent.
        """
        for reporter in pod.reporters.values():
            chosen = [one for one in _chosen(reporter, self.settings) if one[0].metric in self.metrics.names]
            begin = min((time for *_, points in chosen if (time := self._first(points)) is not None), default=None)
            if begin is None:
                continue
            if any(_overlap(stream, [one for one in points if one.time >= begin]) for stream, _, points in chosen):
                words = "two processes report as one: give each its own service.instance.id; neither is counted"
                self.problems[f"pod {name}: {words}"] = None
                continue
            target = ",".join(f"{key}={value}" for key, value in reporter.resource)
            for stream, attributes, points in chosen:
                route = attributes.get(self.metrics.route, "") if self.metrics.route else ""
                inside = [one for one in points if one.time >= begin]
                for kind in self._kinds(stream, attributes):
                    if samples := self._samples(name, stream, inside, kind):
                        if _continues(points, len(points) - len(inside), begin):
                            # It was there before, so it did not begin with its first sample here.
                            samples.insert(0, Sample(begin / _NANO, None))
                        yield Series(arm, name, str(stream), kind, samples, target, route, delta=stream.delta)

    def _first(self, points: Sequence[Point]) -> int | None:
        return next((point.time for point in points if point.time >= self.since * _NANO), None)

    def _kinds(self, stream: Stream, attributes: Mapping[str, str]) -> Iterator[Kind]:
        if stream.metric == self.metrics.requests:
            failed = any(holds(match, attributes) for match in self.metrics.errors)
            yield Kind.FAILED if failed else Kind.PASSED
        if stream.metric == self.metrics.latency and stream.histogram:
            yield Kind.LATENCY

    def _samples(self, pod: str, stream: Stream, points: Sequence[Point], kind: Kind) -> list[Sample]:
        if kind is not Kind.LATENCY:
            return [point.total() for point in points]
        unit = unit_of(stream, self.metrics)
        if unit is None:
            words = f"the unit of {stream.metric} is {stream.unit!r}, which is none of s, ms, us, ns: write latencyUnit"
            self.problems[f"{words}; its latency is not judged"] = None
            return []
        if any(point.layout is None and point.count is not None for point in points):
            self.problems[f"pod {pod}: {stream} is a histogram without buckets: its latency is not judged"] = None
        return [point.latency(unit) for point in points]


def histograms(pod: Pod, settings: OpenTelemetryCounts, metrics: Metrics) -> Iterator[tuple[Stream, Point]]:
    """Yield a pod's latency histograms as they stand."""
    for reporter in pod.reporters.values():
        for stream, _, points in _chosen(reporter, settings):
            if stream.metric == metrics.latency and points[-1].layout is not None:
                yield stream, points[-1]


def latest_gaps(pod: Pod) -> Iterator[float]:
    """Yield the seconds between the last two exports of each reporter; delta streams tell nothing, as they may be silent."""
    for reporter in pod.reporters.values():
        counted = (points for stream, points in reporter.streams.items() if not stream.delta)
        times = sorted({point.time for points in counted for point in points[-2:]})
        if len(times) > 1:
            yield (times[-1] - times[-2]) / _NANO


def unit_of(stream: Stream, metrics: Metrics) -> float | None:
    """Return the milliseconds in a histogram's unit; None when it is not known."""
    return milliseconds(metrics.unit or stream.unit)


def _chosen(
    reporter: Reporter, settings: OpenTelemetryCounts
) -> Iterator[tuple[Stream, Mapping[str, str], Sequence[Point]]]:
    resource = dict(reporter.resource)
    for stream, points in reporter.streams.items():
        attributes = resource | dict(stream.attributes)
        if points and all(holds(match, attributes) for match in settings.attributes):
            yield stream, attributes, points


def _continues(points: Sequence[Point], first: int, begin: int) -> bool:
    """Whether the first point after ``begin`` counts on from one before it."""
    if not first or points[first].time == begin:
        return False
    start = points[first].start
    return start is None or start <= points[first - 1].time


def _overlap(stream: Stream, points: Sequence[Point]) -> bool:
    """Whether one reporter alone cannot have sent these points."""
    for before, after in itertools.pairwise(point for point in points if point.start is not None):
        if before.start is None or after.start is None or before.time == after.time:
            continue
        another = stream.delta or abs(after.start - before.start) > _SAME
        if another and after.start < before.time - _SAME:
            return True
    return False
