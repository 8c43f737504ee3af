"""Textbook tests as people would write them: what each of our judge's precautions is worth can be seen against these."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from analysis.judges.rivals.base import Answer
from analysis.model.verdict import Decision
from analysis.stats.bets import GRID, LOG_STAKES_WORSE
from analysis.stats.classical import fisher_greater, log_mixture_sprt, rank_sum_z, z_quantile
from analysis.stats.counting import log_evalues, log_mean

if TYPE_CHECKING:
    from analysis.judges.table import Table

__all__ = ["Classical", "MixtureSprt", "NaiveEProcess"]

ALPHA = 0.01


@dataclass
class _Totals:
    """Sums since the release began, canary first; ``add`` takes up the rows that are new."""

    errors: np.ndarray = field(default_factory=lambda: np.zeros(2))
    attempts: np.ndarray = field(default_factory=lambda: np.zeros(2))
    latency: np.ndarray | None = None
    rows: int | None = None

    def add(self, table: Table) -> slice:
        first = int(np.searchsorted(table.start, -1e-9)) if self.rows is None else self.rows
        new, self.rows = slice(first, table.start.size), table.start.size
        sides = (table.canary, ~table.canary)
        self.errors = self.errors + [table.errors[new][:, side].sum() for side in sides]
        self.attempts = self.attempts + [table.attempts[new][:, side].sum() for side in sides]
        found = np.array([table.latency[new][:, side].sum(axis=(0, 1)) for side in sides])
        self.latency = found if self.latency is None else self.latency + found
        return new

    @property
    def slower(self) -> float:
        """Rank-sum z of the latencies."""
        return rank_sum_z(*self.latency) if self.latency is not None else 0.0


class Classical:
    """Fisher on all errors and Mann-Whitney on all latencies so far, each at 1 %, at every look."""

    name = "Fisher + MW"

    def __init__(self) -> None:
        self._totals = _Totals()

    def look(self, table: Table, now: float) -> Answer:  # noqa: ARG002 - the judges' common form
        self._totals.add(table)
        errors, attempts = self._totals.errors, self._totals.attempts
        p = fisher_greater(errors[0], attempts[0], errors[1], attempts[1])
        worse = p < ALPHA or self._totals.slower > z_quantile(1 - ALPHA)
        return Answer(Decision.ROLL_BACK if worse else None, f"p = {p:.3g}")


class MixtureSprt:
    """Mixture SPRT with a normal mixture, on the difference of error rates and on the rank sum; α = 1 %."""

    name = "mixture SPRT"

    def __init__(self) -> None:
        self._totals = _Totals()

    def look(self, table: Table, now: float) -> Answer:  # noqa: ARG002
        self._totals.add(table)
        errors, attempts = self._totals.errors, self._totals.attempts
        if attempts.min() <= 0:
            return Answer(None, "no data")
        pooled = float(errors.sum() / attempts.sum())
        own = float((1 / attempts).sum())
        difference = float(errors[0] / attempts[0] - errors[1] / attempts[1])
        one = log_mixture_sprt(difference, pooled * (1 - pooled) * own, max(pooled, 1e-3)) if difference > 0 else 0.0
        slower = self._totals.slower
        two = log_mixture_sprt(slower * math.sqrt(own), own, 0.2) if slower > 0 else 0.0
        worse = max(one, two) >= math.log(2 / ALPHA)
        return Answer(Decision.ROLL_BACK if worse else None, f"log Λ = {max(one, two):.1f}")


class NaiveEProcess:
    """The counting e-process and nothing else: on errors, and on requests beyond the baseline's own p95; α = 1 %.

    No spread between pods, no dispersion, no warm-up, no margin, no restarts.
    """

    name = "naive e-process"

    def __init__(self) -> None:
        self._totals = _Totals()
        self._bound: int | None = None
        self._wealth = np.zeros((2, GRID.size))

    def look(self, table: Table, now: float) -> Answer:  # noqa: ARG002
        if self._bound is None:
            history = table.latency[table.start < 0][:, ~table.canary].sum(axis=(0, 1))
            self._bound = int(np.searchsorted(np.cumsum(history), 0.95 * history.sum())) + 1
        new = self._totals.add(table)
        sides = (table.canary, ~table.canary)
        n = [table.attempts[new][:, side].sum(axis=1) for side in sides]
        both = (n[0] > 0) & (n[1] > 0)
        bad = [
            np.stack(
                [table.errors[new][:, side].sum(axis=1), table.latency[new][:, side, self._bound :].sum(axis=(1, 2))]
            )
            for side in sides
        ]
        for metric in range(2):
            canary, baseline = bad[0][metric][both, None], bad[1][metric][both, None]
            self._wealth[metric] += log_evalues(canary, baseline, n[0][both], n[1][both], GRID[None, :]).sum(axis=0)
        best = float(log_mean(self._wealth, LOG_STAKES_WORSE).max())
        return Answer(Decision.ROLL_BACK if best >= math.log(2 / ALPHA) else None, f"log e = {best:.1f}")
