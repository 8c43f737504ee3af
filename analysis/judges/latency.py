"""Latency on histogram buckets: a Wilcoxon-score test over all buckets, and exceedances of the baseline's own percentiles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges.wealth import rollback
from analysis.stats.bets import GRID, LOG_STAKES_BETTER, LOG_STAKES_SLOWER, LOG_STAKES_WORSE
from analysis.stats.counting import Array, log_mean
from analysis.stats.curves import Curves, curves
from analysis.stats.dispersion import dispersion
from analysis.stats.histograms import centred_ranks, nearest_boundary, slowed_ratio, survival, survival_at
from analysis.stats.pods import Spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from analysis.judges.cells import Cells

__all__ = ["Latency", "latency_of"]

_LATENCY_SPREAD: Final = Spread.of(0.05**2, 8.0)
"""Prior: what the log latencies of equal pods differ by."""
_POD_FACTOR: Final = float(np.exp(np.sqrt(_LATENCY_SPREAD.variance)))
_TAILS: Final = (0.05, 0.01, 0.002)
_LATENCY_STAKES: Final = np.log([0.4, 0.2, 0.2, 0.2])
_STAKES: Final = (LOG_STAKES_SLOWER, *(LOG_STAKES_WORSE for _ in _TAILS))
_HALF: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Route:
    """One route's histograms and curves.

    Attributes:
        columns: Its columns in the table.
        used: Buckets that hold any attempt.
        baseline: The baseline's histogram, all buckets.
        pooled: Both arms' histogram.
        canary: The canary's histogram since each restart, restarts × used buckets.
        curves: Log normalisers since each restart, restarts × used buckets × points.
    """

    columns: NDArray[np.intp]
    used: NDArray[np.intp]
    baseline: Array
    pooled: Array
    canary: Array
    curves: Curves

    def scores(self) -> Array:
        """Wilcoxon scores of all buckets."""
        return centred_ranks(self.pooled)

    def shares_at(self, bounds: Sequence[float], factor: float) -> Array:
        """The buckets' shares when the baseline is slower by ``factor``."""
        smooth = _HALF / (float(self.baseline.sum()) + 1.0)
        null = slowed_ratio(self.baseline, bounds, factor) * (self.baseline / self.baseline.sum() + smooth)
        return np.asarray(null / null.sum())

    def boundary(self, share: float) -> int:
        """The bucket bound that the baseline exceeds about this often."""
        return nearest_boundary(self.baseline, share)

    def tail_ratio(self, bounds: Sequence[float], boundary: int, factor: float) -> float:
        """By what the share beyond a bound grows when everything is slower by ``factor``."""
        smooth = _HALF / (float(self.baseline.sum()) + 1.0)
        moved = float(survival_at(self.baseline, bounds, np.array([bounds[boundary] / factor]))[0])
        return (moved + smooth) / (float(survival(self.baseline)[boundary + 1]) + smooth)


@dataclass(frozen=True, slots=True)
class _Noise:
    """φ and the spread between pods of one test."""

    dispersion: float
    spread: Spread


@dataclass(frozen=True)
class Latency:
    """The latency tests of one look.

    Attributes:
        cells: The attempts.
        counts: Attempts by bucket, windows × columns × buckets, warm ones only.
        bounds: Upper bounds of the buckets, milliseconds.
    """

    cells: Cells
    counts: Array
    bounds: tuple[float, ...]

    @cached_property
    def routes(self) -> tuple[_Route, ...]:
        """Those routes that have a baseline."""
        found = (_route(self.cells, self.counts, columns) for columns in self.cells.routes)
        return tuple(route for route in found if route is not None)

    def histograms(self) -> tuple[Array, Array]:
        """Histograms of canary and baseline over all routes."""
        total = self.counts.sum(axis=0)
        return total[self.cells.canary].sum(axis=0), total[~self.cells.canary].sum(axis=0)

    def by_column(self) -> Array:
        """Sums of centred Wilcoxon scores of each column: positive where it is slow."""
        return np.asarray(self._scored[0][1].sum(axis=0))

    def rollback(self, factor: float) -> float:
        """Log wealth against "as fast as the baseline", ``factor`` times slower being noise."""
        if not self.routes:
            return 0.0
        likelihoods = self.likelihoods(factor, range(-1, len(_TAILS)))
        logs = [
            rollback(like / noise.dispersion, None, noise.spread, self.cells.begun, stakes)
            for like, noise, stakes in zip(likelihoods, self._noises, _STAKES, strict=True)
        ]
        return float(log_mean(np.array(logs), _LATENCY_STAKES))

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
        phis = [phi for phi, _, _ in self._scored]
        tests = range(-1, len(_TAILS) - 1)
        likelihoods = [np.sum([self._fine(r, factor, t) for r in self.routes], axis=0) for t in tests]
        better = [log_mean(like / phi, LOG_STAKES_BETTER) for like, phi in zip(likelihoods, phis, strict=False)]
        return min(float(b[0]) for b in better), min(float(b[step]) for b in better)

    def ranks_noise(self) -> tuple[float, Spread]:
        """φ of the rank test, and the variance of its tilt from pods alone for each restart."""
        noise = self._noises[0]
        return noise.dispersion, noise.spread

    def likelihoods(self, factor: float, tests: Sequence[int], sizes: Array = GRID) -> list[Array]:
        """Log wealth of each bet since each restart against "``factor`` times slower", restarts × bets, before φ.

        Args:
            factor: The margin.
            tests: -1 for the rank test, otherwise an index of the far percentiles.
            sizes: The bets: log ratios of rates, or tilts of a score.
        """
        return [
            np.sum([self._ranks(r, factor, sizes) if t < 0 else self._tail(r, factor, _TAILS[t], sizes) for r in self.routes], axis=0)
            for t in tests
        ]  # fmt: skip

    def _fine(self, route: _Route, factor: float, test: int) -> Array:
        """One route's log wealth of each bet against "slower by the margin"."""
        if test < 0:
            return self._ranks(route, factor, GRID)
        boundary = route.boundary(_TAILS[test])
        if (route.used > boundary).any():
            return self._tail(route, factor, _TAILS[test], GRID)
        # Nothing is beyond it, so what speaks for the canary is what it answered within it.
        return self._scores(route, factor, GRID, (np.arange(route.baseline.size) > boundary).astype(np.float64))

    def _ranks(self, route: _Route, factor: float, sizes: Array) -> Array:
        """The bets tilt each bucket's rate by its Wilcoxon score.

        A bet's tilts ``exp(θ score)`` make its log likelihood ratio linear in the Wilcoxon rank sum (Lehmann,
        Nonparametrics, 1975).
        """
        return self._scores(route, factor, sizes, route.scores())

    def _scores(self, route: _Route, factor: float, sizes: Array, scores: Array) -> Array:
        """Every bucket is a category, and the bets tilt its rate by the bucket's score.

        Given the pooled counts of each bucket, which arm they fell to is a counting process for each bucket.
        """
        tilts = np.outer(scores, sizes)
        tilts = (tilts - np.log(route.shares_at(self.bounds, factor) @ np.exp(tilts)))[route.used]
        margin = np.log(slowed_ratio(route.baseline, self.bounds, factor))[route.used, None]
        priced = route.curves.at(np.concatenate([tilts + margin, margin], axis=1))
        return np.asarray(route.canary @ tilts - (priced[..., :-1] - priced[..., -1:]).sum(axis=-2))

    def against(self, factors: Array, sizes: Array) -> Array:
        """Log wealth of each bet of the rank test since the release began, for several margins at once, before φ.

        Args:
            factors: The margins: "this many times slower".
            sizes: The bets: tilts.

        Returns:
            Factors × bets.
        """
        total = np.zeros((factors.size, sizes.size))
        for route in self.routes:
            raw = np.outer(route.scores(), sizes)
            nulls = np.array([route.shares_at(self.bounds, factor) for factor in factors])
            margins = np.log(np.array([slowed_ratio(route.baseline, self.bounds, factor) for factor in factors]))
            tilts = (raw[None] - np.log(nulls @ np.exp(raw))[:, None, :])[:, route.used]
            at = np.concatenate([tilts, np.zeros((*tilts.shape[:2], 1))], axis=2) + margins[:, route.used, None]
            flat = np.moveaxis(at, 1, 0).reshape(route.used.size, -1)
            first = Curves(route.curves.values[0], route.curves.slopes[0])
            priced = first.at(flat).sum(axis=0).reshape(factors.size, sizes.size + 1)
            total += np.einsum("c,fcs->fs", route.canary[0], tilts) - (priced[:, :-1] - priced[:, -1:])
        return total

    def _tail(self, route: _Route, factor: float, share: float, sizes: Array) -> Array:
        boundary = route.boundary(share)
        beyond = route.used > boundary
        margin = float(np.log(route.tail_ratio(self.bounds, boundary, factor)))
        total = Curves(
            *(part[:, beyond].sum(axis=1, keepdims=True) for part in (route.curves.values, route.curves.slopes))
        )
        priced = total.at(np.append(sizes, 0.0)[None, :] + margin)[:, 0]
        return np.asarray(np.outer(route.canary[:, beyond].sum(axis=1), sizes) - (priced[:, :-1] - priced[:, -1:]))

    @cached_property
    def _noises(self) -> list[_Noise]:
        attempts = self.cells.per_restart
        found = []
        for number, (phi, sums, unit) in enumerate(self._scored):
            prior = Spread(np.asarray(self._prior(number - 1) ** 2), _LATENCY_SPREAD.dof)
            own = self.cells.since(sums)
            weights = attempts
            if number:  # exceedances: expected counts weigh, as for errors
                weights = attempts * unit
                own = own - weights
            spread = self.cells.spread(own, weights, unit=1.0 if number else unit, dispersion=phi, prior=prior)
            found.append(_Noise(phi, spread))
        return found

    @cached_property
    def _scored(self) -> list[tuple[float, Array, Array | float]]:
        """Of each test: φ, each column's sums by cell (centred scores, or counts), and the unit (variance, or rates)."""
        cells = self.cells
        windows, columns = cells.attempts.shape
        sums = np.zeros((1 + len(_TAILS), windows, columns))
        rates = np.zeros((1 + len(_TAILS), columns))
        for route in self.routes:
            share = route.baseline / route.baseline.sum()
            scores = route.scores()
            bounds = np.array([route.boundary(tail) for tail in _TAILS])
            weights = np.stack([scores - share @ scores, *(np.arange(share.size) > b for b in bounds)], axis=1)
            sums[:, :, route.columns] = np.moveaxis(self.counts[:, route.columns] @ weights, -1, 0)
            pooled = route.pooled / route.pooled.sum()
            rates[0, route.columns] = pooled @ scores**2
            rates[1:, route.columns] = (share @ weights[:, 1:])[:, None]
        total = float(cells.attempts.sum())
        unit = float((cells.attempts.sum(axis=0) * rates[0]).sum() / total) if total > 0 else 0.0
        own = ~cells.canary
        named = np.array([bool(name) for name in cells.table.pods], dtype=np.bool_)
        found: list[tuple[float, Array, Array | float]] = [
            (dispersion(sums[0][:, own], cells.attempts[:, own], unit=unit), sums[0], unit)
        ]
        for part, rate in zip(sums[1:], rates[1:], strict=True):
            found.append((dispersion(part[:, named], cells.attempts[:, named]), part, rate))
        return found

    def _prior(self, test: int) -> float:
        """What pods that differ by a usual factor differ by in a test's own terms; the mean over routes."""
        sizes, weights = [], []
        for route in self.routes:
            if test >= 0:
                ratio = route.tail_ratio(self.bounds, route.boundary(_TAILS[test]), _POD_FACTOR)
                sizes.append(float(np.log(ratio)))
            else:
                scores, share = route.scores(), route.baseline / route.baseline.sum()
                unit = float((route.pooled / route.pooled.sum()) @ scores**2)
                grown = (slowed_ratio(route.baseline, self.bounds, _POD_FACTOR) - 1.0) * share
                sizes.append(float(grown @ scores) / unit if unit > 0 else 0.0)
            weights.append(float(route.pooled.sum()))
        return float(np.average(sizes, weights=weights))


def latency_of(cells: Cells, bounds: tuple[float, ...]) -> Latency:
    """The latency tests on these cells."""
    return Latency(cells, cells.table.latency * cells.keep[:, :, None], bounds)


def _route(cells: Cells, counts: Array, columns: NDArray[np.intp]) -> _Route | None:
    """One route's histograms and curves; None without a baseline."""
    side = cells.canary[columns]
    canary, baseline = counts[:, columns[side]].sum(axis=1), counts[:, columns[~side]].sum(axis=1)
    own = baseline.sum(axis=0)
    if own.sum() <= 0:
        return None
    both = canary + baseline
    pooled = both.sum(axis=0)
    used = np.flatnonzero(pooled > 0)
    return _Route(
        columns=columns,
        used=used,
        baseline=own,
        pooled=pooled,
        canary=cells.since(canary[:, used]),
        curves=_curves(cells, both[:, used], canary.sum(axis=1), both.sum(axis=1)),
    )


def _curves(cells: Cells, both: Array, canary_n: Array, total_n: Array) -> Curves:
    share = np.divide(canary_n, total_n, out=np.zeros_like(total_n), where=total_n > 0)
    rows = [restart.row for restart in cells.begun]
    parts = []
    for first, last in zip(rows, [*rows[1:], share.size], strict=True):
        live = slice(first, last)
        active = share[live] > 0  # before the canary's first request there is nothing to bet on
        parts.append(curves(both[live][active], share[live][active]))
    stacked = Curves(np.stack([p.values for p in parts]), np.stack([p.slopes for p in parts]))
    return stacked.tails()
