"""The last minutes of all counts with their callers, for the service graph.

Windows add all callers up, which is what a judge needs. Here each caller's counts stay apart, and only for ``KEPT``
seconds. Nothing here waits; ``add`` is called from one event loop.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from mesh.telemetry.counters import Counts, Series

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KEPT", "Call", "Edges"]

KEPT: Final = 120.0
"""Seconds."""
_SLOT: Final = 2.0
"""Seconds whose counts are added up."""
_MAX_ROWS: Final = 100_000
"""Bound on what all slots together hold; beyond it the oldest go before their time."""


class Call(NamedTuple):
    """What is counted apart.

    Attributes:
        source: The calling proxy, ``namespace/pod``.
        series: What it called.
    """

    source: str
    series: Series


class _Slot(NamedTuple):
    start: float
    rows: dict[Call, Counts]


class Edges:
    """Counts by caller.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._slots: deque[_Slot] = deque()
        self._began = clock()
        self._rows = 0

    def add(self, source: str, series: Series, delta: Counts) -> None:
        """Take what is new of a proxy's series."""
        now = self._clock()
        if not self._slots or not 0 <= now - self._slots[-1].start < _SLOT:
            self._slots.append(_Slot(now, {}))
            self._shrink(now)
        rows, call = self._slots[-1].rows, Call(source, series)
        self._rows += call not in rows
        rows[call] = rows.get(call, Counts()) + delta

    def read(self, seconds: float) -> tuple[float, dict[Call, Counts]]:
        """Return the counts of the last seconds, and how many seconds that really are: less after a start, ``KEPT`` at most.

        Args:
            seconds: How far back.
        """
        now = self._clock()
        first = max(now - min(seconds, KEPT), self._began)
        total: dict[Call, Counts] = {}
        for slot in self._slots:
            if slot.start >= first:
                for call, counts in slot.rows.items():
                    total[call] = total.get(call, Counts()) + counts
        return max(now - first, 0.0), total

    def _shrink(self, now: float) -> None:
        while len(self._slots) > 1 and ((full := self._rows > _MAX_ROWS) or self._slots[0].start < now - KEPT - _SLOT):
            self._rows -= len(self._slots.popleft().rows)
            if full:  # of the time before nothing is known any more, which is not that nobody called
                self._began = max(self._began, self._slots[0].start)
