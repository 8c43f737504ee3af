"""The controller listens to every release at once, however many there are."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.test_utils import TestServer

from rollouts.engine.telemetry import TelemetryStream
from rollouts.wiring.sources import mesh_session

RELEASES = 150
"""More than an HTTP client has connections by default."""


async def test_no_release_waits_for_the_streams_of_others():
    there, all_there = set(), asyncio.Event()

    async def windows(request):
        there.add(request.match_info["name"])
        if len(there) == RELEASES:
            all_there.set()
        await asyncio.Event().wait()

    app = web.Application()
    app.router.add_get("/{name}", windows)
    async with TestServer(app) as server, mesh_session() as session:
        streams = [TelemetryStream(session, str(server.make_url(f"/{n}")), 0.0, lambda: None) for n in range(RELEASES)]
        try:
            await asyncio.wait_for(all_there.wait(), 30)
        finally:
            await asyncio.gather(*(stream.close() for stream in streams))
