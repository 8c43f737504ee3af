"""What one metric's tests see of a table: the cells after warm-up, by route, and where its tests start afresh."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.stats.pods import Spread, between_pods, effective_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from analysis.judges.table import Table
    from analysis.stats.counting import Array

__all__ = ["Cells", "Restart", "cells_of", "picked", "sums_since"]

_FROM_THE_START: Final = 0.8
_AT_STEPS: Final = 0.1
_ON_THE_GRID: Final = 0.1
_GRID_SECONDS: Final = 120.0
_MOST_ON_THE_GRID: Final = 6
_TINY: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Restart:
    """A test that starts afresh.

    Attributes:
        row: The first cell that it sees.
        stake: Its share of the stake.
    """

    row: int
    stake: float


@dataclass(frozen=True)
class Cells:
    """Attempts that count for one metric.

    Attributes:
        table: The whole table; its columns are pods (times routes).
        keep: Which of its cells count (1) or not (0), windows × columns.
        attempts: The attempts that count, windows × columns.
        canary: Which columns are the canary's.
        routes: Columns of each route.
        steps: When steps began, Unix seconds.
    """

    table: Table
    keep: Array
    attempts: Array
    canary: NDArray[np.bool_]
    routes: list[NDArray[np.intp]]
    steps: Sequence[float]

    def only(self, columns: NDArray[np.bool_]) -> Cells:
        """Return the cells of some columns; the others count nothing."""
        return replace(self, keep=self.keep * columns, attempts=self.attempts * columns)

    @cached_property
    def begun(self) -> tuple[Restart, ...]:
        """The restarts that have begun, in order of their rows; the first one sees everything."""
        return _restarts(self.table.start, self.attempts @ self.canary, self.steps)

    @cached_property
    def totals(self) -> Array:
        """Attempts of each column."""
        return np.asarray(self.attempts.sum(axis=0))

    @property
    def arms(self) -> tuple[float, float]:
        """Attempts of canary and baseline."""
        return float(self.totals[self.canary].sum()), float(self.totals[~self.canary].sum())

    def since(self, values: Array) -> Array:
        """Sums over the cells from each restart on; … × windows × columns make … × restarts × columns."""
        return sums_since(values, [restart.row for restart in self.begun])

    @cached_property
    def per_restart(self) -> Array:
        """Attempts of each column since each restart, restarts × columns."""
        return self.since(self.attempts)

    @cached_property
    def _per_pod(self) -> Array:
        """``1 / m`` of the canary's plus the baseline's effective number of pods, since each restart."""
        numbers = [effective_number(self.by_pod(self.per_restart, canary=side)) for side in (True, False)]
        return np.asarray(sum(1.0 / np.maximum(number, 1.0) for number in numbers))

    def by_pod(self, values: Array, *, canary: bool) -> Array:
        """Sums of an arm's columns by pod over the last axis; requests that reached no pod are left out."""
        columns, owner = self.table.owners[canary]
        own = values[..., columns]
        return own if owner is None else np.asarray(own @ owner)

    def spread(
        self, sums: Array, weights: Array, *, unit: Array | float, dispersion: Array | float, prior: Spread
    ) -> Spread:
        """Variance of the arms' log ratio that comes from pods alone, for each restart's horizon.

        Args:
            sums: What each column has beyond its route's rate, … × restarts × columns.
            weights: Attempts (or expected counts) of each column, … × restarts × columns.
            unit: Variance of one attempt's contribution, one or one for each restart.
            dispersion: φ.
            prior: What pods usually differ by.

        Returns:
            … × restarts.
        """
        found = between_pods(
            self.by_pod(sums, canary=False),
            self.by_pod(weights, canary=False),
            unit=unit,
            dispersion=dispersion,
            prior=prior,
        )
        return Spread(found.variance * self._per_pod, found.dof)

    def baseline_pods(self) -> int:
        """Number of baseline pods with attempts."""
        return int((self.by_pod(self.totals, canary=False) > _TINY).sum())


def sums_since(values: Array, rows: Sequence[int]) -> Array:
    """Sums over the cells from each of some rows on.

    Args:
        values: … × windows × columns (or bets, or buckets).
        rows: The first cell of each sum.

    Returns:
        … × rows × columns.
    """
    return np.asarray((np.asarray(rows)[:, None] <= np.arange(values.shape[-2])).astype(np.float64) @ values)


def picked(values: Array, columns: NDArray[np.intp]) -> Array:
    """Some columns (ascending, of the second axis); no copy where it is all of them."""
    return values if columns.size == values.shape[1] else values[:, columns]


def cells_of(table: Table, keep: NDArray[np.bool_] | None, steps: Sequence[float]) -> Cells:
    """Return the cells of one metric.

    Args:
        table: The table of this look.
        keep: Which cells count; all by default.
        steps: When steps began.
    """
    mask = np.ones(table.attempts.shape) if keep is None else keep.astype(np.float64)
    attempts = table.attempts if keep is None else table.attempts * mask
    return Cells(table, mask, attempts, table.canary, table.by_route(), steps)


def _restarts(starts: Array, canary_n: Array, steps: Sequence[float]) -> tuple[Restart, ...]:
    """The restarts that have begun: at the canary's first request, at each later step, and every two minutes.

    Stakes of later ones fall as ``1 / i (i + 1)``, so that they sum to at most 1 however long a release takes. Old ones on
    the grid give up their stake when newer ones come: that can only lower the wealth.
    """
    begun = np.flatnonzero(canary_n > 0)
    found = [Restart(0, _FROM_THE_START)]
    if not begun.size:
        return tuple(found)
    first = float(starts[begun[0]])
    later = sorted(step for step in steps if first < step <= starts[-1])
    grid = list(enumerate(np.arange(first + _GRID_SECONDS, float(starts[-1]) + 1e-9, _GRID_SECONDS), start=1))
    timed = [(number, time, _AT_STEPS) for number, time in enumerate(later, start=1)]
    timed += [(number, float(time), _ON_THE_GRID) for number, time in grid[-_MOST_ON_THE_GRID:]]
    rows = np.searchsorted(starts, [time for _, time, _ in timed])
    found += [Restart(int(row), share / (n * (n + 1))) for row, (n, _, share) in zip(rows, timed, strict=True)]
    by_row: dict[int, float] = {}
    for restart in found:
        by_row[restart.row] = by_row.get(restart.row, 0.0) + restart.stake
    return tuple(Restart(row, by_row[row]) for row in sorted(by_row) if row < starts.size)
