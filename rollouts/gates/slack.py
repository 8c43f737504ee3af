"""Where Slack's interactions come in: by Socket Mode, which needs no public address, or as signed requests.

The one place of this package that imports slack_sdk. Both take an interaction at once and answer it beside: Slack waits for
three seconds only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import aiohttp
from aiohttp import web
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
    from slack_sdk.socket_mode.request import SocketModeRequest

__all__ = ["TOLERANCE_SECONDS", "SocketReceiver", "Tasks", "make_app", "socket_problem"]

_LOG = logging.getLogger(__name__)
TOLERANCE_SECONDS: Final = 300
"""A signed request may be this old, as Slack says."""
_LARGEST: Final = 1024 * 1024
_PING_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 15.0
_DEAD_SECONDS: Final = 20.0
_MOST_PAUSE: Final = 60.0

if TYPE_CHECKING:
    Handle = Callable[[Mapping[str, Any], float], Awaitable[None]]


class Tasks:
    """What goes on beside."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, work: Awaitable[None]) -> None:
        """Do it beside."""
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Let what was begun end."""
        if self._running:
            await asyncio.wait(self._running, timeout=_PING_SECONDS)
        for task in self._running:
            task.cancel()


def make_app(
    secret_file: str, handle: Handle, tasks: Tasks, *, clock: Callable[[], float] = time.time
) -> web.Application:
    """Return the application of ``/slack``: ``POST interactive``.

    Args:
        secret_file: Holds the app's signing secret; read for each request.
        handle: Answers an interaction; it gets the time that Slack signed.
        tasks: Where that is done.
        clock: Unix seconds.
    """

    async def interactive(request: web.Request) -> web.Response:
        body = await request.read()
        if why := _forged(secret_file, body, request.headers, clock()):
            _LOG.warning("a request to /slack/interactive from %s was refused: %s", request.remote, why)
            return web.json_response({"error": why}, status=401)
        try:
            payload = json.loads(parse_qs(body.decode())["payload"][0])
        except (KeyError, ValueError):
            payload = None
        if not isinstance(payload, dict):
            return web.json_response({"error": "the form has no payload with a JSON object"}, status=400)
        tasks.begin(handle(payload, float(request.headers["X-Slack-Request-Timestamp"])))
        return web.Response()  # an empty answer closes the dialog

    app = web.Application(client_max_size=_LARGEST)
    app.router.add_post("/interactive", interactive)
    return app


def _forged(secret_file: str, body: bytes, headers: Mapping[str, str], now: float) -> str:
    """Return why a request is not Slack's own of this moment; empty where it is."""
    timestamp, signature = headers.get("X-Slack-Request-Timestamp", ""), headers.get("X-Slack-Signature", "")
    if not timestamp.isascii() or not timestamp.isdigit() or not signature.isascii():
        return "X-Slack-Request-Timestamp or X-Slack-Signature is missing or wrong"
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return f"X-Slack-Request-Timestamp is more than {TOLERANCE_SECONDS} s away from this clock"
    try:
        verifier = SignatureVerifier(Path(secret_file).read_text().strip(), clock=_Clock(now))  # type: ignore[arg-type]
        genuine = verifier.is_valid(body, timestamp, signature)
    except OSError as error:
        return f"slack.signingSecretFile cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        genuine = False
    except ValueError:
        return "slack.signingSecretFile is empty"
    return "" if genuine else "X-Slack-Signature is not that of slack.signingSecretFile"


class _Clock:
    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now


class SocketReceiver:
    """Keeps a Socket Mode connection; one that stays dead is made anew, with the token as it is then."""

    def __init__(
        self,
        token_file: str,
        api_url: str,
        handle: Handle,
        tasks: Tasks,
        *,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        ping_seconds: float = _PING_SECONDS,
    ) -> None:
        """Make one that is not connected.

        Args:
            token_file: Holds the app-level token.
            api_url: Where the Web API is.
            handle: Answers an interaction.
            tasks: Where that is done.
            clock: Unix seconds.
            pause: Waits for a time in seconds.
            ping_seconds: How often the connection is looked after.
        """
        self._token_file = Path(token_file)
        self._api_url = api_url
        self._handle = handle
        self._tasks = tasks
        self._clock = clock
        self._pause = pause
        self._ping_seconds = ping_seconds

    async def run(self) -> None:
        """Receive until cancelled."""
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await self._session()
            except SlackApiError as error:
                _LOG.warning("Slack's Socket Mode: %s", _fix(str(error.response.get("error", ""))))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again, and nobody else is touched
                _LOG.warning("Slack's Socket Mode: %s", str(error) or type(error).__name__)
            else:
                _LOG.warning("Slack's Socket Mode: the connection is dead; a new one is made")
            failures = 0 if time.monotonic() - began > _MOST_PAUSE else failures + 1
            await self._pause(min(_MOST_PAUSE, 2.0**failures))

    async def _session(self) -> None:
        """Connect, and return when the connection is dead for good."""
        token = self._token_file.read_text().strip()
        client = SocketModeClient(
            app_token=token,
            web_client=AsyncWebClient(base_url=self._api_url, retry_handlers=[], logger=_sdk_log()),
            ping_interval=self._ping_seconds,
            logger=_sdk_log(),
        )
        client.socket_mode_request_listeners.append(self._received)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                client.wss_uri = await client.issue_new_wss_url()
                await client.connect()  # type: ignore[no-untyped-call]
            _LOG.info("Slack's Socket Mode is connected")
            alive = time.monotonic()
            while time.monotonic() - alive < _DEAD_SECONDS:
                await self._pause(self._ping_seconds)
                if await client.is_connected():
                    alive = time.monotonic()
        finally:
            with contextlib.suppress(Exception):
                await client.close()  # type: ignore[no-untyped-call]

    async def _received(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
        if request.type == "interactive":
            self._tasks.begin(self._handle(request.payload, self._clock()))


async def socket_problem(token: str, api_url: str) -> str:
    """Return why Slack would give no Socket Mode connection, with the fix; empty where it would.

    Args:
        token: The app-level token.
        api_url: Where the Web API is.
    """
    client = AsyncWebClient(base_url=api_url, retry_handlers=[], logger=_sdk_log(), timeout=int(_CONNECT_SECONDS))
    try:
        await client.apps_connections_open(app_token=token)
    except SlackApiError as error:
        return _fix(str(error.response.get("error", "")))
    except (SlackClientError, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        return str(error) or type(error).__name__
    return ""


def _fix(error: str) -> str:
    if error in {"invalid_auth", "not_authed", "not_allowed_token_type", "missing_scope", "token_revoked"}:
        return f"{error}: slack.appTokenFile needs an app-level token (xapp-…) with the scope connections:write"
    if error in {"forbidden_team", "feature_not_enabled"}:
        return f"{error}: turn on Socket Mode in the app's settings"
    return error


def _sdk_log() -> logging.Logger:
    """Return a logger that keeps the library quiet: it would write addresses with tickets, and what people wrote."""
    log = logging.getLogger("rollouts.slack_sdk")
    log.setLevel(logging.CRITICAL)
    return log
