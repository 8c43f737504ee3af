"""What the proxies reported, as windows of about a second, for an hour.

A window is open until every proxy of the window before has reported into it, or for ``LATENESS`` at most; what comes
later goes into the next one, so every count is in exactly one window. A proxy flushes once a second by its own clock: a window
holds what proxies *reported* between its start and end, which they measured up to a second before its start.

Nothing here waits or reads a clock of its own; ``observe`` and ``tick`` are called from one event loop.
"""

from __future__ import annotations

import uuid
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from mesh.telemetry.counters import Counts, Host, Point, ProxyTotals, Report, Row, Series, Values
from mesh.telemetry.windows import Window, merge

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from mesh.api.telemetry import TelemetryWindow

__all__ = ["Numbered", "TelemetryStore"]

LATENESS: Final = 1.5
"""Seconds. The longest that a window stays open; proxies flush every second."""
FORGOTTEN: Final = 600.0
"""Seconds. After so much silence a proxy's totals are dropped; should it speak again, it starts from a baseline."""
RETENTION: Final = 3600.0
FINE: Final = 120.0
"""Seconds for which windows are kept as they were closed; older ones are merged."""
COARSE: Final = 10.0
"""Seconds that a merged window covers."""
MAX_RETIRED: Final = 10_000
"""How many forgotten proxies are remembered by name."""
MAX_ROWS: Final = 200_000
"""Bound on what all windows together hold; beyond it the oldest go before their time."""


class Numbered(NamedTuple):
    """A window as a host's reader gets it, with the number to go on from."""

    number: int
    window: TelemetryWindow


class TelemetryStore:
    """The windows of every host.

    Args:
        clock: Unix seconds.
        epoch: Names this process's life; by default a random one.
        counted: Called with what is new of a proxy's (``namespace/pod``) series.
        measured: Called with what is new of its standard metrics.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        epoch: str | None = None,
        counted: Callable[[str, Series, Counts], None] = lambda _proxy, _series, _delta: None,
        measured: Callable[[str, Mapping[Point, Values]], None] = lambda _proxy, _news: None,
    ) -> None:
        self.epoch: Final = epoch or uuid.uuid4().hex
        self._clock = clock
        self._counted = counted
        self._measured = measured
        self._proxies: dict[str, ProxyTotals] = {}
        self._seen: dict[str, float] = {}
        self._ejected: dict[str, Mapping[str, int]] = {}
        self._callers: dict[Host, set[str]] = {}
        # Totals of an Envoy that started before this moment, or before we forgot it, hold what was counted already.
        self._counted_before = clock()
        self._retired: dict[str, float] = {}
        self._opened = clock()
        self._reported: set[str] = set()
        self._awaited: set[str] = set()
        self._open: dict[Host, dict[Row, Counts]] = {}
        self._fine: deque[Window] = deque()
        self._coarse: deque[Window] = deque()
        self._rows = 0
        self._next = 0
        self._listeners: list[Callable[[], None]] = []

    # Writing

    def observe(self, report: Report) -> None:
        """Take one proxy's report into the open window."""
        now = self._now()
        for host in {series.host for series in report.totals}:
            self._callers.setdefault(host, set()).add(report.proxy)
        self._seen[report.proxy] = now
        if report.ejected:
            self._ejected[report.proxy] = report.ejected
        else:
            self._ejected.pop(report.proxy, None)
        known = self._proxies.get(report.proxy)
        if known is None:
            known = self._proxies[report.proxy] = ProxyTotals()
            if self._may_be_counted(report, now):
                known.baseline(report)
                if not self._reported:
                    self._opened = now  # of the time before it nothing is known, and a window would say zero
                return
        news = known.advance(report)
        for series, delta in news.series.items():
            self._add(series, delta)
            if not series.mirrored:
                self._counted(report.proxy, series, delta)
        if news.points:
            self._measured(report.proxy, news.points)
        self._reported.add(report.proxy)
        self.tick()

    def tick(self) -> None:
        """Close the open window if it is due, and drop what is too old. Call it several times a second."""
        now = self._now()
        due = now - self._opened >= LATENESS
        if self._reported and (due or self._awaited <= self._reported):
            self._close(now)
        elif due:
            self._opened, self._awaited = now, set()

    def retire(self, proxy: str) -> None:
        """Forget a proxy whose pod is gone for good: nobody waits for it or misses its reports.

        What it reported stays counted. Should it report once more, that report is a baseline.

        Args:
            proxy: ``namespace/pod``.
        """
        if (seen := self._seen.pop(proxy, None)) is None:
            return
        del self._proxies[proxy]
        self._ejected.pop(proxy, None)
        self._retired[proxy] = seen
        self._awaited.discard(proxy)
        if len(self._retired) > MAX_RETIRED:
            oldest = next(iter(self._retired))
            self._counted_before = max(self._counted_before, self._retired.pop(oldest))
        for host in [host for host, callers in self._callers.items() if proxy in callers]:
            self._callers[host].discard(proxy)
            if not self._callers[host]:
                del self._callers[host]

    def retain(self, proxies: Collection[str]) -> None:
        """Retire every proxy but these (``namespace/pod``)."""
        for proxy in self._seen.keys() - set(proxies):
            self.retire(proxy)

    def _now(self) -> float:
        return max(self._clock(), self._opened)

    def _may_be_counted(self, report: Report, now: float) -> bool:
        """Say whether an unknown proxy's Envoy is so old that its totals may have been counted already.

        One that started in the second before us counts as young: nobody was there to hear its first report.
        """
        # Its age and our clock: the clocks of two machines may differ by seconds.
        return now - report.least_age <= max(self._counted_before, self._retired.pop(report.proxy, 0.0))

    def _add(self, series: Series, delta: Counts) -> None:
        rows = self._open.setdefault(series.host, {})
        rows[series.row] = rows.get(series.row, Counts()) + delta

    def _close(self, now: float) -> None:
        window = Window(
            first=self._next,
            last=self._next,
            start=self._opened,
            end=now,
            reporting=len(self._reported),
            callers={host: len(callers & self._reported) for host, callers in self._callers.items()},
            hosts=self._open,
        )
        self._next += 1
        self._opened, self._awaited, self._reported, self._open = now, self._reported, set(), {}
        self._fine.append(window)
        self._rows += window.rows
        self._shrink(now)
        for listener in tuple(self._listeners):
            listener()

    def _shrink(self, now: float) -> None:
        for proxy in [proxy for proxy, seen in self._seen.items() if seen < now - FORGOTTEN]:
            self.retire(proxy)
        while self._fine and self._fine[0].end < now - FINE:
            self._compact(self._fine.popleft())
        while self._coarse and (self._coarse[0].end < now - RETENTION or self._rows > MAX_ROWS):
            self._rows -= self._coarse.popleft().rows
        while len(self._fine) > 1 and self._rows > MAX_ROWS:
            self._rows -= self._fine.popleft().rows

    def _compact(self, window: Window) -> None:
        newest = self._coarse[-1] if self._coarse else None
        if newest is None or newest.end != window.start or newest.start // COARSE != window.start // COARSE:
            self._coarse.append(window)
            return
        merged = merge(newest, window)
        self._rows += merged.rows - newest.rows - window.rows
        self._coarse[-1] = merged

    # Reading

    @property
    def hosts(self) -> list[Host]:
        """The hosts that some proxy has called, sorted."""
        return sorted(self._callers)

    @property
    def proxies(self) -> dict[str, float]:
        """When each known proxy reported last, Unix seconds."""
        return dict(sorted(self._seen.items()))

    @property
    def ejected(self) -> Mapping[str, Mapping[str, int]]:
        """How many endpoints each proxy has ejected now, by the Envoy cluster's name."""
        return self._ejected

    def windows(self, host: Host, *, since: float = 0.0, after: int = -1) -> list[Numbered]:
        """Return the host's closed windows, oldest first.

        Args:
            host: Whose requests.
            since: Only windows that end later (Unix seconds). A merged one that began before is left out, as a part of
                it is older.
            after: Only windows with a higher number; a merged one that holds this number's window is left out likewise.
        """
        found: list[Numbered] = []
        for window in (*self._coarse, *self._fine):
            merged = window.first != window.last
            if window.end <= since or window.last <= after:
                continue
            if merged and (window.start < since or window.first <= after):
                continue
            if (view := window.view(host, self.epoch)) is not None:
                found.append(Numbered(window.last, view))
        return found

    @property
    def newest(self) -> int:
        """Number of the window that closed last, -1 before the first."""
        return self._next - 1

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` whenever a window has closed; it must not block. Returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
