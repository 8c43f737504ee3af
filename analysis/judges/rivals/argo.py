"""Argo Rollouts' rule: an expression on a query's result, with limits for failures, errors and inconclusive results.

A measurement is Successful when ``successCondition`` holds. Where it does not, it is Failed, or, with a
``failureCondition`` that does not hold either, Inconclusive. More than ``failureLimit`` failed ones fail the analysis and
abort the rollout; more than ``inconclusiveLimit`` inconclusive ones pause it for a person; more than
``consecutiveErrorLimit`` errors in a row abort it. An empty result (``result[0]`` of nothing) is an error; nought by
nought is NaN, with which every comparison is false.

Source: argo-rollouts.readthedocs.io, "Analysis & Progressive Delivery"; github.com/argoproj/argo-rollouts,
analysis/analysis.go and utils/evaluate/evaluate.go.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.judges.rivals.base import Answer, error_rate, p99, span
from analysis.model.verdict import Decision

if TYPE_CHECKING:
    from analysis.judges.table import Table

__all__ = ["Argo"]


@dataclass
class _Metric:
    """One metric of the analysis: its conditions, and what was measured."""

    most: float
    failing: float | None
    failed: int = 0
    inconclusive: int = 0
    errors_in_a_row: int = 0

    def measure(self, value: float | None) -> None:
        """Count a measurement; None is an error."""
        if value is None:
            self.errors_in_a_row += 1
            return
        self.errors_in_a_row = 0
        success = value <= self.most
        failure = not success if self.failing is None else value > self.failing
        if failure:
            self.failed += 1
        elif not success:
            self.inconclusive += 1


class Argo:
    """One release under a background analysis of success rate and latency."""

    def __init__(
        self,
        bounds: tuple[float, ...],
        *,
        most_errors: float = 0.05,
        most_p99: float = 500.0,
        failing_errors: float | None = None,
        failing_p99: float | None = None,
        interval: float = 60.0,
        failure_limit: int = 0,
        inconclusive_limit: int = 0,
        consecutive_error_limit: int = 4,
        name: str = "Argo",
    ) -> None:
        """Make one.

        Args:
            bounds: Latency bucket bounds, milliseconds.
            most_errors: ``successCondition: result[0] <= …`` on the error rate.
            most_p99: The same on the 99th percentile, milliseconds.
            failing_errors: ``failureCondition: result[0] > …`` on the error rate; None for no such condition.
            failing_p99: The same on the 99th percentile.
            interval: Seconds between measurements; also the span of the query, and the ``initialDelay``.
            failure_limit: Failed measurements that are tolerated, of each metric.
            inconclusive_limit: Inconclusive measurements that are tolerated, of each metric.
            consecutive_error_limit: Measurements without a result that are tolerated in a row.
            name: For tables.
        """
        self.name = name
        self._bounds, self._interval = bounds, interval
        self._metrics = {
            "success-rate": _Metric(most_errors, failing_errors),
            "latency": _Metric(most_p99, failing_p99),
        }
        self._limits = failure_limit, inconclusive_limit, consecutive_error_limit
        self._measured: float | None = None
        self._ended: Answer | None = None

    def look(self, table: Table, now: float) -> Answer:
        """Measure if an interval has passed since the last measurement; the first one after an interval."""
        if self._measured is None:
            self._measured = now
        if self._ended is not None:
            return self._ended
        if now - self._measured < self._interval - 1e-9:
            return Answer(None, "between measurements")
        self._measured = now
        for (name, metric), value in zip(self._metrics.items(), self._values(table, now), strict=True):
            metric.measure(value)
            self._ended = self._ended or self._assess(name, metric)
        counts = {name: metric.failed for name, metric in self._metrics.items()}
        return self._ended or Answer(None, f"failed: {counts}")

    def _values(self, table: Table, now: float) -> tuple[float | None, float | None]:
        """The results of both queries: None for no series at all, NaN for series without requests."""
        rows = span(table, now - self._interval, now)
        if not table.attempts[rows].any():
            return None, None
        rate, slow = error_rate(table, rows, canary=True), p99(table, rows, self._bounds, canary=True)
        return math.nan if rate is None else rate, math.nan if slow is None else slow

    def _assess(self, name: str, metric: _Metric) -> Answer | None:
        failures, inconclusive, errors = self._limits
        if metric.failed > failures:
            return Answer(
                Decision.ROLL_BACK,
                f"metric {name} assessed Failed: failed ({metric.failed}) > failureLimit ({failures})",
            )
        if metric.inconclusive > inconclusive:
            return Answer(None, f"metric {name} assessed Inconclusive: paused until a person decides")
        if metric.errors_in_a_row > errors:
            return Answer(Decision.ROLL_BACK, f"metric {name} assessed Error: consecutiveErrors > {errors}")
        return None
