"""Latencies of one route: what the tests need of its histograms, worked out once a look for every margin and every bet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges.cells import sums_since
from analysis.stats.curves import Curves, segments
from analysis.stats.histograms import centred_ranks, nearest_boundary, slowed_ratio, survival, survival_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from analysis.stats.counting import Array

__all__ = ["TAILS", "Route", "route_of"]

TAILS: Final = (0.05, 0.01, 0.002)
"""Shares of the baseline's requests beyond the percentiles whose exceedances are counted."""
_HALF: Final = 0.5


@dataclass(frozen=True)
class Route:
    """One route's histograms and curves.

    Attributes:
        columns: Its columns in the table.
        bounds: Upper bounds of the buckets, milliseconds.
        used: Buckets that hold any attempt.
        baseline: The baseline's histogram, all buckets.
        pooled: Both arms' histogram.
        canary: The canary's histogram since each restart, restarts × used buckets.
        curves: Log normalisers since each restart, restarts × used buckets × points.
    """

    columns: NDArray[np.intp]
    bounds: tuple[float, ...]
    used: NDArray[np.intp]
    baseline: Array
    pooled: Array
    canary: Array
    curves: Curves

    @cached_property
    def scores(self) -> Array:
        """Wilcoxon scores of all buckets."""
        return centred_ranks(self.pooled)

    @cached_property
    def share(self) -> Array:
        """The baseline's share of each bucket."""
        return np.asarray(self.baseline / self.baseline.sum())

    @cached_property
    def variance(self) -> float:
        """Of the scores of both arms' requests."""
        return float((self.pooled / self.pooled.sum()) @ self.scores**2)

    @cached_property
    def _boundaries(self) -> NDArray[np.intp]:
        """The bucket bounds that the baseline exceeds about as often as the far percentiles."""
        return nearest_boundary(self.baseline, TAILS)

    @cached_property
    def beyond(self) -> Array:
        """Which buckets are beyond each of those (1) or not (0), percentiles × buckets."""
        return (np.arange(self.baseline.size) > self._boundaries[:, None]).astype(np.float64)

    @cached_property
    def _percentiles(self) -> tuple[Array, Array]:
        """The far percentiles' bounds in milliseconds, and the baseline's share beyond each."""
        return np.asarray(self.bounds)[self._boundaries], survival(self.baseline)[self._boundaries + 1]

    @cached_property
    def _smooth(self) -> float:
        return _HALF / (float(self.baseline.sum()) + 1.0)

    @cached_property
    def _tails(self) -> tuple[Array, Curves]:
        """The canary's exceedances since each restart, restarts × percentiles, and their curves."""
        beyond = self.beyond[:, self.used]
        return self.canary @ beyond.T, Curves(beyond @ self.curves.values, beyond @ self.curves.slopes)

    def tail_ratios(self, factor: float) -> Array:
        """By what the share beyond each far percentile grows when everything is slower by ``factor``."""
        at, now = self._percentiles
        moved = survival_at(self.baseline, self.bounds, at / factor)
        return np.asarray((moved + self._smooth) / (now + self._smooth))

    def typical(self, factor: float) -> Array:
        """By what a pod that is slower by ``factor`` differs in each test's own terms: a score's tilt, log ratios of tails."""
        grown = (slowed_ratio(self.baseline, self.bounds, factor) - 1.0) * self.share
        tilt = float(grown @ self.scores) / self.variance if self.variance > 0 else 0.0
        return np.concatenate([[tilt], np.log(self.tail_ratios(factor))])

    def tilted(self, scores: Array, factors: Array, sizes: Array, since: slice | Sequence[int] = slice(None)) -> Array:
        """Log wealth of bets that tilt each bucket's rate by its score, against margins; before φ.

        Every bucket is a category. Given its pooled counts, which arm they fell to is a counting process for each bucket.
        With Wilcoxon scores, tilts ``exp(θ score)`` make the log likelihood ratio linear in the rank sum (Lehmann,
        Nonparametrics, 1975).

        Args:
            scores: Of all buckets.
            factors: The margins: "this many times slower".
            sizes: The bets: tilts θ.
            since: From which restarts on.

        Returns:
            Restarts × factors × bets.
        """
        ratios = slowed_ratio(self.baseline, self.bounds, factors)
        null = ratios * (self.share + self._smooth)
        raw = np.outer(scores, sizes)
        norm = np.log((null / null.sum(axis=-1, keepdims=True)) @ np.exp(raw))
        raw = raw[self.used]
        tilts = np.zeros((self.used.size, factors.size, sizes.size + 1))  # the last one is no bet, but the margin alone
        tilts[..., :-1] = raw[:, None, :] - norm
        tilts += np.log(ratios.T[self.used])[:, :, None]
        priced = self.curves.since(since).at(tilts.reshape(self.used.size, -1)).sum(axis=-2)
        priced = priced.reshape(-1, factors.size, sizes.size + 1)
        canary = self.canary[since]
        linear = (canary @ raw)[:, None, :] - canary.sum(axis=1)[:, None, None] * norm
        return np.asarray(linear - (priced[..., :-1] - priced[..., -1:]))

    def exceeding(self, factor: float, sizes: Array, since: slice | Sequence[int] = slice(None)) -> Array:
        """Log wealth of bets on the rates beyond the far percentiles, against "``factor`` times slower"; before φ.

        Args:
            factor: The margin.
            sizes: The bets: log ratios of rates.
            since: From which restarts on.

        Returns:
            Percentiles × restarts × bets.
        """
        counts, lines = self._tails
        priced = lines.since(since).at(np.append(sizes, 0.0) + np.log(self.tail_ratios(factor))[:, None])
        logs = counts[since][:, :, None] * sizes - (priced[..., :-1] - priced[..., -1:])
        return logs.transpose(1, 0, 2)

    def likelihoods(self, factor: float, sizes: Array, since: slice | Sequence[int] = slice(None)) -> Array:
        """Log wealth of each bet of all tests against "``factor`` times slower", tests × restarts × bets; before φ."""
        ranks = self.tilted(self.scores, np.array([factor]), sizes, since)[:, 0]
        return np.concatenate([ranks[None], self.exceeding(factor, sizes, since)])


def route_of(columns: NDArray[np.intp], arms: Array, rows: Sequence[int], bounds: tuple[float, ...]) -> Route | None:
    """Return one route's histograms and curves; None without a baseline.

    Args:
        columns: The route's columns in the table.
        arms: The canary's and the baseline's histogram of each cell, windows × 2 × buckets.
        rows: The first cell of each restart.
        bounds: Upper bounds of the buckets, milliseconds.
    """
    canary, baseline = arms[:, 0].sum(axis=0), arms[:, 1].sum(axis=0)
    if baseline.sum() <= 0:
        return None
    pooled = canary + baseline
    used = np.flatnonzero(pooled > 0)
    totals = arms.sum(axis=2)
    whole = totals.sum(axis=1)
    share = np.divide(totals[:, 0], whole, out=np.zeros_like(whole), where=whole > 0)
    return Route(
        columns=columns,
        bounds=bounds,
        used=used,
        baseline=baseline,
        pooled=pooled,
        canary=sums_since(arms[:, 0, used], rows),
        curves=segments((arms[:, 0] + arms[:, 1])[:, used], share, rows).tails(),
    )
