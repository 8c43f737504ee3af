"""Kayenta's rule (NetflixACA judge): each metric's time series of canary and baseline compared by a Mann-Whitney interval.

Source: spinnaker.io, "How canary judgment works", and the judge's own description: at 98 % confidence the canary is High when
the lower end of the interval of the shift lies above a quarter of the estimate's size and the ratio of means is at least
``allowedIncrease``; a critical metric that is High fails the analysis. It is meant for one look at the end.
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
    """One release under Kayenta's rule, with errors and p99 both critical."""

    def __init__(
        self,
        bounds: tuple[float, ...],
        *,
        start: float,
        step: float = 10.0,
        fewest: int = 12,
        end: float | None = None,
        allowed_increase: float = 1.0,
        name: str = "Kayenta",
    ) -> None:
        """Make one.

        Args:
            bounds: Latency bucket bounds, milliseconds.
            start: When the release began, Unix seconds.
            step: Seconds of one point of the series.
            fewest: Points that it takes.
            end: The only time to look at; None to look every time.
            allowed_increase: Ratio of means from which a metric may be High.
            name: For tables.
        """
        self.name = name
        self._bounds, self._start, self._step, self._fewest = bounds, start, step, fewest
        self._end, self._allowed = end, allowed_increase
        self._points: dict[str, list[tuple[float, float]]] = {"errors": [], "latency": []}
        self._until = start

    def look(self, table: Table, now: float) -> Answer:
        """Take up the points that are complete, and judge when there are enough."""
        while self._until + self._step <= now + 1e-9:
            rows = span(table, self._until, self._until + self._step)
            self._until += self._step
            self._take("errors", *(error_rate(table, rows, canary=side) for side in (True, False)))
            self._take("latency", *(p99(table, rows, self._bounds, canary=side) for side in (True, False)))
        if self._end is not None and now < self._end - 1e-9:
            return Answer(None, "waits for the end")
        for name, points in self._points.items():
            if len(points) >= self._fewest:
                canary, baseline = np.array(points).T
                if self._high(canary, baseline):
                    return Answer(
                        Decision.ROLL_BACK, f"{name}: High ({canary.mean():.4g} against {baseline.mean():.4g})"
                    )
        if self._end is not None:
            return Answer(Decision.PROMOTE, "every metric passes")
        return Answer(None, "no metric is High")

    def _take(self, name: str, canary: float | None, baseline: float | None) -> None:
        if canary is not None and baseline is not None:
            self._points[name].append((canary, baseline))

    def _high(self, canary: Array, baseline: Array) -> bool:
        if not (canary != baseline).any():
            return False
        low, estimate, _ = mann_whitney_interval(canary, baseline, _CONFIDENCE)
        mean = float(baseline.mean())
        grown = float(canary.mean()) / mean >= self._allowed if mean > 0 else float(canary.mean()) > 0
        return low > _TOLERANCE * abs(estimate) and grown
