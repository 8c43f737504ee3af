"""Closed windows: what all proxies reported in about a second, and how old ones are merged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.api.telemetry import PodWindow, TelemetryWindow
from mesh.telemetry.counters import Counts, Host, Row, add_buckets

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Window", "merge"]


@dataclass(frozen=True, slots=True)
class Window:
    """One closed window of all hosts.

    Attributes:
        first: Number of the first window in it; windows are numbered in the order in which they close.
        last: Number of the last window in it; differs from ``first`` once windows were merged.
        start: Unix seconds.
        end: Unix seconds.
        reporting: Proxies that reported at all.
        callers: Of those, by host, the ones that have called it; 0 where there are such proxies and none reported.
        hosts: Counts by host, then by backend, pod and route.
    """

    first: int
    last: int
    start: float
    end: float
    reporting: int
    callers: Mapping[Host, int]
    hosts: Mapping[Host, Mapping[Row, Counts]]

    @property
    def rows(self) -> int:
        """How many counts it holds."""
        return sum(len(rows) for rows in self.hosts.values()) + len(self.callers) + 1

    def view(self, host: Host, epoch: str) -> TelemetryWindow | None:
        """Return the window as one host's reader sees it, or None where nobody could have seen the host's traffic.

        A host that nobody has called yet is seen by every proxy: it had no requests.
        """
        reporting = self.callers.get(host, self.reporting)
        if not reporting:
            return None
        rows = self.hosts.get(host, {})
        return TelemetryWindow(
            epoch=epoch,
            start=self.start,
            end=self.end,
            reporting=reporting,
            pods=tuple(_pod(row, counts) for row, counts in sorted(rows.items())),
        )


def _pod(row: Row, counts: Counts) -> PodWindow:
    return PodWindow(
        backend=row.backend,
        pod=row.pod,
        route=row.route,
        mirrored=row.mirrored,
        requests=counts.requests,
        request_errors=counts.request_errors,
        attempts=counts.attempts,
        attempt_errors=counts.attempt_errors,
        latency=add_buckets(counts.answered, counts.silent),
    )


def merge(earlier: Window, later: Window) -> Window:
    """Return the two as one window. They must follow each other without a gap."""
    hosts: dict[Host, dict[Row, Counts]] = {host: dict(rows) for host, rows in earlier.hosts.items()}
    for host, rows in later.hosts.items():
        target = hosts.setdefault(host, {})
        for row, counts in rows.items():
            target[row] = target.get(row, Counts()) + counts
    callers = dict(earlier.callers)
    for host, number in later.callers.items():
        callers[host] = max(number, callers.get(host, 0))
    return Window(
        first=earlier.first,
        last=later.last,
        start=earlier.start,
        end=later.end,
        reporting=max(earlier.reporting, later.reporting),
        callers=callers,
        hosts=hosts,
    )
