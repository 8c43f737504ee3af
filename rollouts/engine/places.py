"""So many looks at once, so that a controller with much to do stays quick to hear and quick for whoever asks it something."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rollouts.engine.cache import Key

__all__ = ["Places"]


class Places:
    """A number of places and a line before them, of the event loop that it is used in. Who is urgent needs no place."""

    def __init__(self, number: int, seconds: float) -> None:
        """Make them, all free.

        Args:
            number: How many.
            seconds: Who has had a place for so long gives it back: it does not work but waits for somebody.
        """
        self._free = number
        self._seconds = seconds
        self._line: dict[Key, asyncio.Future[bool]] = {}

    @asynccontextmanager
    async def take(self, key: Key, *, urgent: bool) -> AsyncIterator[None]:
        """Wait for a place, and have it.

        Args:
            key: Who waits; each only once at a time.
            urgent: Go on at once, without a place.
        """
        if urgent or not await self._wait(key):
            yield
            return
        has = True

        def give_back() -> None:
            nonlocal has
            if has:
                has = False
                self._give_back()

        timer = asyncio.get_running_loop().call_later(self._seconds, give_back)
        try:
            yield
        finally:
            timer.cancel()
            give_back()

    def hurry(self, key: Key) -> None:
        """Let somebody through who waits in the line."""
        if (waiting := self._line.pop(key, None)) is not None and not waiting.done():
            waiting.set_result(False)

    async def _wait(self, key: Key) -> bool:
        """Return whether it is a place, or it was let through."""
        if self._free > 0:
            self._free -= 1
            return True
        waiting: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._line[key] = waiting
        try:
            return await waiting
        except asyncio.CancelledError:
            if self._line.get(key) is waiting:
                del self._line[key]
            if waiting.done() and not waiting.cancelled() and waiting.result():
                self._give_back()
            raise

    def _give_back(self) -> None:
        while self._line:
            waiting = self._line.pop(next(iter(self._line)))
            if not waiting.done():  # not of one who is being cancelled
                waiting.set_result(True)
                return
        self._free += 1
