"""Slack's Web API, as far as Coalmine needs it: the one place of this package that imports slack_sdk.

Nothing is tried again in here: whoever calls knows whether that would tell something twice.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from rollouts.notify.base import DoubtfulError, LaterError, RefusedError, UnclearError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from slack_sdk.web.async_slack_response import AsyncSlackResponse

    from rollouts.views.slack_text import Content

__all__ = ["GoneError", "SlackApp", "SlackClient"]

_TIMEOUT: Final = aiohttp.ClientTimeout(total=15, sock_connect=5)
_TOO_MANY: Final = 429
_SERVER_ERRORS: Final = 500
_DEFAULT_PAUSE: Final = 30.0
_MENDABLE_SECONDS: Final = 60.0
_PAGE: Final = 200
_MOST_PAGES: Final = 50

_UNCLEAR: Final = frozenset({"internal_error", "fatal_error", "request_timeout"})
"""Slack says of these that some of it may have happened."""
_LATER: Final = frozenset({"service_unavailable", "team_added_to_org", "message_limit_exceeded", "accesslimited"})
_GONE: Final = frozenset({"message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found"})
_FIXES: Final[Mapping[str, str]] = {
    "invalid_auth": "slack.tokenFile holds no valid token: copy the Bot User OAuth Token (xoxb-…) into it",
    "not_authed": "slack.tokenFile holds no token: copy the Bot User OAuth Token (xoxb-…) into it",
    "token_revoked": "the token in slack.tokenFile was revoked: install the app again and copy its new token",
    "token_expired": "the token in slack.tokenFile has expired: copy a new one into it, or turn off token rotation",
    "account_inactive": "the app was removed from the workspace: install it again and copy its token into slack.tokenFile",
    "not_in_channel": "the app is not in the channel: invite it there (/invite @Coalmine)",
    "missing_scope": "the app lacks a scope: add it (examples/slack/README.md lists all) and install the app again",
}
"""What people mend while messages wait."""
_REFUSED: Final[Mapping[str, str]] = {
    "channel_not_found": "there is no such channel, or it is private and the app is not in it: correct slack.channel, "
    "slack.namespaces or the annotation coalmine.dev/slack-channel, and /invite the app",
    "is_archived": "the channel is archived: name another one in slack.channel, slack.namespaces or the annotation "
    "coalmine.dev/slack-channel",
    "restricted_action": "a workspace preference keeps the app from posting there: an administrator has to allow it",
}


class GoneError(Exception):
    """The message is not there any more, or is not ours to change."""


@dataclass(frozen=True, slots=True)
class SlackApp:
    """Whose token it is.

    Attributes:
        team: The workspace.
        user: The app's name there.
        scopes: What it may do.
    """

    team: str
    user: str
    scopes: frozenset[str]


class SlackClient:
    """One app in one workspace."""

    def __init__(self, token_file: str, api_url: str, *, clock: Callable[[], float] = time.time) -> None:
        """Make one that has sent nothing.

        Args:
            token_file: Holds the bot's token; read for each call, as it may be replaced.
            api_url: Where the Web API is, with a slash at the end.
            clock: Unix seconds.
        """
        self._token_file = Path(token_file)
        self._url = api_url
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._quiet: dict[tuple[str, str], float] = {}

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def post(
        self,
        channel: str,
        content: Content,
        metadata: Mapping[str, Any],
        *,
        thread: str = "",
        broadcast: bool = False,
    ) -> tuple[str, str]:
        """Post a message, and return the channel's id and the message's timestamp.

        Args:
            channel: Its id.
            content: The message.
            metadata: By which it is found again.
            thread: The message whose thread it goes to.
            broadcast: Whether it is shown in the channel as well.

        Raises:
            LaterError: It was not posted.
            RefusedError: It never will be.
            UnclearError: Nobody knows whether it was.
        """
        sent: dict[str, Any] = {
            "channel": channel,
            "text": content.text,
            "blocks": content.blocks,
            "metadata": dict(metadata),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        if thread:
            sent |= {"thread_ts": thread, "reply_broadcast": broadcast}
        answer = await self._call("chat.postMessage", sent, limited_by=channel)
        return str(answer["channel"]), str(answer["ts"])

    async def update(self, channel: str, ts: str, content: Content, metadata: Mapping[str, Any]) -> None:
        """Put other content into a message; again and again is the same as once.

        Args:
            channel: The channel's id.
            ts: Which message.
            content: What it says from now on.
            metadata: The same as it was posted with.

        Raises:
            GoneError: It is not there any more.
            LaterError: It may be tried again.
            RefusedError: It never will be taken.
        """
        sent = {
            "channel": channel,
            "ts": ts,
            "text": content.text,
            "blocks": content.blocks,
            "metadata": dict(metadata),
        }
        try:
            await self._call("chat.update", sent)
        except UnclearError as error:
            raise LaterError(str(error)) from None

    async def find(self, channel: str, since: float, wanted: Mapping[str, Any], *, thread: str = "") -> str:
        """Return the timestamp of our message with this metadata; empty where there is none.

        Args:
            channel: The channel's id.
            since: Unix seconds after which it was posted.
            wanted: The metadata, as it was posted.
            thread: The message in whose thread it would be.

        Raises:
            LaterError: Nobody can look now.
            RefusedError: Nobody may.
            DoubtfulError: There is too much to look through.
        """
        try:
            async for message in self._messages(channel, since, thread):
                found = message.get("metadata") or {}
                known = found.get("event_payload") or {}
                same = found.get("event_type") == wanted["event_type"]
                if same and all(known.get(k) == v for k, v in wanted["event_payload"].items()):
                    return str(message["ts"])
        except UnclearError as error:
            raise LaterError(str(error)) from None
        return ""

    async def _messages(self, channel: str, since: float, thread: str) -> AsyncIterator[dict[str, Any]]:
        method = "conversations.replies" if thread else "conversations.history"
        asked: dict[str, Any] = {"channel": channel, "limit": _PAGE, "include_all_metadata": "true"}
        asked |= {"ts": thread} if thread else {"oldest": f"{since:.6f}"}
        for _ in range(_MOST_PAGES):
            try:
                answer = await self._call(method, asked, verb="GET")
            except GoneError:
                return
            for message in answer.get("messages") or ():
                yield message
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return
            asked["cursor"] = cursor
        msg = f"{method}: {_MOST_PAGES * _PAGE} messages were looked through and there are more; nobody can tell whether it is there"
        raise DoubtfulError(msg)

    async def tell(self, channel: str, user: str, text: str) -> None:
        """Tell one person something that nobody else sees.

        Raises:
            LaterError: They were not told.
            RefusedError: They cannot be.
            UnclearError: Nobody knows whether they were.
        """
        await self._call("chat.postEphemeral", {"channel": channel, "user": user, "text": text})

    async def open_dialog(self, trigger: str, view: Mapping[str, Any]) -> None:
        """Open a dialog for whoever clicked a moment ago.

        Raises:
            LaterError: It was not opened.
            RefusedError: It cannot be: three seconds have passed, or the view is wrong.
            UnclearError: Nobody knows whether it was.
        """
        await self._call("views.open", {"trigger_id": trigger, "view": dict(view)})

    async def members(self, group: str) -> frozenset[str]:
        """Return the ids of a user group's members.

        Raises:
            LaterError: Nobody can tell now.
            RefusedError: There is no such group.
        """
        try:
            answer = await self._call("usergroups.users.list", {"usergroup": group}, verb="GET")
        except UnclearError as error:
            raise LaterError(str(error)) from None
        return frozenset(map(str, answer.get("users") or ()))

    async def app(self) -> SlackApp:
        """Return whose token it is.

        Raises:
            LaterError: Nobody can tell now, or the token is wrong.
            RefusedError: Slack does not tell.
            UnclearError: The connection broke.
        """
        answer = await self._ask("auth.test", {})
        scopes = {k.lower(): v for k, v in answer.headers.items()}.get("x-oauth-scopes", "")
        granted = frozenset(name.strip() for name in scopes.split(",") if name.strip())
        return SlackApp(str(answer.get("team", "")), str(answer.get("user", "")), granted)

    async def _call(
        self, method: str, sent: dict[str, Any], *, verb: str = "POST", limited_by: str = ""
    ) -> Mapping[str, Any]:
        data = (await self._ask(method, sent, verb=verb, limited_by=limited_by)).data
        if not isinstance(data, dict):
            raise UnclearError(f"{method}: Slack's answer is none")
        return data

    async def _ask(
        self, method: str, sent: dict[str, Any], *, verb: str = "POST", limited_by: str = ""
    ) -> AsyncSlackResponse:
        key = (method, limited_by)
        if (left := self._quiet.get(key, 0.0) - self._clock()) > 0:
            raise LaterError(f"Slack wants to be left alone ({method})", left)
        how: dict[str, Any] = {"json": sent} if verb == "POST" else {"params": dict(sent)}
        try:
            return await self._web().api_call(method, http_verb=verb, **how)
        except SlackApiError as error:
            raise self._refusal(key, error) from None
        except aiohttp.ClientConnectorError as error:
            raise LaterError(f"Slack cannot be reached: {error}") from None
        except (SlackClientError, aiohttp.ClientError, OSError, TimeoutError, ValueError, AttributeError) as error:
            raise UnclearError(f"{method}: the connection to Slack broke: {type(error).__name__}") from None

    def _web(self) -> AsyncWebClient:
        """Return a client with the token as it is now."""
        try:
            token = self._token_file.read_text().strip()
        except OSError as error:
            raise LaterError(f"slack.tokenFile cannot be read: {error.strerror}", _MENDABLE_SECONDS) from None
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar())
        # The library's own retries would post a message twice.
        return AsyncWebClient(token, base_url=self._url, session=self._session, retry_handlers=[], logger=_sdk_log())

    def _refusal(self, key: tuple[str, str], error: SlackApiError) -> Exception:
        response: Any = error.response
        status = int(getattr(response, "status_code", 0) or getattr(response, "status", 0) or 0)
        data = getattr(response, "data", None)
        said = data if isinstance(data, dict) else {}
        name = str(said.get("error") or "")
        if status == _TOO_MANY or name in {"ratelimited", "rate_limited"}:
            pause = _seconds(response.headers)
            self._quiet[key] = self._clock() + pause
            return LaterError(f"Slack's rate limit of {key[0]}", pause)
        return _meaning(key[0], name, said, status)


def _meaning(method: str, name: str, said: Mapping[str, Any], status: int) -> Exception:
    if name in _GONE:
        return GoneError(name)
    if name in _UNCLEAR or not name or status >= _SERVER_ERRORS:
        return UnclearError(f"{method}: Slack answers {name or status}")
    if name in _LATER:
        return LaterError(f"{method}: Slack answers {name}")
    if name in _FIXES:
        needed = f" (needed: {said['needed']})" if said.get("needed") else ""
        return LaterError(f"{method}: {_FIXES[name]}{needed}", _MENDABLE_SECONDS)
    details = "; ".join(map(str, (said.get("response_metadata") or {}).get("messages") or ()))
    words = _REFUSED.get(name) or f"Slack answers {name}{': ' + details if details else ''}"
    return RefusedError(f"{method}: {words}")


def _seconds(headers: Mapping[str, str]) -> float:
    """Return what ``Retry-After`` asks for."""
    try:
        return max(0.0, float({k.lower(): v for k, v in headers.items()}["retry-after"]))
    except (KeyError, ValueError):
        return _DEFAULT_PAUSE


def _sdk_log() -> logging.Logger:
    """Return a logger that keeps the library quiet: it would write what is sent."""
    log = logging.getLogger("rollouts.slack_sdk")
    log.setLevel(logging.CRITICAL)
    return log
