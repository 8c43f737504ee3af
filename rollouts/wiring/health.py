"""The address that Kubernetes asks: whether the process runs, and whether it knows the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    import asyncio
    import contextlib
    from collections.abc import Callable

__all__ = ["serve", "serve_health"]


async def serve_health(
    address: str,
    ready: asyncio.Event,
    stack: contextlib.AsyncExitStack,
    add_more: Callable[[web.Application], None],
) -> None:
    """Serve ``/healthz`` (the process runs), ``/readyz`` (it knows the cluster, and leads or stands by), and more."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readyz(_: web.Request) -> web.Response:
        return (
            web.Response(text="ok") if ready.is_set() else web.Response(status=503, text="the watches do not run yet")
        )

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    add_more(app)
    await serve(app, address, stack)


async def serve(app: web.Application, address: str, stack: contextlib.AsyncExitStack) -> None:
    """Serve an application at ``HOST:PORT`` until the stack ends."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    host, _, port = address.rpartition(":")
    await web.TCPSite(runner, host.strip("[]"), int(port)).start()
