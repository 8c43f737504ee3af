"""Key sets that RequestAuthentications name by URL, fetched, kept and refreshed."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp

from mesh.resolve.keysets import usable_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mesh.api.requestauthentication import JwtRule

__all__ = ["KeyFetcher", "KeyTimes"]

log = logging.getLogger(__name__)
_LIMIT: Final = 1024 * 1024
_OK: Final = 200


class _FetchError(Exception):
    """What was answered is not what was asked for."""


@dataclass(frozen=True, slots=True)
class KeyTimes:
    """Seconds between fetches.

    Attributes:
        refresh: After one that succeeded.
        first_retry: After the first that failed; each further one waits twice as long.
        longest_retry: At most.
    """

    refresh: float = 20 * 60
    first_retry: float = 1
    longest_retry: float = 60


class KeyFetcher:
    """Fetches keys while somebody wants them.

    What was fetched once is kept while later fetches fail: an issuer that is away for an hour costs nobody a request.

    Args:
        changed: Called when keys or errors are others than before.
        times: How often to fetch.

    Attributes:
        keys: What was fetched, by source: a URL, or an issuer whose OpenID configuration names one.
        errors: Why the last fetch failed, by source.
    """

    def __init__(self, changed: Callable[[], None], times: KeyTimes = KeyTimes()) -> None:
        self._changed = changed
        self._times = times
        self._wanted: dict[str, JwtRule] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._woken = asyncio.Event()
        self._progress = asyncio.Condition()
        self.keys: dict[str, str] = {}
        self.errors: dict[str, str] = {}

    def want(self, sources: Mapping[str, JwtRule]) -> None:
        """Fetch these from now on, and no others."""
        if self._wanted != sources:
            self._wanted = dict(sources)
            self._woken.set()

    async def tried(self) -> None:
        """Wait until everything wanted was fetched or failed once."""
        async with self._progress:
            await self._progress.wait_for(lambda: self._wanted.keys() <= self.keys.keys() | self.errors.keys())

    async def run(self) -> None:
        """Fetch until cancelled."""
        async with aiohttp.ClientSession() as session:
            try:
                while True:
                    await self._woken.wait()
                    self._woken.clear()
                    await self._start_and_stop(session)
            finally:
                await self._stop(list(self._tasks))

    async def _start_and_stop(self, session: aiohttp.ClientSession) -> None:
        await self._stop([source for source in self._tasks if source not in self._wanted])
        for source, rule in self._wanted.items():
            if source not in self._tasks:
                self._tasks[source] = asyncio.create_task(self._keep(session, source, rule))

    async def _stop(self, sources: list[str]) -> None:
        tasks = [self._tasks.pop(source) for source in sources]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for source in sources:
            self.keys.pop(source, None)
            self.errors.pop(source, None)

    async def _keep(self, session: aiohttp.ClientSession, source: str, rule: JwtRule) -> None:
        """Keep the keys of one source up to date."""
        retry = self._times.first_retry
        while True:
            before = self.keys.get(source), self.errors.get(source)
            try:
                self.keys[source] = await _fetch(session, rule)
            except (_FetchError, aiohttp.ClientError, TimeoutError, ValueError) as error:
                self.errors[source] = str(error) or type(error).__name__
                log.warning("keys of %s: %s; again in %.0f s", source, self.errors[source], retry)
                pause, retry = retry, min(retry * 2, self._times.longest_retry)
            else:
                self.errors.pop(source, None)
                pause, retry = self._times.refresh, self._times.first_retry
            if before != (self.keys.get(source), self.errors.get(source)):
                self._changed()
            async with self._progress:
                self._progress.notify_all()
            await asyncio.sleep(pause * random.uniform(0.8, 1))  # noqa: S311 - only so that not all come at once


async def _fetch(session: aiohttp.ClientSession, rule: JwtRule) -> str:
    """Return the usable keys of a rule.

    Raises:
        _FetchError: The answer has none.
    """
    url = rule.jwks_uri or await _discover(session, rule)
    keys = usable_keys(await _get(session, url, rule.timeout))
    if not keys:
        raise _FetchError(f"{url} answers with no key that can be used")
    return keys


async def _discover(session: aiohttp.ClientSession, rule: JwtRule) -> str:
    """Return the URL that an issuer's OpenID configuration names."""
    if not rule.issuer.startswith(("http://", "https://")):
        raise _FetchError(f"issuer {rule.issuer} is not a URL, so its keys cannot be found: write jwksUri or jwks")
    url = f"{rule.issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        found = json.loads(await _get(session, url, rule.timeout))["jwks_uri"]
    except (ValueError, KeyError, TypeError):
        raise _FetchError(f"{url} names no jwks_uri: write jwksUri or jwks") from None
    return str(found)


async def _get(session: aiohttp.ClientSession, url: str, seconds: float) -> str:
    limit = aiohttp.ClientTimeout(total=seconds)
    async with session.get(url, timeout=limit, max_redirects=3, headers={"Accept": "application/json"}) as response:
        if response.status != _OK:
            raise _FetchError(f"{url} answers with status {response.status}")
        body = await response.content.read(_LIMIT)
        while not response.content.at_eof() and len(body) < _LIMIT:
            body += await response.content.read(_LIMIT - len(body))
        if len(body) >= _LIMIT:
            raise _FetchError(f"{url} answers with more than 1 MiB")
        return body.decode(errors="replace")
