"""Hooks that are requests: the body, the signature, and what each answer means.

===============================================  =====================================================
answer                                           meaning
===============================================  =====================================================
2xx                                              passed
408, 425, 429, 5xx, time-out, no connection      may pass by itself: again, at most ``retries`` times
3xx, any other 4xx                               a definite no
anything but 2xx, with ``pollInterval``          not yet: again after it, until ``pollTimeout``
===============================================  =====================================================
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from http.client import responses
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import aiohttp

from analysis.providers.refusals import retry_after, said
from analysis.providers.secrets import Secrets
from rollouts.notify.signing import signature

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from rollouts.api.hooks import HttpHook
    from rollouts.core.hook_runs import HookOrder

__all__ = ["Answer", "Request", "body_of", "pause_after", "prepare", "send", "signature"]

_LARGEST: Final = 16 * 1024
_LATER: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_MOST_PAUSE: Final = 30.0
_USER_AGENT: Final = "coalmine-hooks"


@dataclass(frozen=True)
class Answer:
    """What became of one request.

    Attributes:
        passed: Whether it was 2xx.
        definite: Whether asking again is of no use.
        words: The answer, without any secret.
        pause: Seconds that the service asked to be left alone; None when it did not say.
    """

    passed: bool
    definite: bool
    words: str
    pause: float | None = None


def body_of(event: Mapping[str, Any]) -> bytes:
    """Return the body that tells of an event: the same bytes for each try."""
    return json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def pause_after(tries: int) -> float:
    """Return how many seconds to wait after so many failures: 1, 2, 4 and so on, at most half a minute."""
    return min(_MOST_PAUSE, 2.0 ** (tries - 1))


@dataclass(frozen=True)
class Request:
    """A request that can be sent.

    Attributes:
        http: The hook's settings.
        headers: With their secret values.
        body: Empty for a GET.
        secrets: What was read for it; for messages.
    """

    http: HttpHook
    headers: Mapping[str, str]
    body: bytes
    secrets: Secrets


async def prepare(order: HookOrder, http: HttpHook, read: Callable[[str, str], Awaitable[str]], now: float) -> Request:
    """Return the request of a run.

    Args:
        order: The run.
        http: Its settings.
        read: Reads one key of a Secret.
        now: Unix seconds.

    Raises:
        ConfigurationError: A Secret is missing or wrong.
        UnavailableError: A Secret cannot be read now.
    """
    secrets = Secrets(read)
    body = b"" if http.method == "GET" else body_of(order.event)
    return Request(http, await _headers(order.run.key, http, secrets, body, int(now)), body, secrets)


async def send(session: aiohttp.ClientSession, request: Request, now: float) -> Answer:
    """Ask once.

    Args:
        session: The connection; it must keep no cookies.
        request: What ``prepare`` returned.
        now: Unix seconds.
    """
    http, secrets = request.http, request.secrets
    place = _place(http.url)
    try:
        async with session.request(
            http.method,
            http.url,
            data=request.body or None,
            headers=request.headers,
            timeout=aiohttp.ClientTimeout(total=http.timeout),
            allow_redirects=False,
        ) as response:
            text = (await response.content.read(_LARGEST)).decode(errors="replace")
            found = _answer(response.status, text, {k.lower(): v for k, v in response.headers.items()}, place, now)
    except TimeoutError:
        return Answer(passed=False, definite=False, words=f"{place} did not answer within {http.timeout:g} s")
    except ValueError as error:
        words = f"{place} cannot be asked ({type(error).__name__}): correct http.url and http.headers"
        return Answer(passed=False, definite=True, words=words)
    except (aiohttp.ClientError, OSError) as error:
        words = f"{place} cannot be reached: {secrets.redact(str(error)) or type(error).__name__}"
        return Answer(passed=False, definite=False, words=words)
    return Answer(found.passed, found.definite, secrets.redact(found.words), found.pause)


async def _headers(key: str, http: HttpHook, secrets: Secrets, body: bytes, now: int) -> dict[str, str]:
    headers = {"User-Agent": _USER_AGENT}
    if body:
        headers["Content-Type"] = "application/json"
    for header in http.headers:
        headers[header.key] = (
            await secrets.value(header.secret_key_ref) if header.secret_key_ref else header.value or ""
        )
    headers["Idempotency-Key"] = key
    if http.secret_ref is not None:
        secret = await secrets.value(http.secret_ref)
        headers["webhook-id"] = key
        headers["webhook-timestamp"] = str(now)
        headers["webhook-signature"] = signature(secret, key, now, body)
    return headers


def _answer(status: int, text: str, headers: Mapping[str, str], place: str, now: float) -> Answer:
    words = f"{status} {responses[status]}" if status in responses else str(status)
    if said_words := said(text):
        words = f"{words}, {said_words}"
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Answer(passed=True, definite=True, words=words)
    if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Answer(passed=False, definite=False, words=f"{place} answers {words}", pause=retry_after(headers, now))
    if status < HTTPStatus.BAD_REQUEST:
        target = _place(headers.get("location", "")) or "another address"
        return Answer(passed=False, definite=True, words=f"{place} redirects to {target}: write that as http.url")
    return Answer(passed=False, definite=True, words=f"{place} answers {words}")


def _place(url: str) -> str:
    """Return an address for messages: without user, password, query and fragment, which may hold secrets."""
    try:
        parts = urlsplit(url)
        host = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    except ValueError:
        return ""
    return f"{parts.scheme}://{host}{parts.path}" if host else ""
