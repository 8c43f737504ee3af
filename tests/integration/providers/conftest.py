"""A double of a service on a real loopback socket, and the context that sources are opened with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from analysis.providers.base import ConfigurationError, Context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NOW = 1_700_000_000.0


@dataclass
class Double:
    """An HTTP server that answers as it is told, and keeps the requests.

    Attributes:
        answers: What it answers, in turn; the last one stays.
        seen: The requests so far: method, path, query, headers, text.
    """

    address: str = ""
    answers: list[web.Response | Handler] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def says(self, *, status: int = 200, text: str | None = None, body: Any = None, headers: Any = None) -> None:
        """Answer with a text or with JSON, after what was said before."""
        content = json.dumps(body) if text is None else text

        async def answer(_: web.Request) -> web.Response:
            return web.Response(status=status, text=content, headers=headers)

        self.answers.append(answer)

    def says_nothing(self) -> None:
        """Take the request and never answer."""

        async def silence(_: web.Request) -> web.Response:
            await self.ended.wait()
            return web.Response()

        self.answers.append(silence)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(
            {
                "method": request.method,
                "path": request.path,
                "query": dict(request.query),
                "headers": request.headers.copy(),
                "host": request.host,
                "text": await request.text(),
            }
        )
        turn = min(len(self.seen), len(self.answers)) - 1
        return await self.answers[turn](request)


@pytest.fixture
async def double() -> AsyncIterator[Double]:
    """A running double."""
    double = Double()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", double.handle)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    double.address = str(server.make_url("")).rstrip("/")
    yield double
    double.ended.set()
    await server.close()


@pytest.fixture
def context() -> Callable[..., Context]:
    """Makes a context with these secrets (name → key → value), at a fixed time."""

    def make(secrets: dict[str, dict[str, str]] | None = None, **more: Any) -> Context:
        async def read(name: str, key: str) -> str:
            try:
                return (secrets or {})[name][key]
            except KeyError:
                raise ConfigurationError(f"Secret {name} has no key {key}") from None

        return Context(namespace="shop", secret=read, clock=lambda: NOW, **more)

    return make


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further tries follow at once, and no proxy of the machine is asked."""
    monkeypatch.setattr("analysis.providers.http.PAUSES", (0.0, 0.0))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
