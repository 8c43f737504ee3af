"""Flagger's rule: the canary alone against fixed thresholds, failures counted until there are too many.

Each ``interval`` the success rate must be at least ``thresholdRange.min`` and the request duration (p99) at most
``thresholdRange.max``, over the metric's own ``interval`` (a minute by default). A failed check, a missing value and a
failed query each count one, checks that pass take nothing back, and ``threshold`` of them roll back.

Source: docs.flagger.app, "Deployment strategies" and "Metrics Analysis"; github.com/fluxcd/flagger, scheduler_metrics.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.judges.rivals.base import Answer, error_rate, p99, span
from analysis.model.verdict import Decision

if TYPE_CHECKING:
    from analysis.judges.table import Table

__all__ = ["Flagger"]


class Flagger:
    """One release under Flagger's rule."""

    def __init__(
        self,
        bounds: tuple[float, ...],
        *,
        most_errors: float = 0.01,
        most_p99: float = 500.0,
        interval: float = 10.0,
        window: float = 60.0,
        threshold: int = 5,
        name: str = "Flagger",
    ) -> None:
        """Make one.

        Args:
            bounds: Latency bucket bounds, milliseconds.
            most_errors: One less ``request-success-rate``'s minimum.
            most_p99: ``request-duration``'s maximum, milliseconds.
            interval: Seconds between checks.
            window: Span of the queries, seconds.
            threshold: Failed checks that roll back.
            name: For tables.
        """
        self.name = name
        self._bounds, self._most_errors, self._most_p99 = bounds, most_errors, most_p99
        self._interval, self._window, self._threshold = interval, window, threshold
        self._checked, self._failed = -float("inf"), 0

    def look(self, table: Table, now: float) -> Answer:
        """Check if an interval has passed since the last check."""
        if now - self._checked < self._interval - 1e-9:
            return Answer(None, "between checks")
        self._checked = now
        reason = self._check(table, now)
        if reason is None:
            return Answer(None, f"check passed, {self._failed} of {self._threshold} failed")
        self._failed += 1
        if self._failed >= self._threshold:
            return Answer(Decision.ROLL_BACK, f"failed checks threshold reached {self._failed}: {reason}")
        return Answer(None, f"{self._failed} of {self._threshold} failed: {reason}")

    def _check(self, table: Table, now: float) -> str | None:
        """Why this check fails; None when it passes. The success rate comes first, and hides the duration."""
        rows = span(table, now - self._window, now)
        rate = error_rate(table, rows, canary=True)
        if rate is None:
            return "no values found for request-success-rate"
        if rate > self._most_errors:
            return f"success rate {100 * (1 - rate):.2f} % < {100 * (1 - self._most_errors):.2f} %"
        slow = p99(table, rows, self._bounds, canary=True)
        if slow is None:
            return "no values found for request-duration"
        return f"request duration {slow:.0f} ms > {self._most_p99:.0f} ms" if slow > self._most_p99 else None
