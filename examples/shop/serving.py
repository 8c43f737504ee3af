"""What the shop's servers share: bind to the pod's own address, and end without failing a request."""

from __future__ import annotations

import asyncio
import os
import signal

from aiohttp import web
from metrics import count, page

DRAIN_SECONDS = float(os.environ.get("DRAIN_SECONDS", "3"))
"""How long a server keeps accepting after SIGTERM: callers need a moment to learn that the pod is going."""


async def _health(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def serve(app: web.Application, port: int) -> None:
    """Serve until SIGTERM or SIGINT, then go on for DRAIN_SECONDS, finish what is in flight and return."""
    app.router.add_get("/healthz", _health)
    app.router.add_get("/metrics", page)
    app.middlewares.append(count)
    asyncio.run(_serve(app, port))


async def _serve(app: web.Application, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=15)
    await runner.setup()
    # POD_IP: the local node gives each pod a loopback address of its own, so that pods can share a port.
    await web.TCPSite(runner, os.environ.get("POD_IP", "127.0.0.1"), port).start()
    await stop.wait()
    await asyncio.sleep(DRAIN_SECONDS)
    await runner.cleanup()
