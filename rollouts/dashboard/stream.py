"""The live side: server-sent events, each written once for all and sent to each page at its own pace."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

from rollouts.dashboard.errors import ApiError
from rollouts.dashboard.live import BusyError

if TYPE_CHECKING:
    from rollouts.dashboard.live import Live, Viewer

__all__ = ["Stream"]

_MOST_VIEWERS: Final = 500
_MOST_RELEASES: Final = 4
_PING_SECONDS: Final = 15.0
_PATIENCE: Final = 30.0
_HEADERS: Final = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Stream:
    """Serves ``GET /api/v1/stream``."""

    def __init__(
        self, live: Live, topics: frozenset[str], *, ping: float = _PING_SECONDS, patience: float = _PATIENCE
    ) -> None:
        """Make one.

        Args:
            live: The views.
            topics: Those besides single Rollouts.
            ping: Seconds of silence after which a comment is sent, so that nobody in between hangs up.
            patience: Seconds that a page may take nothing.
        """
        self._live, self._topics, self._ping, self._patience = live, topics, ping, patience
        self._tasks: set[asyncio.Task[object]] = set()

    async def end(self, _app: web.Application) -> None:
        """End all streams: the controller ends."""
        for task in tuple(self._tasks):
            task.cancel()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Send what changes until the page leaves."""
        topics = self._asked(request.query.get("topics", ""))
        if self._live.viewers >= _MOST_VIEWERS:
            raise ApiError(503, f"{_MOST_VIEWERS} pages are open already", "close some, or try again later")
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        response = web.StreamResponse(headers=_HEADERS)
        try:
            async with self._live.looking(topics) as viewer:
                await response.prepare(request)
                await response.write(b"retry: 2000\n\n")
                await self._send(response, viewer)
        except BusyError as error:
            raise ApiError(503, str(error), "close some, or try again later") from None
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            if not response.prepared:
                raise
            if request.transport is not None:  # the page has left, or takes nothing, or the controller ends
                request.transport.abort()
        finally:
            if task is not None:
                self._tasks.discard(task)
        return response

    async def _send(self, response: web.StreamResponse, viewer: Viewer) -> None:
        number = 0
        while True:
            for feed, data in viewer.messages():
                number += 1
                head = f"id: {number}\nevent: {feed.topic}\ndata: ".encode()
                async with asyncio.timeout(self._patience):
                    await response.write(head + data + b"\n\n")
            try:
                async with asyncio.timeout(self._ping):
                    await viewer.wake.wait()
            except TimeoutError:
                async with asyncio.timeout(self._patience):
                    await response.write(b": ping\n\n")

    def _asked(self, text: str) -> list[str]:
        topics = list(dict.fromkeys(t for t in text.split(",") if t))
        releases = [t for t in topics if t.startswith("rollout/")]
        wrong = [t for t in topics if t not in self._topics and (t not in releases or t.count("/") != 2)]  # noqa: PLR2004
        if wrong or not topics:
            what = f"there is no topic {wrong[0]}" if wrong else "topics is missing"
            raise ApiError(400, what, f"use {', '.join(sorted(self._topics))} or rollout/NAMESPACE/NAME")
        if len(releases) > _MOST_RELEASES:
            raise ApiError(400, f"{len(releases)} Rollouts at once", f"ask for {_MOST_RELEASES} at most")
        return topics
