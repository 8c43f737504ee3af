"""Counts of the last two minutes, by whatever they are of."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from mesh.telemetry.edges import KEPT

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Recent"]

KeyT = TypeVar("KeyT", bound="Hashable")
_SLOT: Final = 2.0
"""Seconds whose counts are added up."""
_MAX_KEYS: Final = 100_000
"""Of all slots together; beyond it the oldest go before their time."""


class Recent(Generic[KeyT]):
    """Counts of the last ``KEPT`` seconds.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._slots: deque[tuple[float, Counter[KeyT]]] = deque()

    def add(self, key: KeyT, count: int) -> None:
        """Count something now."""
        now = self._clock()
        if not self._slots or not 0 <= now - self._slots[-1][0] < _SLOT:
            self._slots.append((now, Counter()))
            while self._slots[0][0] < now - KEPT - _SLOT or (self._full and len(self._slots) > 1):
                self._slots.popleft()
        self._slots[-1][1][key] += count

    @property
    def _full(self) -> bool:
        return sum(len(counts) for _, counts in self._slots) > _MAX_KEYS

    def read(self, seconds: float) -> Counter[KeyT]:
        """Return the counts of the last seconds, ``KEPT`` at most."""
        first = self._clock() - min(seconds, KEPT)
        total: Counter[KeyT] = Counter()
        for start, counts in self._slots:
            if start >= first:
                total.update(counts)
        return total
