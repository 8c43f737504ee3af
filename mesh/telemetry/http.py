"""The HTTP side of telemetry: windows as lines of JSON, see ``mesh.api.telemetry``.

A reader is only a number to go on from: windows wait for it in the store, never in a queue of its own, so a slow reader
costs nothing and one that is slower than the store's hour finds a gap.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from mesh.telemetry.counters import Host

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mesh.telemetry.store import TelemetryStore

__all__ = ["make_app"]

_TICK: Final = 0.1
"""Seconds between two looks at whether the open window is due."""


def make_app(store: TelemetryStore, ready: Callable[[], bool], check: Any = None) -> web.Application:
    """Return the application with ``/readyz``, ``/v1/telemetry`` and ``/v1/telemetry/{namespace}/{service}``.

    It also keeps the store's windows moving while it runs.

    Args:
        store: What is served.
        ready: Whether the control plane is ready to be asked.
        check: aiohttp middleware that asks callers for a token; None asks nobody, which only loopback may do.
    """
    streams = _Streams(store)
    app = web.Application(middlewares=[check] if check else ())

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n") if ready() else web.Response(status=503, text="not ready\n")

    async def hosts(_: web.Request) -> web.Response:
        listed = [{"namespace": host.namespace, "service": host.service} for host in store.hosts]
        return web.json_response({"epoch": store.epoch, "hosts": listed, "proxies": store.proxies})

    app.router.add_get("/readyz", readyz)
    app.router.add_get("/v1/telemetry", hosts)
    app.router.add_get("/v1/telemetry/{namespace}/{service}", streams.serve)
    app.cleanup_ctx.append(streams.running)
    app.on_shutdown.append(streams.end)
    return app


class _Streams:
    """The open streams and the ticking of the store."""

    def __init__(self, store: TelemetryStore) -> None:
        self._store = store
        self._events: set[asyncio.Event] = set()
        self._ending = False

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        stop_listening = self._store.listen(self._wake)
        ticking = asyncio.create_task(self._tick())
        yield
        ticking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticking
        stop_listening()

    async def end(self, _: web.Application) -> None:
        self._ending = True
        self._wake()

    async def _tick(self) -> None:
        while True:
            self._store.tick()
            await asyncio.sleep(_TICK)

    def _wake(self) -> None:
        for event in self._events:
            event.set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        try:
            since = _since(request.query.get("since", "0"))
        except ValueError as error:
            body = json.dumps({"error": str(error)})
            raise web.HTTPBadRequest(text=body, content_type="application/json") from error
        host = Host(request.match_info["namespace"], request.match_info["service"])
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"})
        response.enable_chunked_encoding()
        event = asyncio.Event()
        self._events.add(event)
        try:
            await response.prepare(request)
            await self._stream(response, host, since, event)
        except ConnectionError:
            pass  # the reader left
        finally:
            self._events.discard(event)
        return response

    async def _stream(self, response: web.StreamResponse, host: Host, since: float, event: asyncio.Event) -> None:
        after = -1
        while not self._ending:
            event.clear()
            newest = self._store.newest
            for number, window in self._store.windows(host, since=since, after=after):
                await response.write(window.model_dump_json(by_alias=True).encode() + b"\n")
                after = number
            after = max(after, newest)
            if self._store.newest == newest:
                await event.wait()


def _since(text: str) -> float:
    """Return the seconds that a reader gave.

    Raises:
        ValueError: The text is no finite number.
    """
    with contextlib.suppress(ValueError):
        if math.isfinite(value := float(text)):
            return value
    msg = f"since={text!r}: write Unix seconds, for example since=1760000000.5"
    raise ValueError(msg)
