"""Failed attempts: rollback, promotion, the guards that need no warm-up or no baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges.wealth import rollback
from analysis.stats.bets import GRID, LOG_STAKES_BETTER, LOG_STAKES_WORSE
from analysis.stats.counting import Array, log_evalues, log_mean
from analysis.stats.dispersion import dispersion
from analysis.stats.pods import Spread

if TYPE_CHECKING:
    from analysis.judges.cells import Cells
    from analysis.model.policy import ErrorPolicy

__all__ = ["BadCounts", "errors_of"]

_ERROR_SPREAD: Final = Spread.of(0.1**2, 8.0)
"""Prior: what the log error rates of equal pods differ by."""
_FEW_PODS: Final = 3


def _prior_of(pods: int) -> Spread:
    """The prior for a baseline of so many pods: wider where there are hardly any to learn from."""
    few = max(pods, _FEW_PODS) - 1
    return Spread(_ERROR_SPREAD.variance * (1.0 + (4.0 / few) ** 2), _ERROR_SPREAD.dof)


@dataclass(frozen=True, slots=True)
class BadCounts:
    """One kind of bad attempts.

    Attributes:
        cells: The attempts.
        bad: Bad attempts, windows × columns.
        dispersion: φ, by which log e-values are divided.
    """

    cells: Cells
    bad: Array
    dispersion: float

    def wealth(self, ratio: float, absolute: float = 0.0) -> Array:
        """Log wealth of each bet in each cell, cells × bets, against a margin; summed over routes."""
        total = np.zeros((self.bad.shape[0], GRID.size))
        for columns in self.cells.routes:
            side = self.cells.canary[columns]
            bad, attempts = self.bad[:, columns], self.cells.attempts[:, columns]
            total += log_evalues(
                bad[:, side].sum(axis=1, keepdims=True),
                bad[:, ~side].sum(axis=1, keepdims=True),
                attempts[:, side].sum(axis=1),
                attempts[:, ~side].sum(axis=1),
                GRID[None, :],
                ratio=ratio,
                absolute=absolute,
            )
        return np.asarray(total / self.dispersion)

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

    def rollback(self, policy: ErrorPolicy) -> float:
        """Log wealth against "as good as the baseline"."""
        likelihood = self.cells.since(self.wealth(policy.noise_ratio))
        margin = (
            self.cells.since(self.wealth(policy.noise_ratio, policy.noise_absolute)) if policy.noise_absolute else None
        )
        return float(rollback(likelihood, margin, self.spread(), self.cells.begun))

    def promotion(self, policy: ErrorPolicy, step_row: int) -> tuple[float, float]:
        """Log wealth against "worse by the margin": since the release began, and since the step did."""
        wealth = self.wealth(policy.ratio, policy.absolute)
        return self.better(wealth), self.better(wealth[step_row:])

    @staticmethod
    def better(wealth: Array) -> float:
        """Log wealth of the bets that the canary is better than the margin."""
        return float(log_mean(wealth.sum(axis=0), LOG_STAKES_BETTER))

    def simple(self, ratio: float, absolute: float) -> float:
        """Log wealth against a fixed margin, pods taken as equal: for guards with wide margins."""
        return float(log_mean(self.wealth(ratio, absolute).sum(axis=0), LOG_STAKES_WORSE))

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
    return BadCounts(cells, bad, float(dispersion(bad[:, cells.named], cells.attempts[:, cells.named])))
