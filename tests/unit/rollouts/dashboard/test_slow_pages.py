"""A page that takes nothing holds up nobody, and is let go."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket

import aiohttp
import pytest
from aiohttp import web

from rollouts.dashboard.board import Board
from rollouts.dashboard.live import Live
from rollouts.dashboard.stream import Stream


@pytest.fixture
async def served(clock):
    board = Board(clock.read)
    live = Live(board, polls={}, open_windows=None, clock=clock.read, every=0.01)
    app = web.Application()
    stream = Stream(live, frozenset({"rollouts"}), ping=0.05, patience=0.3)
    app.router.add_get("/stream", stream.serve)
    app.on_shutdown.append(stream.end)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    task = asyncio.create_task(live.run())
    yield board, live, runner.addresses[0][1]
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await runner.cleanup()


async def test_a_page_that_takes_nothing_is_let_go_and_the_others_go_on(served, rollout):
    board, live, port = served
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.setblocking(False)
    await asyncio.get_running_loop().sock_connect(stuck, ("127.0.0.1", port))
    request = b"GET /stream?topics=rollouts HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    await asyncio.get_running_loop().sock_sendall(stuck, request)
    seen = 0
    async with (
        aiohttp.ClientSession(read_bufsize=2**24) as session,
        session.get(f"http://127.0.0.1:{port}/stream?topics=rollouts") as page,
        asyncio.timeout(30),
    ):
        while live.viewers < 2:  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0.01)
        while live.viewers == 2:
            seen += 1
            for name in range(20):
                body = rollout(f"r{name}", status={"message": f"{seen} " + "x" * 20_000})
                board.seen(("shop", f"r{name}"), body)
            async for line in page.content:
                if line.startswith(b"data: "):
                    data = json.loads(line[6:])
                    rows = data["rollouts"] if data["full"] else data["changed"]
                    if any(row["message"].startswith(f"{seen} ") for row in rows):
                        break
        assert seen > 1
        pings = 0
        async for line in page.content:
            pings += line.startswith(b": ping")
            if pings:
                break
    stuck.close()


async def test_pages_that_have_left_are_forgotten(served):
    _, live, port = served
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/stream?topics=rollouts") as page,
    ):
        await page.content.readline()
        assert live.viewers == 1
    async with asyncio.timeout(30):
        while live.viewers:  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0.01)
