"""The pages in a real browser, on a server that tells them the examples of the API and whatever a test adds."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest_asyncio
from aiohttp import web
from playwright.async_api import async_playwright

from rollouts.dashboard.guards import guard
from rollouts.dashboard.pages import Pages

EXAMPLES = Path(__file__).parents[2] / "unit" / "rollouts" / "dashboard" / "examples"
ROLLOUTS = {
    "shop/payment": "rollout-canary",
    "shop/search": "rollout-rolled-back",
    "bank/quotes": "rollout-approval",
}
PATIENCE = 60_000
"""Milliseconds after which a page that does not come to show something is given up."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(chromium):
    """One browser for a module; each test has a profile of its own."""
    async with async_playwright() as playwright:
        # Chromium's sandbox cannot be had as root.
        launched = await playwright.chromium.launch(executable_path=chromium, chromium_sandbox=os.geteuid() != 0)
        yield launched
        await launched.close()


class Server:
    """The controller as the pages see it: real files and headers, and answers that a test may change."""

    def __init__(self) -> None:
        self.answers = {name: self.example(name) for name in ("info", "graph", "mesh", "rollouts", "history", "whoami")}
        self.details = {key: self.example(name) for key, name in ROLLOUTS.items()}
        self.tokens = {"good-token"}
        self.acted: list[dict[str, Any]] = []
        self.refusal: tuple[int, dict[str, Any]] | None = None
        self.down = False
        self.login = False
        """Whether looking needs a token."""
        self.url = ""
        self._pages = Pages()
        self._streams: dict[web.StreamResponse, set[str]] = {}

    @staticmethod
    def example(name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
        return found

    def app(self) -> web.Application:
        app = web.Application(middlewares=[guard((), tls=False)])
        app.router.add_get("/api/v1/info", self._info)
        app.router.add_get("/api/v1/whoami", self._whoami)
        app.router.add_get("/api/v1/history", self._history)
        app.router.add_get("/api/v1/stream", self._stream)
        app.router.add_post("/api/v1/rollouts/{namespace}/{name}/actions/{action}", self._act)
        app.router.add_get("/{path:.*}", self._pages.serve)
        return app

    def view(self, topic: str) -> dict[str, Any]:
        """What a topic's first event says."""
        kind, _, key = topic.partition("/")
        if kind == "rollout":
            return {"full": True, **(self.details.get(key) or {"gone": True})}
        return {"full": True, **self.answers[kind]}

    async def tell(self, topic: str, data: dict[str, Any]) -> None:
        """Send an event to every page that follows the topic."""
        for stream, topics in list(self._streams.items()):
            if topic in topics:
                await stream.write(f"event: {topic}\ndata: {json.dumps(data)}\n\n".encode())

    async def move(self, key: str, **changes: Any) -> dict[str, Any]:
        """Change a Rollout and tell it as the controller does: the detail whole, nothing of the rest."""
        detail = copy.deepcopy(self.details[key]["rollout"]) | changes
        self.details[key]["rollout"] = detail
        await self.tell(f"rollout/{key}", {"full": False, "at": self.details[key]["at"] + 1, "rollout": detail})
        return detail

    async def break_off(self) -> None:
        """End every stream; new ones are refused until ``down`` is False again."""
        self.down = True
        for stream in list(self._streams):
            await stream.write_eof()
        self._streams.clear()

    async def _info(self, _: web.Request) -> web.Response:
        return web.json_response(self.answers["info"])

    async def _history(self, _: web.Request) -> web.Response:
        return web.json_response(self.answers["history"])

    async def _whoami(self, request: web.Request) -> web.Response:
        if not self._known(request):
            return web.json_response(
                {"error": "the API server does not know this token", "fix": "get another"}, status=401
            )
        return web.json_response(self.answers["whoami"])

    async def _act(self, request: web.Request) -> web.Response:
        if not self._known(request):
            return web.json_response({"error": "no token", "fix": "sign in"}, status=401)
        self.acted.append({**request.match_info, "body": await request.json(), "kind": request.content_type})
        if self.refusal:
            status, body = self.refusal
            return web.json_response(body, status=status)
        return web.json_response(self.example("action"))

    def _known(self, request: web.Request) -> bool:
        return request.headers.get("Authorization", "").removeprefix("Bearer ") in self.tokens

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self.down:
            return web.json_response({"error": "not now", "fix": ""}, status=503)
        if self.login and not self._known(request):
            return web.json_response({"error": "no token", "fix": "sign in"}, status=401)
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await stream.prepare(request)
        topics = request.query["topics"].split(",")
        for topic in topics:
            await stream.write(f"event: {topic}\ndata: {json.dumps(self.view(topic))}\n\n".encode())
        self._streams[stream] = set(topics)
        with contextlib.suppress(ConnectionError):
            while stream in self._streams:
                await asyncio.sleep(0.5)
                await stream.write(b": ping\n\n")
        self._streams.pop(stream, None)
        return stream


@pytest_asyncio.fixture(loop_scope="module")
async def server(built):
    """A server for one test."""
    made = Server()
    runner = web.AppRunner(made.app(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest_asyncio.fixture(loop_scope="module")
async def visit(browser, server):
    """Open a page of the server; what it logs and asks for is kept, and must be in order when the test ends."""
    async with contextlib.AsyncExitStack() as stack:
        opened = []

        async def open_page(path: str = "", *, width: int = 1280, height: int = 860, **context: Any):
            profile = await browser.new_context(viewport={"width": width, "height": height}, locale="en-GB", **context)
            stack.push_async_callback(profile.close)
            page = await profile.new_page()
            page.set_default_timeout(PATIENCE)
            seen = SimpleNamespace(problems=[], elsewhere=[])
            page.on("pageerror", lambda error: seen.problems.append(str(error)))
            page.on("console", lambda said: seen.problems.append(said.text) if said.type == "error" else None)
            page.on(
                "request", lambda r: None if r.url.startswith((server.url, "data:")) else seen.elsewhere.append(r.url)
            )
            opened.append(seen)
            await page.goto(f"{server.url}/{path}")
            return page

        open_page.opened = opened
        yield open_page
        # What a server answers with 4xx and 5xx the browser itself logs: tests ask for those on purpose.
        problems = [text for seen in opened for text in seen.problems if "Failed to load resource" not in text]
        assert problems == []
        assert [url for seen in opened for url in seen.elsewhere] == []
