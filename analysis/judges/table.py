"""Windows as arrays: one table for a look, merged to a coarser grid where that loses nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.model.counts import Arm, Window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from analysis.stats.counting import Array

__all__ = ["GRIDS", "Table", "tabulate"]

GRIDS: Final = (1.0, 5.0, 10.0, 30.0, 60.0)
"""Lengths of cells in seconds; each divides the next, so that merging twice is merging once."""
_MOST_CELLS: Final = 120
_ENOUGH_BASELINE: Final = 20.0
_MOST_ROUTES: Final = 8


@dataclass(frozen=True)
class Table:
    """Counts by window and pod. A pod that serves several routes has a column for each.

    Attributes:
        start: Start of each window, Unix seconds, ascending.
        end: End of each window.
        pods: Pod name of each column; empty for an arm's requests that reached no pod.
        canary: Which columns are the canary's.
        attempts: Attempts, windows × columns.
        errors: Of those, the failed ones.
        latency: Attempts by bucket, windows × columns × buckets.
        routes: Route of each column; none means that there is only one.
    """

    start: Array
    end: Array
    pods: tuple[str, ...]
    canary: NDArray[np.bool_]
    attempts: Array
    errors: Array
    latency: Array
    routes: tuple[str, ...] = ()

    @cached_property
    def named(self) -> NDArray[np.intp]:
        """The columns that are a pod's; the others are requests that reached no pod."""
        return np.flatnonzero([bool(name) for name in self.pods])

    @cached_property
    def owners(self) -> dict[bool, tuple[NDArray[np.intp], Array | None]]:
        """Of the canary and the baseline: columns of named pods, and columns × pods when pods have several columns."""
        found: dict[bool, tuple[NDArray[np.intp], Array | None]] = {}
        for canary in (True, False):
            columns = self.named[self.canary[self.named] == canary]
            names = sorted({self.pods[i] for i in columns})
            owner = None
            if len(names) < columns.size:
                owner = np.array([[float(self.pods[i] == name) for name in names] for i in columns])
            found[canary] = columns, owner
        return found

    def warm(self, pods_started: Mapping[str, float], warm_up: float) -> NDArray[np.bool_]:
        """Which cells (windows × columns) lie after their pod's warm-up; pods of unknown age count as warm."""
        born = np.array([pods_started.get(pod, -math.inf) for pod in self.pods], dtype=np.float64)
        return np.asarray(self.start[:, None] >= born[None, :] + warm_up)

    def rows(self, rows: NDArray[np.bool_] | slice) -> Table:
        """Only these windows."""
        return replace(
            self,
            start=self.start[rows],
            end=self.end[rows],
            attempts=self.attempts[rows],
            errors=self.errors[rows],
            latency=self.latency[rows],
        )

    def by_route(self) -> list[NDArray[np.intp]]:
        """Columns of each route, the busiest routes first; beyond a bounded number of routes the rest are one."""
        if len(set(self.routes)) <= 1:
            return [np.arange(len(self.pods))]
        totals: dict[str, float] = {}
        for route, count in zip(self.routes, self.attempts.sum(axis=0), strict=True):
            totals[route] = totals.get(route, 0.0) + float(count)
        ranked = sorted(totals, key=lambda route: (-totals[route], route))
        own = {route: min(number, _MOST_ROUTES - 1) for number, route in enumerate(ranked)}
        group = np.array([own[route] for route in self.routes])
        return [np.flatnonzero(group == number) for number in range(min(len(ranked), _MOST_ROUTES))]

    def merged(self, cuts: Sequence[float], seconds: float | None = None) -> Table:
        """The table on a coarser grid whose cells never span a cut (the share of traffic changes there, pods get warm).

        Args:
            cuts: Times that no cell may span, Unix seconds.
            seconds: Length of a cell, ``math.inf`` for one cell a step; by default as short as keeps their number small.
        """
        if not self.start.size:
            return self
        part = np.searchsorted(np.sort(np.asarray(cuts, dtype=np.float64)), self.start, side="right")
        cell = np.floor(self.start / (seconds or self._grid()))
        first = np.concatenate([[True], (np.diff(cell) != 0) | (np.diff(part) != 0)])
        if first.all():
            return self
        return self.grouped(np.flatnonzero(first))

    def grouped(self, firsts: NDArray[np.intp]) -> Table:
        """The table with each window merged into the last one of ``firsts`` (rows, ascending from 0) before it."""
        last = np.concatenate([firsts[1:] - 1, [self.start.size - 1]])
        return replace(
            self,
            start=self.start[firsts],
            end=self.end[last],
            attempts=np.add.reduceat(self.attempts, firsts, axis=0),
            errors=np.add.reduceat(self.errors, firsts, axis=0),
            latency=_summed(self.latency, firsts, last),
        )

    def _grid(self) -> float:
        """Cells of a second while there are few; longer ones for long releases and where the baseline is sparse."""
        span = max(float(self.end[-1] - self.start[0]), 1e-9)
        rate = float((self.attempts @ ~self.canary).sum()) / span
        for seconds in GRIDS:
            if span <= seconds * _MOST_CELLS and rate * seconds >= _ENOUGH_BASELINE:
                return seconds
        return GRIDS[-1]


def _summed(values: Array, firsts: NDArray[np.intp], lasts: NDArray[np.intp]) -> Array:
    """Sums of runs of rows. Most runs are one row, and rows are long: faster than ``np.add.reduceat`` by a half and more."""
    found = values[firsts]
    for run in np.flatnonzero(lasts > firsts):
        found[run] = values[firsts[run] : lasts[run] + 1].sum(axis=0)
    return found


def tabulate(windows: Sequence[Window], buckets: int) -> Table:
    """Turn windows into a table, sorted by time.

    Args:
        windows: Windows that do not overlap.
        buckets: Number of latency buckets; counts of another length are refused.

    Raises:
        ValueError: A pod's latency counts have another number of buckets than the policy's bounds make.
    """
    windows = sorted(windows, key=lambda window: window.start)
    columns: dict[tuple[Arm, str, str], int] = {}
    rows: list[int] = []
    cols: list[int] = []
    counts: list[tuple[int, int]] = []
    histograms: list[tuple[int, ...]] = []
    places: list[int] = []
    for index, window in enumerate(windows):
        for pod in window.pods:
            if pod.latency:
                if len(pod.latency) != buckets:
                    raise ValueError(
                        f"latency of pod {pod.pod!r} has {len(pod.latency)} buckets and bounds_ms makes {buckets}: "
                        "give counts for the policy's own bounds, one more than the bounds"
                    )
                places.append(len(rows))
                histograms.append(pod.latency)
            rows.append(index)
            cols.append(columns.setdefault((pod.arm, pod.pod, pod.route), len(columns)))
            counts.append((pod.attempts, pod.errors))
    return _fill(windows, columns, (rows, cols, counts), (places, histograms), buckets)


def _fill(
    windows: Sequence[Window],
    columns: Mapping[tuple[Arm, str, str], int],
    cells: tuple[list[int], list[int], list[tuple[int, int]]],
    latency: tuple[list[int], list[tuple[int, ...]]],
    buckets: int,
) -> Table:
    shape = (len(windows), len(columns))
    totals = np.zeros((*shape, 2))
    histograms = np.zeros((*shape, buckets))
    rows, cols = np.asarray(cells[0], dtype=np.intp), np.asarray(cells[1], dtype=np.intp)
    if rows.size:
        np.add.at(totals, (rows, cols), np.asarray(cells[2], dtype=np.float64))
    places = np.asarray(latency[0], dtype=np.intp)
    if places.size:
        np.add.at(histograms, (rows[places], cols[places]), np.asarray(latency[1], dtype=np.float64))
    return Table(
        start=np.array([window.start for window in windows], dtype=np.float64),
        end=np.array([window.end for window in windows], dtype=np.float64),
        pods=tuple(pod for _, pod, _ in columns),
        canary=np.array([arm is Arm.CANARY for arm, _, _ in columns], dtype=np.bool_),
        attempts=totals[:, :, 0],
        errors=np.minimum(totals[:, :, 1], totals[:, :, 0]),
        latency=histograms,
        routes=tuple(route for _, _, route in columns),
    )
