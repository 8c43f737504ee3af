"""A service on a real socket, for what is asked over HTTP."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
from aiohttp import web


@asynccontextmanager
async def _service(answer):
    """A service on a port of its own; what it was asked, as (request, body)."""
    asked = []

    async def handle(request):
        asked.append((request, await request.read()))
        return await answer(request)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


@pytest.fixture
def service():
    """Opens a service that answers as told."""
    return _service
