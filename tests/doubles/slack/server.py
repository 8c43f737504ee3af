"""The double's sockets: the Web API under ``/api/`` and Socket Mode under ``/socket``."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web
from doubles.slack.state import SCOPES, SlackError, Workspace
from doubles.slack.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

BOT_TOKEN = "xoxb-double-bot"
APP_TOKEN = "xapp-double-app"
SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
BOT_SCOPES = frozenset({"chat:write", "channels:history", "groups:history", "usergroups:read"})
APP_SCOPES = frozenset({"connections:write"})


class SlackDouble:
    """Slack, for one app in one workspace.

    Attributes:
        workspace: What Slack keeps.
        trouble: What goes wrong.
        calls: Methods of all calls that came, with what happened to each.
        too_early: Calls that came before the ``Retry-After`` of an answer to their like was over.
        unacknowledged: Envelopes of Socket Mode that the app did not acknowledge within three seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, trouble: Trouble | None = None) -> None:
        self.clock = clock
        self.workspace = Workspace(clock)
        self.trouble = trouble or Trouble()
        self.bot_scopes = set(BOT_SCOPES)
        self.app_scopes = set(APP_SCOPES)
        self.calls: list[tuple[str, str]] = []
        self.too_early: list[str] = []
        self.unacknowledged: list[str] = []
        self._news = asyncio.Event()
        self._quiet: dict[tuple[str, str], float] = {}
        self._tickets: set[str] = set()
        self._ids = itertools.count(1)
        self._sockets: list[web.WebSocketResponse] = []
        self._acks: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/"

    async def start(self) -> None:
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_route("*", "/api/{method}", self._api)
        app.router.add_get("/socket", self._socket)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        for socket in list(self._sockets):
            await socket.close()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def connections(self) -> int:
        """How many Socket Mode connections there are."""
        return len(self._sockets)

    async def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait for a condition, which calls and connections can change; the deadline only ends a test that hangs."""
        async with asyncio.timeout(seconds):
            while not condition():
                await self._news.wait()

    def _changed(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    # The Web API.

    async def _api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        args = await _arguments(request)
        what = self.trouble.next(method)
        key = (method, str(args.get("channel", "")) if method == "chat.postMessage" else "")
        if self.clock() < self._quiet.get(key, 0.0):
            self.too_early.append(method)
            what = "limited"
        self.calls.append((method, what))
        if what == "before":
            return await _cut(request)
        if what == "limited":
            self._quiet[key] = self.clock() + self.trouble.retry_after
            headers = {"Retry-After": str(self.trouble.retry_after)}
            return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)
        answer = self._answer(method, args, request.headers.get("Authorization", ""))
        self._changed()
        if what == "after":
            return await _cut(request)
        if what == "failing":
            return web.json_response({"ok": False, "error": "internal_error"}, status=500)
        return web.json_response(answer, headers={"X-OAuth-Scopes": ",".join(sorted(self.bot_scopes))})

    def _answer(self, method: str, args: dict[str, Any], authorization: str) -> dict[str, Any]:
        try:
            if method == "apps.connections.open":
                self._authorize(authorization, APP_TOKEN, self.app_scopes, {"connections:write"})
                return {"ok": True, "url": self._new_address()}
            if method not in SCOPES:
                return {"ok": False, "error": "unknown_method"}
            self._authorize(authorization, BOT_TOKEN, self.bot_scopes, SCOPES[method])
            return {"ok": True, **self.workspace.call(method, args)}
        except SlackError as error:
            return {"ok": False, "error": error.error, **error.more}

    @staticmethod
    def _authorize(authorization: str, token: str, scopes: set[str], needed: set[str]) -> None:
        if not authorization:
            raise SlackError("not_authed")
        if authorization != f"Bearer {token}":
            raise SlackError("invalid_auth")
        if missing := sorted(needed - scopes):
            raise SlackError("missing_scope", needed=",".join(missing), provided=",".join(sorted(scopes)))

    # Socket Mode.

    def _new_address(self) -> str:
        ticket = str(next(self._ids))
        self._tickets.add(ticket)
        return f"ws://127.0.0.1:{self.port}/socket?ticket={ticket}"

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if self.trouble.down or ticket not in self._tickets:  # each is good for one connection
            return web.Response(status=403)
        self._tickets.discard(ticket)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        info = {"app_id": "A01"}
        await socket.send_json({"type": "hello", "num_connections": len(self._sockets) + 1, "connection_info": info})
        self._sockets.append(socket)
        self._changed()
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    ack = json.loads(message.data)
                    if (waiting := self._acks.pop(ack.get("envelope_id", ""), None)) and not waiting.done():
                        waiting.set_result(ack)
        finally:
            self._sockets.remove(socket)
            self._changed()
        return socket

    async def send_envelope(self, payload: dict[str, Any], seconds: float = 3.0) -> dict[str, Any] | None:
        """Send an interaction by Socket Mode; return what acknowledged it, None where nothing did in time."""
        if not self._sockets:
            self.unacknowledged.append("no connection")
            return None
        envelope = f"env-{next(self._ids)}"
        waiting: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._acks[envelope] = waiting
        body = {"envelope_id": envelope, "type": "interactive", "accepts_response_payload": True, "payload": payload}
        await self._sockets[-1].send_json(body)
        try:
            async with asyncio.timeout(seconds):
                return await waiting
        except TimeoutError:
            self.unacknowledged.append(envelope)
            return None

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """What Slack does every few hours: it says so, and closes a moment later."""
        for socket in list(self._sockets):
            await socket.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "double"}})

    async def cut(self) -> None:
        """Break the connections without a word."""
        for socket in list(self._sockets):
            if (transport := socket._req.transport if socket._req else None) is not None:
                transport.abort()


async def _arguments(request: web.Request) -> dict[str, Any]:
    args: dict[str, Any] = dict(request.query)
    if request.method == "POST":
        if request.content_type == "application/json":
            args |= await request.json()
        else:
            args |= {k: v for k, v in (await request.post()).items() if isinstance(v, str)}
    return args


async def _cut(request: web.Request) -> web.StreamResponse:
    """Break the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
