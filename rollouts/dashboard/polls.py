"""What the mesh is asked for again and again while somebody looks: once for all of them, and not at all while nobody does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

from rollouts.dashboard.feeds import ValueFeed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from rollouts.dashboard.feeds import Feed

__all__ = ["Poll"]

_LOG = logging.getLogger(__name__)
_LINGER: Final = 15.0
_PATIENCE: Final = 5.0
"""Seconds that a look waits for the first answer."""


class Poll:
    """One question.

    Attributes:
        feed: The answers.
        on_news: Called with the feed when it has a new version.
    """

    def __init__(self, topic: str, ask: Callable[[], Awaitable[Mapping[str, Any]]], every: float) -> None:
        """Make one that asks nothing yet.

        Args:
            topic: Its name in the stream.
            ask: Asks, and returns the view; it never raises for what the mesh does.
            every: Seconds between two questions.
        """
        self.feed = ValueFeed(topic)
        self.on_news: Callable[[Feed], None] = lambda _feed: None
        self._ask, self._every = ask, every
        self._looks = 0
        self._task: asyncio.Task[None] | None = None
        self._answered = asyncio.Event()

    @contextlib.asynccontextmanager
    async def looking(self) -> AsyncIterator[ValueFeed]:
        """Ask while this lasts, and a moment longer. It begins when there is an answer."""
        self._looks += 1
        if self._task is None or self._task.done():
            self._answered.clear()
            self._task = asyncio.create_task(self._run(), name=f"dashboard {self.feed.topic}")
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await self._answered.wait()
            yield self.feed
        finally:
            self._looks -= 1

    async def close(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        idle = 0.0
        while idle < _LINGER:
            version = self.feed.version
            try:
                self.feed.set(await self._ask())
            except Exception:  # noqa: BLE001 - a defect of a view must not end the polling
                _LOG.exception("the dashboard's view %s cannot be made", self.feed.topic)
            self._answered.set()
            if self.feed.version != version:
                self.on_news(self.feed)
            await asyncio.sleep(self._every)
            idle = 0.0 if self._looks else idle + self._every
