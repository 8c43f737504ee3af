"""Kayenta's rule (NetflixACA judge): each metric's time series of canary and baseline compared by a Mann-Whitney interval.

A metric is High when the lower end of the 98 % interval of the shift is above a quarter of the estimate's size and the
ratio of the means is at least ``allowedIncrease`` (a ratio that cannot be computed is ignored). Identical or constant
series pass. The score is the share of metrics that pass; a critical metric that is High makes it 0. It is meant for one
look at the end, after which a score of ``pass`` promotes; one below ``marginal`` rolls back, at every look.

Source: spinnaker.io, "How canary judgment works" and "Canary config"; github.com/spinnaker/kayenta, NetflixACAJudge,
MannWhitneyClassifier and WeightedSumScorer (read at a69573be).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges.rivals.base import Answer, error_rate, p99, span
from analysis.model.verdict import Decision
from analysis.stats.classical import mann_whitney_interval

if TYPE_CHECKING:
    from analysis.judges.table import Table
    from analysis.stats.counting import Array

__all__ = ["Kayenta"]

_CONFIDENCE: Final = 0.98
_TOLERANCE: Final = 0.25


class Kayenta:
    """One release under Kayenta's rule, on error rate and p99; values that are missing are left out of a series."""

    def __init__(
        self,
        bounds: tuple[float, ...],
        *,
        start: float,
        step: float = 10.0,
        fewest: int = 12,
        end: float | None = None,
        allowed_increase: float = 1.0,
        critical: bool = True,
        pass_score: float = 95.0,
        marginal_score: float = 75.0,
        name: str = "Kayenta",
    ) -> None:
        """Make one.

        Args:
            bounds: Latency bucket bounds, milliseconds.
            start: When the release began, Unix seconds.
            step: Seconds of one point of the series.
            fewest: Points of a series before it is looked at; it does not matter at ``end``.
            end: The only time to look at; None to look every time.
            allowed_increase: Ratio of means from which a metric may be High.
            critical: Whether one High metric is enough.
            pass_score: Score from which the end promotes.
            marginal_score: Score below which it rolls back.
            name: For tables.
        """
        self.name = name
        self._bounds, self._step, self._fewest, self._end = bounds, step, fewest, end
        self._allowed, self._critical, self._scores = allowed_increase, critical, (marginal_score, pass_score)
        self._series: dict[str, tuple[list[float], list[float]]] = {"errors": ([], []), "latency": ([], [])}
        self._until = start

    def look(self, table: Table, now: float) -> Answer:
        """Take up the points that are complete, and judge when there are enough."""
        self._take_up(table, now)
        last = self._end is not None and now >= self._end - 1e-9
        if self._end is not None and not last:
            return Answer(None, "waits for the end")
        fewest = 1 if last else self._fewest
        judged = {name: pair for name, pair in self._series.items() if min(map(len, pair)) >= fewest}
        if not judged:
            return Answer(Decision.ROLL_BACK if last else None, "no metric has data")
        high = [name for name, pair in judged.items() if self._high(*map(np.array, pair))]
        score = 0.0 if high and self._critical else 100.0 * (1.0 - len(high) / len(judged))
        words = f"score {score:.0f}" + (f", {' and '.join(high)} High" if high else "")
        if score < self._scores[0]:
            return Answer(Decision.ROLL_BACK, words)
        return Answer(Decision.PROMOTE if last and score >= self._scores[1] else None, words)

    def _take_up(self, table: Table, now: float) -> None:
        while self._until + self._step <= now + 1e-9:
            rows = span(table, self._until, self._until + self._step)
            self._until += self._step
            for number, side in enumerate((True, False)):
                values = (error_rate(table, rows, canary=side), p99(table, rows, self._bounds, canary=side))
                for series, value in zip(self._series.values(), values, strict=True):
                    if value is not None:
                        series[number].append(value)

    def _high(self, canary: Array, baseline: Array) -> bool:
        if np.array_equal(np.sort(canary), np.sort(baseline)) or np.ptp(np.concatenate([canary, baseline])) == 0:
            return False
        low, estimate, _ = mann_whitney_interval(canary, baseline, _CONFIDENCE)
        means = float(canary.mean()), float(baseline.mean())
        grown = 0.0 in means or means[0] / means[1] >= self._allowed
        return low > _TOLERANCE * abs(estimate) and grown
