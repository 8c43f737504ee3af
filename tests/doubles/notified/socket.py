"""What all doubles share: a socket, and what goes wrong at it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Trouble:
    """What the next requests meet, one after the other.

    ``429``, ``503`` and any other status: that answer, and nothing is taken. ``lost``: it is taken, and the connection
    breaks before the answer. ``cut``: the connection breaks, and nothing is taken. ``held``: it is taken, and no answer comes.
    """

    def __init__(self) -> None:
        self.next: list[str] = []
        self.retry_after = "0"

    def take(self) -> str:
        return self.next.pop(0) if self.next else ""


class HttpDouble:
    """A service at an address of its own.

    Attributes:
        trouble: What goes wrong.
        requests: How many came, with what became of each.
        holds: Whether somebody waits for an answer that does not come.
    """

    def __init__(self) -> None:
        self.trouble = Trouble()
        self.requests: list[str] = []
        self.holds = threading.Event()
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._over = asyncio.Event()

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, request: web.Request, body: bytes) -> web.Response:
        """Answer one request, as the service does."""
        raise NotImplementedError

    def limited(self) -> web.Response:
        """What the service says when it had enough."""
        return web.json_response(
            {"message": "rate limited"}, status=429, headers={"Retry-After": self.trouble.retry_after}
        )

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self._over.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        what = self.trouble.take()
        if what == "cut":
            return self._broken(request, "cut")
        if what == "429":
            self.requests.append("429")
            return self.limited()
        if what.isdigit():
            self.requests.append(what)
            return web.Response(status=int(what))
        response = await self.answer(request, body)
        if what == "lost":
            return self._broken(request, "lost")
        if what == "held":
            self.requests.append("held")
            self.holds.set()
            await self._over.wait()
        self.requests.append(str(response.status))
        return response

    def _broken(self, request: web.Request, what: str) -> web.Response:
        self.requests.append(what)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()


class Serving:
    """Doubles in a thread of their own, for tests that do not live in an event loop."""

    def __init__(self, *doubles: Any) -> None:
        self._doubles = doubles
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        for double in self._doubles:
            self.call(double.start)
        return self

    def __exit__(self, *_: object) -> None:
        for double in self._doubles:
            self.call(double.stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, what: Callable[[], Awaitable[Any]]) -> Any:
        """Run something in the doubles' loop, e.g. stop one for a while."""

        async def run() -> Any:
            return await what()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(timeout=30)
