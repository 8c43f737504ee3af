"""From raw cumulative counters, sample by sample as they were scraped, to windows of integer counts. No I/O.

Counters only tell what happened between two samples, so everything here is about which differences are known:

- A counter that falls to at most half has started anew, and what it shows has happened since. One that falls by less did
  not start anew (two reporters, a store that lost samples): what happened is unknown.
- A counter that appears on a target that was already there began at 0: the first error of a pod counts. The first samples
  of a target itself are only where counting begins, unless they say since when they count.
- A sample that is NaN, negative or one of two that contradict each other is none.
- What is unknown of one counter makes the whole target's interval unknown: failures without their requests would be lies.

**Windows** lie on a fixed grid of Unix time, so that both arms are counted over the same ones. An interval between two
samples belongs to the window in which it ends. Where a target missed a scrape, the windows over the gap become one. What
is returned depends on the samples alone, not on when it is asked for: a window is held back until it is settled.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from analysis.model.counts import PodCounts, Window
from analysis.providers.increases import Change, clean, increases
from analysis.providers.series import Counting, Kind, Sample, Series

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from analysis.model.counts import Arm

__all__ = ["Counting", "Kind", "Reading", "Sample", "Series", "windows"]


@dataclass(frozen=True, slots=True)
class Reading:
    """Windows, and what was wrong with the samples, in words."""

    windows: tuple[Window, ...]
    problems: tuple[str, ...] = ()


_Key = tuple["Arm", str, str]
_FRESH: Final = 1.5
"""Intervals: scrapes are not punctual to the millisecond, so a sample of the last interval may be a little older."""
_PROBLEMS: Final = 20


@dataclass(slots=True)
class _Target:
    arm: Arm
    pod: str
    times: list[float]
    changes: list[Change] = field(default_factory=list)


def windows(series: Iterable[Series], counting: Counting, *, since: float, until: float) -> Reading:
    """Return the settled windows that end after ``since`` and not after ``until``.

    Args:
        series: Counters with their samples from ``since - counting.lookback`` to ``until``.
        counting: Bounds and lengths.
        since: Unix seconds.
        until: Unix seconds; all samples up to then have arrived.
    """
    problems: dict[str, None] = {}
    grouped: dict[_Key, list[Series]] = defaultdict(list)
    for one in series:
        grouped[one.arm, one.pod, one.target].append(one)
    targets = [_target(key, found, counting, until, problems) for key, found in sorted(grouped.items())]
    edges = _edges([target.times for target in targets if target.times], counting, since, until)
    found = [
        window
        for start, end in pairwise(edges)
        if end > since and (window := _window(start, end, targets, problems)) is not None
    ]
    return Reading(tuple(found), tuple(problems)[:_PROBLEMS])


def _edges(targets: Sequence[Sequence[float]], counting: Counting, since: float, until: float) -> list[float]:
    """Return the ends of windows: the points of the grid at which no target has a scrape missing."""
    length = counting.interval
    first, last = math.ceil((since - counting.lookback) / length), math.floor(until / length)
    blocked: set[int] = set()
    for times in targets:
        for before, after in pairwise([*times, math.inf]):
            stale = before + _FRESH * length
            if after == math.inf and until - before > counting.away:
                continue  # it is gone
            if after != math.inf and after - before > counting.away:
                continue  # it was away
            stop = last + 1 if after == math.inf else math.ceil(after / length)
            blocked.update(range(max(first, math.ceil(stale / length)), min(last + 1, stop)))
    return [number * length for number in range(first, last + 1) if number not in blocked]


def _target(
    key: _Key, series: Sequence[Series], counting: Counting, until: float, problems: dict[str, None]
) -> _Target:
    """Return what a target's counters did between its samples."""
    arm, pod, _ = key
    cleaned = [clean(one, counting, until, problems) for one in series]
    times = sorted({sample.time for one in cleaned for sample in one.samples})
    silent = all(one.series.delta for one in cleaned)  # who counts deltas and has nothing to count is silent
    for before, after in pairwise(times):
        if after - before > counting.away and not silent:
            problems[f"pod {pod} has no samples for {after - before:.0f} s: what it did then is not counted"] = None
    found = _Target(arm, pod, times)
    for one in cleaned:
        found.changes.extend(increases(one, times, counting, problems))
    return found


@dataclass(slots=True)
class _Row:
    attempts: int = 0
    errors: int = 0
    latency: list[int] = field(default_factory=list)


def _window(start: float, end: float, targets: Sequence[_Target], problems: dict[str, None]) -> Window | None:
    rows: dict[tuple[Arm, str, str], _Row] = {}
    for target in targets:
        inside = [change for change in target.changes if start < change.time <= end]
        if any(change.counts is None for change in inside):
            continue
        for change in inside:
            if change.counts is not None:
                row = rows.setdefault((target.arm, target.pod, change.series.route), _Row())
                _add(row, change.series.kind, change.counts)
    if not rows:
        return None
    for (_, pod, _), row in rows.items():
        if row.errors > row.attempts:
            problems[
                f"pod {pod}: more failures than requests ({row.errors} > {row.attempts}): errors and requests differ"
            ] = None
            row.errors = row.attempts
    pods = tuple(
        PodCounts(arm, pod, row.attempts, row.errors, tuple(row.latency), route=route)
        for (arm, pod, route), row in sorted(rows.items())
    )
    return Window(start, end, pods)


def _add(row: _Row, kind: Kind, counts: tuple[int, ...]) -> None:
    if kind is Kind.LATENCY:
        row.latency = [a + b for a, b in zip(row.latency, counts, strict=True)] if row.latency else list(counts)
        return
    (count,) = counts
    if kind is not Kind.ERRORS:
        row.attempts += count
    if kind in {Kind.FAILED, Kind.ERRORS}:
        row.errors += count
