"""Keeps the numbers in releases' messages up to date, beside the transitions: what does not fit is left out, never queued."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from rollouts.notify.base import LaterError, UnclearError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from rollouts.notify.slack import SlackSink

__all__ = ["SlackRefresh"]

_LOG = logging.getLogger(__name__)
_A_MINUTE: Final = 30
"""Of the 50 changes of messages in a minute that Slack takes from an app at least; the rest is for transitions."""
_A_MINUTE_IN_A_CHANNEL: Final = 20
_QUIET_SECONDS: Final = 10.0


class _Allowance:
    """So many in a minute, a few of them at once."""

    def __init__(self, a_minute: int, clock: Callable[[], float]) -> None:
        self._rate = a_minute / 60
        self._most = max(1.0, a_minute / 6)
        self._clock = clock
        self._left = self._most
        self._at = clock()

    @property
    def there(self) -> bool:
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left >= 1.0

    def take(self) -> None:
        self._left -= 1.0


class SlackRefresh:
    """Looks at all messages again and again, each time beginning where the allowance ended."""

    def __init__(
        self,
        sink: SlackSink,
        messages: Callable[[], Iterable[tuple[str, str, str, Mapping[str, str]]]],
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Make one.

        Args:
            sink: What changes messages.
            messages: Returns namespace, name and uid of the Rollouts with what ``sink.send`` returned last.
            seconds: Between two rounds.
            clock: Seconds that never go back.
            pause: Waits for a time in seconds.
        """
        self._sink = sink
        self._messages = messages
        self._seconds = seconds
        self._clock = clock
        self._pause = pause
        self._all = _Allowance(_A_MINUTE, clock)
        self._channels: dict[str, _Allowance] = {}
        self._quiet_until = 0.0
        self._last = ""

    async def run(self) -> None:
        """Do it until cancelled."""
        while True:
            await self._pause(self._seconds)
            try:
                await self.once()
            except Exception:  # noqa: BLE001 - whatever it is, the messages go on
                _LOG.exception("messages in Slack are not brought up to date")

    async def once(self) -> None:
        """Bring up to date what the allowance is enough for."""
        messages = sorted(self._messages(), key=lambda m: m[2])
        first = next((i for i, m in enumerate(messages) if m[2] > self._last), 0)
        for namespace, name, uid, memory in (*messages[first:], *messages[:first]):
            if self._clock() < self._quiet_until or not self._all.there:
                return
            channel = self._channels.setdefault(
                memory.get("channel", ""), _Allowance(_A_MINUTE_IN_A_CHANNEL, self._clock)
            )
            if not channel.there:
                continue
            try:
                asked = await self._sink.refresh(namespace, name, uid, memory)
            except (LaterError, UnclearError) as error:
                pause = getattr(error, "seconds", None) or _QUIET_SECONDS
                self._quiet_until = self._clock() + pause
                return
            if asked:
                self._last = uid
                channel.take()
                self._all.take()
