"""Latency on histogram buckets: a Wilcoxon-score test over all buckets, and exceedances of the baseline's own percentiles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges.cells import picked
from analysis.judges.route import TAILS, Route, route_of
from analysis.judges.wealth import QUIET, rollback, rollback_at_most
from analysis.stats.bets import BETTER, GRID, LOG_STAKES_BETTER, LOG_STAKES_SLOWER, LOG_STAKES_WORSE
from analysis.stats.counting import Array, log_mean
from analysis.stats.dispersion import dispersion
from analysis.stats.pods import Spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analysis.judges.cells import Cells

__all__ = ["UP_TO_P99", "Latency", "latency_of"]

_LATENCY_SPREAD: Final = Spread.of(0.05**2, 8.0)
"""Prior: what the log latencies of equal pods differ by."""
_POD_FACTOR: Final = float(np.exp(np.sqrt(_LATENCY_SPREAD.variance)))
_LATENCY_STAKES: Final = np.log([0.4, 0.2, 0.2, 0.2])
_STAKES: Final = np.stack([LOG_STAKES_SLOWER, *(LOG_STAKES_WORSE for _ in TAILS)])
UP_TO_P99: Final = 2
"""How many of the far percentiles have a say in promotion."""


@dataclass(frozen=True)
class Latency:
    """The latency tests of one look: first the rank test, then one for each far percentile.

    Attributes:
        cells: The attempts.
        bounds: Upper bounds of the buckets, milliseconds.
    """

    cells: Cells
    bounds: tuple[float, ...]

    @cached_property
    def arms(self) -> list[tuple[NDArray[np.intp], Array]]:
        """Columns of each route, and the canary's and the baseline's histogram of each cell, windows × 2 × buckets."""
        cells, found = self.cells, []
        for columns in cells.routes:
            side = cells.canary[columns]
            mask = np.array([side, ~side]) * picked(cells.keep, columns)[:, None, :]
            found.append((columns, mask @ picked(cells.table.latency, columns)))
        return found

    @cached_property
    def routes(self) -> tuple[Route, ...]:
        """Those routes that have a baseline."""
        rows = [restart.row for restart in self.cells.begun]
        found = (route_of(columns, arms, rows, self.bounds) for columns, arms in self.arms)
        return tuple(route for route in found if route is not None)

    def histograms(self) -> tuple[Array, Array]:
        """Histograms of canary and baseline over all routes."""
        canary, baseline = np.asarray(sum(arms.sum(axis=0) for _, arms in self.arms))
        return canary, baseline

    def by_column(self) -> Array:
        """Sums of centred Wilcoxon scores of each column: positive where it is slow."""
        return np.asarray(self._sums[0].sum(axis=0))

    def rollback(self, factor: float, *, exact: bool = True) -> float:
        """Log wealth against "as fast as the baseline", ``factor`` times slower being noise.

        Args:
            factor: The margin.
            exact: False if an upper bound will do where that is quiet.
        """
        if not self.routes:
            return 0.0
        phis = self._dispersions[:, None, None]
        likelihoods = np.asarray(sum(route.likelihoods(factor, GRID) for route in self.routes))
        likelihoods /= phis
        if not exact:
            most = log_mean(rollback_at_most(likelihoods, None, self.cells.begun, _STAKES[:, None, :]), _LATENCY_STAKES)
            if most < QUIET:
                return float(most)
        logs = rollback(likelihoods, None, self._spread, self.cells.begun, _STAKES[:, None, :])
        return float(log_mean(logs, _LATENCY_STAKES))

    def promotion(self, factor: float, step: int) -> tuple[float, float]:
        """Log wealth against "slower by the margin": the body and the tail up to p99 must both be shown to be fine.

        Args:
            factor: The margin.
            step: Which of the restarts is the present step's; the first for none.

        Returns:
            Since the release began, and since the step did.
        """
        if not self.routes:
            return 0.0, 0.0
        likelihoods = np.asarray(sum(_fine(route, factor, [0, step]) for route in self.routes))
        phis = self._dispersions[: 1 + UP_TO_P99, None, None]
        release, present = log_mean(likelihoods / phis, LOG_STAKES_BETTER[BETTER]).min(axis=0)
        return float(release), float(present)

    def ranks_noise(self) -> tuple[float, Spread]:
        """φ of the rank test, and the variance of its tilt from pods alone for each restart."""
        spread = self._spread
        return float(self._dispersions[0]), Spread(spread.variance[0], spread.dof[0])

    def against(self, factors: Array, sizes: Array) -> Array:
        """Log wealth of each bet of the rank test since the release began, for several margins at once, before φ.

        Args:
            factors: The margins: "this many times slower".
            sizes: The bets: tilts.

        Returns:
            Factors × bets.
        """
        return np.asarray(sum(route.tilted(route.scores, factors, sizes, [0])[0] for route in self.routes))

    @cached_property
    def _sums(self) -> Array:
        """Each test's sums by cell, tests × windows × columns: centred scores, and counts."""
        cells = self.cells
        sums = np.zeros((1 + len(TAILS), *cells.attempts.shape))
        for route in self.routes:
            weights = np.concatenate([[route.scores - route.share @ route.scores], route.beyond])
            own = picked(cells.table.latency, route.columns)
            sums[:, :, route.columns] = (weights @ own.reshape(-1, own.shape[2]).T).reshape(-1, *own.shape[:2])
        return np.asarray(sums * cells.keep)

    @cached_property
    def _unit(self) -> float:
        """Variance of an attempt's score."""
        total = self.cells.totals.sum()
        found = sum(self.cells.totals[route.columns].sum() * route.variance for route in self.routes)
        return float(found / total) if total > 0 else 0.0

    @cached_property
    def _dispersions(self) -> Array:
        """φ of each test."""
        cells, sums = self.cells, self._sums
        ranks = dispersion(sums[0][:, ~cells.canary], cells.attempts[:, ~cells.canary], unit=self._unit)
        named = cells.table.named
        tails = sums[1:] if named.size == cells.canary.size else sums[1:, :, named]
        return np.append(ranks, dispersion(tails, picked(cells.attempts, named)))

    @cached_property
    def _spread(self) -> Spread:
        """Variance between pods in each test's terms, tests × restarts."""
        cells = self.cells
        rates = np.zeros((1 + len(TAILS), cells.canary.size))
        rates[0] = 1.0
        for route in self.routes:  # exceedances: expected counts weigh, as for errors
            rates[1:, route.columns] = (route.beyond @ route.share)[:, None]
        weights = cells.per_restart * rates[:, None, :]
        sums = cells.since(self._sums)
        sums[1:] -= weights[1:]
        return cells.spread(
            sums,
            weights,
            unit=np.array([self._unit, *(1.0 for _ in TAILS)])[:, None],
            dispersion=self._dispersions[:, None],
            prior=Spread(self._prior[:, None] ** 2, _LATENCY_SPREAD.dof),
        )

    @property
    def _prior(self) -> Array:
        """What pods that differ by a usual factor differ by in each test's own terms; the mean over routes."""
        weights = np.array([route.pooled.sum() for route in self.routes])
        return np.asarray(weights @ np.array([route.typical(_POD_FACTOR) for route in self.routes]) / weights.sum())


def _fine(route: Route, factor: float, since: list[int]) -> Array:
    """One route's log wealth of each bet that the canary is better than the margin, for the tests that promote."""
    bets = GRID[BETTER]
    found = route.likelihoods(factor, bets, since)[: 1 + UP_TO_P99]
    for test, beyond in enumerate(route.beyond[:UP_TO_P99], start=1):
        if not beyond[route.used].any():
            # Nothing is beyond it, so what speaks for the canary is what it answered within it.
            found[test] = route.tilted(beyond, np.array([factor]), bets, since)[:, 0]
    return found


def latency_of(cells: Cells, bounds: tuple[float, ...]) -> Latency:
    """The latency tests on these cells."""
    return Latency(cells, bounds)
