"""Failed attempts: rollback, promotion, the guards that need no warm-up or no baseline."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges.cells import picked, sums_since
from analysis.judges.wealth import QUIET, rollback, rollback_at_most
from analysis.stats.bets import GRID, LOG_STAKES_BETTER, LOG_STAKES_WORSE
from analysis.stats.counting import Array, canary_share, log_mean, priced
from analysis.stats.dispersion import dispersion
from analysis.stats.pods import Spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from analysis.judges.cells import Cells
    from analysis.model.policy import ErrorPolicy

__all__ = ["BadCounts", "errors_of"]

_ERROR_SPREAD: Final = Spread.of(0.1**2, 8.0)
"""Prior: what the log error rates of equal pods differ by."""
_FEW_PODS: Final = 3
_WORSE: Final = GRID[np.isfinite(LOG_STAKES_WORSE)]
_ODDS: Final = np.expm1(_WORSE)


def _prior_of(pods: int) -> Spread:
    """The prior for a baseline of so many pods: wider where there are hardly any to learn from."""
    few = max(pods, _FEW_PODS) - 1
    return Spread(_ERROR_SPREAD.variance * (1.0 + (4.0 / few) ** 2), _ERROR_SPREAD.dof)


@dataclass(frozen=True)
class BadCounts:
    """One kind of bad attempts.

    Attributes:
        cells: The attempts.
        bad: Bad attempts, windows × columns.
        columns: Which columns tell how clumped they are.
    """

    cells: Cells
    bad: Array
    columns: NDArray[np.intp]
    _by_ratio: dict[float, tuple[Array, Array]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def dispersion(self) -> float:
        """φ, by which log e-values are divided."""
        return float(dispersion(picked(self.bad, self.columns), picked(self.cells.attempts, self.columns)))

    @cached_property
    def strata(self) -> list[tuple[Array, Array]]:
        """Of each route: bad attempts and attempts by cell, each (canary, baseline) × windows."""
        found = []
        for columns in self.cells.routes:
            side = self.cells.canary[columns]
            arms = np.array([side, ~side], dtype=np.float64)
            found.append((arms @ picked(self.bad, columns).T, arms @ picked(self.cells.attempts, columns).T))
        return found

    def _priced(self, ratio: float) -> tuple[Array, Array]:
        """Log wealth of each bet in each cell, and what an absolute margin of 1 takes from it, cells × bets; before φ."""
        if ratio not in self._by_ratio:
            parts = [
                priced(bad[0], bad[1], attempts[0], attempts[1], GRID, ratio=ratio) for bad, attempts in self.strata
            ]
            free, price = (np.asarray(sum(part)) for part in zip(*parts, strict=True))
            self._by_ratio[ratio] = free, price
        return self._by_ratio[ratio]

    def wealth(self, ratio: float, absolute: float = 0.0, *, rows: Sequence[int] = (0,)) -> Array:
        """Log wealth of each bet against a margin, from each of some rows of the table on; summed over routes."""
        free, price = (sums_since(part, rows) for part in self._priced(ratio))
        return np.asarray((free - absolute * price) / self.dispersion)

    def price(self, ratio: float) -> Array:
        """What an absolute margin of 1 takes from the wealth of each bet."""
        return np.asarray(self._priced(ratio)[1].sum(axis=0) / self.dispersion)

    def spread(self) -> Spread:
        """Variance of the arms' log ratio that comes from pods alone, for each restart."""
        bad, attempts = self.cells.since(self.bad), self.cells.per_restart
        expected = np.zeros_like(bad)
        for columns in self.cells.routes:
            own = columns[~self.cells.canary[columns]]
            total = attempts[:, own].sum(axis=1)
            rate = np.divide(bad[:, own].sum(axis=1), total, out=np.zeros_like(total), where=total > 0)
            expected[:, own] = attempts[:, own] * rate[:, None]
        return self.cells.spread(
            bad - expected,
            expected,
            unit=1.0,
            dispersion=self.dispersion,
            prior=_prior_of(self.cells.baseline_pods()),
        )

    def rollback(self, policy: ErrorPolicy, *, exact: bool = True) -> float:
        """Log wealth against "as good as the baseline".

        Args:
            policy: What is noise.
            exact: False if an upper bound will do where that is quiet.
        """
        free, price = (self.cells.since(part) / self.dispersion for part in self._priced(policy.noise_ratio))
        margin = free - policy.noise_absolute * price if policy.noise_absolute else None
        if not exact and (most := rollback_at_most(free, margin, self.cells.begun)) < QUIET:
            return float(most)
        return float(rollback(free, margin, self.spread(), self.cells.begun))

    def promotion(self, policy: ErrorPolicy, step_row: int) -> tuple[float, float]:
        """Log wealth against "worse by the margin": since the release began, and since the step did."""
        release, step = log_mean(self.wealth(policy.ratio, policy.absolute, rows=(0, step_row)), LOG_STAKES_BETTER)
        return float(release), float(step)

    def simple(self, ratio: float, absolute: float) -> float:
        """Log wealth against a fixed margin, pods taken as equal: for guards with wide margins."""
        return float(log_mean(self.wealth(ratio, absolute)[0], LOG_STAKES_WORSE))

    def at_most(self, ratio: float, absolute: float) -> float:
        """An upper bound of ``simple`` from sums alone, never below 0: often all that is asked is whether it is quiet.

        In each cell a failure gains most at the lowest of the canary's shares of the traffic, and an absolute margin
        costs least at the highest.
        """
        most = np.zeros(_WORSE.size)
        for bad, attempts in self.strata:
            live = attempts[0] > 0
            if live.any():
                share = canary_share(attempts[0], attempts[1], ratio)
                canary, baseline = bad @ live
                least = np.exp(_WORSE) / (1.0 + share.max() * _ODDS) - 1.0
                most += canary * _WORSE - (canary + baseline) * np.log1p(share[live].min() * _ODDS)
                most -= absolute * attempts[0].sum() * least
        return max(float(most.max()), 0.0)

    def by_column(self) -> Array:
        """Bad attempts of each column."""
        return np.asarray(self.bad.sum(axis=0))

    def totals(self) -> tuple[float, float]:
        """Bad attempts of canary and baseline."""
        totals = self.bad.sum(axis=0)
        return float(totals[self.cells.canary].sum()), float(totals[~self.cells.canary].sum())


def errors_of(cells: Cells) -> BadCounts:
    """Failed attempts."""
    bad = cells.table.errors * cells.keep
    return BadCounts(cells, bad, cells.table.named)
