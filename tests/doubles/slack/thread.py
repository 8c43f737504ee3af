"""The double in a thread of its own, for tests that wait for programs."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from doubles.slack.people import People
from doubles.slack.server import SlackDouble

if TYPE_CHECKING:
    from collections.abc import Coroutine


class SlackInThread:
    """``slack`` and ``people`` are only used by what ``do`` runs; what they hold may be read."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.slack = self.do(self._made())
        self.people = People(self.slack)
        self.do(self.slack.start())

    def do(self, work: Coroutine[Any, Any, Any], seconds: float = 60.0) -> Any:
        """Do it there, and return what comes of it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def end(self) -> None:
        self.do(self.slack.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @staticmethod
    async def _made() -> SlackDouble:
        return SlackDouble()
