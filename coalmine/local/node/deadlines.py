"""A point in time that may be moved closer while others wait for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["Deadline", "first"]


class Deadline:
    """The end of a grace period, in seconds of the event loop's clock."""

    def __init__(self, seconds: float) -> None:
        """Set it that many seconds from now."""
        self._loop = asyncio.get_running_loop()
        self._at = self._loop.time() + seconds
        self._moved = asyncio.Event()

    @property
    def remaining(self) -> float:
        """Seconds left, at least 0."""
        return max(0.0, self._at - self._loop.time())

    def shorten(self, seconds: float) -> None:
        """Move it to that many seconds from now, if that is earlier."""
        at = self._loop.time() + seconds
        if at < self._at:
            self._at = at
            self._moved.set()
            self._moved = asyncio.Event()

    async def reached(self) -> None:
        """Wait until it is there."""
        while self.remaining > 0:
            moved = self._moved
            try:
                async with asyncio.timeout(self.remaining):
                    await moved.wait()
            except TimeoutError:
                continue


async def first(*several: Awaitable[object]) -> None:
    """Wait for the first of several things and cancel the others.

    Raises:
        Exception: What the first one raised.
    """
    tasks = [asyncio.ensure_future(one) for one in several]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
