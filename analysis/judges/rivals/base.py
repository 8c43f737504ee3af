"""What the rivals' rules share: metrics over a span of time, as a monitoring query would answer them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from analysis.judges.table import Table
    from analysis.model.verdict import Decision

__all__ = ["Answer", "Rival", "error_rate", "p99", "span"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a rule says.

    Attributes:
        decision: PROMOTE or ROLL_BACK; None while it goes on.
        words: Why.
    """

    decision: Decision | None
    words: str


class Rival(Protocol):
    """A rule. One instance judges one release, and is asked at each look in order."""

    name: str

    def look(self, table: Table, now: float) -> Answer:
        """Answer at a look.

        Args:
            table: All counts until now; windows before the release's start hold the baseline's history.
            now: Unix seconds.
        """
        ...


def span(table: Table, start: float, end: float) -> slice:
    """Rows of the windows that begin within [start, end)."""
    first, last = np.searchsorted(table.start, [start - 1e-9, end - 1e-9])
    return slice(int(first), int(last))


def error_rate(table: Table, rows: slice, *, canary: bool) -> float | None:
    """Share of failed attempts; None without attempts."""
    side = table.canary == canary
    attempts = float(table.attempts[rows][:, side].sum())
    return float(table.errors[rows][:, side].sum()) / attempts if attempts > 0 else None


def p99(table: Table, rows: slice, bounds: tuple[float, ...], *, canary: bool) -> float | None:
    """The 99th percentile in milliseconds as Prometheus' ``histogram_quantile`` estimates it; None without latencies.

    Linear within a bucket, from 0 in the first one; beyond the last bound, that bound.
    """
    below = np.cumsum(table.latency[rows][:, table.canary == canary].sum(axis=(0, 1)))
    if not below.size or below[-1] <= 0:
        return None
    rank = 0.99 * below[-1]
    bucket = int(np.searchsorted(below, rank))
    if bucket >= len(bounds):
        return float(bounds[-1])
    low, passed = (bounds[bucket - 1], below[bucket - 1]) if bucket else (0.0, 0.0)
    return float(low + (bounds[bucket] - low) * (rank - passed) / (below[bucket] - passed))
