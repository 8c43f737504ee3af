"""Argo Rollouts' rule: an expression on a query's result, with limits for failures, errors and inconclusive results.

Source: argo-rollouts.readthedocs.io, "Analysis & Progressive Delivery": a measurement is Successful or Failed by
``successCondition``/``failureCondition``; more than ``failureLimit`` (default 0) failed ones fail the run and abort the rollout,
more than ``consecutiveErrorLimit`` (default 4) errors in a row are an error. An empty result is an error of the query.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.judges.rivals.base import Answer, error_rate, p99, span
from analysis.model.verdict import Decision

if TYPE_CHECKING:
    from analysis.judges.table import Table

__all__ = ["Argo"]


class Argo:
    """One release under a background analysis of success rate and latency."""

    def __init__(
        self,
        bounds: tuple[float, ...],
        *,
        most_errors: float = 0.05,
        most_p99: float = 500.0,
        interval: float = 60.0,
        failure_limit: int = 0,
        consecutive_error_limit: int = 4,
        name: str = "Argo",
    ) -> None:
        """Make one.

        Args:
            bounds: Latency bucket bounds, milliseconds.
            most_errors: ``successCondition: result[0] <= …`` on the error rate.
            most_p99: The same on the 99th percentile, milliseconds.
            interval: Seconds between measurements; also the span of the query.
            failure_limit: Failed measurements that are tolerated, of each metric.
            consecutive_error_limit: Measurements without a result that are tolerated in a row.
            name: For tables.
        """
        self.name = name
        self._bounds, self._interval = bounds, interval
        self._limits = {"success-rate": most_errors, "latency": most_p99}
        self._failure_limit, self._error_limit = failure_limit, consecutive_error_limit
        self._measured: float | None = None
        self._failed = dict.fromkeys(self._limits, 0)
        self._errors = dict.fromkeys(self._limits, 0)

    def look(self, table: Table, now: float) -> Answer:
        """Measure if an interval has passed since the last measurement; the first one after an interval."""
        if self._measured is None:
            self._measured = now
        if now - self._measured < self._interval - 1e-9:
            return Answer(None, "between measurements")
        self._measured = now
        rows = span(table, now - self._interval, now)
        found = {
            "success-rate": error_rate(table, rows, canary=True),
            "latency": p99(table, rows, self._bounds, canary=True),
        }
        for name, value in found.items():
            answer = self._one(name, value)
            if answer is not None:
                return answer
        return Answer(None, f"failed: {self._failed}")

    def _one(self, name: str, value: float | None) -> Answer | None:
        if value is None:
            self._errors[name] += 1
            if self._errors[name] > self._error_limit:
                return Answer(
                    Decision.ROLL_BACK, f"metric {name} assessed Error: consecutiveErrors > {self._error_limit}"
                )
            return None
        self._errors[name] = 0
        if value > self._limits[name]:
            self._failed[name] += 1
        if self._failed[name] > self._failure_limit:
            words = (
                f"metric {name} assessed Failed: failed ({self._failed[name]}) > failureLimit ({self._failure_limit})"
            )
            return Answer(Decision.ROLL_BACK, words)
        return None
