"""Requests to services: what an answer, or none, says about whether it was delivered.

=============================================  ======================================================
answer                                         meaning
=============================================  ======================================================
2xx                                            delivered
no connection                                  surely not delivered: again later
429, 503                                       surely not delivered: again after ``Retry-After``
408, 500, 502, 504, no answer, broken          may have been delivered
3xx, any other 4xx                             will never be taken
=============================================  ======================================================
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from http.client import responses
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aiohttp

from analysis.providers.refusals import retry_after, said
from rollouts.notify.base import LaterError, RefusedError, UnclearError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Reply", "ask", "place_of"]

_LARGEST: Final = 64 * 1024
_CONNECT_SECONDS: Final = 5.0
_LATER: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_UNCLEAR: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY})
_NOT_CONNECTED: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorDNSError)
USER_AGENT: Final = "coalmine-notifications"


@dataclass(frozen=True)
class Reply:
    """An answer that is not about later.

    Attributes:
        status: The HTTP status.
        text: Its body.
        words: Both in words, for messages.
    """

    status: int
    text: str
    words: str

    @property
    def ok(self) -> bool:
        """Whether it was taken."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    def or_refused(self, setting: str) -> Reply:
        """Return itself if it was taken.

        Args:
            setting: What to mend, for the message.

        Raises:
            RefusedError: It was not.
        """
        if not self.ok:
            raise RefusedError(f"{self.words}: correct {setting}")
        return self


async def ask(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = 10.0,
) -> Reply:
    """Ask once.

    Args:
        session: It keeps no cookies and no connections.
        method: HTTP's.
        url: Where to; its path is a secret with some services, and never in a message.
        body: What is sent.
        headers: With what the service wants.
        seconds: How long it may take.

    Raises:
        LaterError: It was surely not delivered.
        UnclearError: It may have been delivered.
        RefusedError: The address cannot be asked.
    """
    place = place_of(url)
    try:
        async with session.request(
            method,
            url,
            data=body,
            headers={"User-Agent": USER_AGENT, **(headers or {})},
            timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS),
            allow_redirects=False,
        ) as response:
            text = (await response.content.read(_LARGEST)).decode(errors="replace")
            status, found = response.status, {k.lower(): v for k, v in response.headers.items()}
    except _NOT_CONNECTED as error:
        raise LaterError(f"{place} cannot be reached: {type(error).__name__}") from None
    except (TimeoutError, aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
        raise UnclearError(f"{place} gave no answer: {type(error).__name__}") from None
    except (aiohttp.ClientError, ValueError) as error:
        raise RefusedError(f"{place} cannot be asked: {type(error).__name__}") from None
    return _judged(Reply(status, text, _words(place, status, text)), found)


def _judged(reply: Reply, headers: Mapping[str, str]) -> Reply:
    pause = retry_after(headers, time.time())
    limited = reply.status == HTTPStatus.FORBIDDEN and (
        "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"
    )
    if reply.status in _LATER or limited:
        raise LaterError(reply.words, pause)
    if reply.status in _UNCLEAR or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise UnclearError(reply.words)
    return reply


def _words(place: str, status: int, text: str) -> str:
    words = f"{place} answers {status}{f' {responses[status]}' if status in responses else ''}"
    return f"{words}, {found}" if (found := said(text)) else words


def place_of(url: str) -> str:
    """Return an address for messages: without path and query, which are the secret of webhooks."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "the address"
    return f"{parts.scheme}://{parts.hostname or ''}{f':{port}' if port else ''}"
