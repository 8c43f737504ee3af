"""One worker for each Rollout: never two reconciles of the same one at a time, timers, back-off after errors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rollouts.engine.cache import Key

__all__ = ["WorkQueue"]

_LOG = logging.getLogger(__name__)
_BACKOFF_SECONDS: Final = (0.1, 0.3, 1.0, 2.0, 5.0, 10.0, 30.0)


class WorkQueue:
    """Runs ``reconcile(key)`` whenever a key is triggered, and when the time comes that it asked for.

    Triggers that arrive during a run cause one more run afterwards, however many they are.
    """

    def __init__(
        self, reconcile: Callable[[Key], Awaitable[float | None]], on_error: Callable[[Key, Exception], None]
    ) -> None:
        """Make a queue.

        Args:
            reconcile: Returns after how many seconds it wants to run again; None to wait for a trigger.
            on_error: Told of each failure, before the back-off.
        """
        self._reconcile = reconcile
        self._on_error = on_error
        self._wanted: dict[Key, asyncio.Event] = {}
        self._workers: dict[Key, asyncio.Task[None]] = {}

    def trigger(self, key: Key) -> None:
        """Ask for a run."""
        self._wanted.setdefault(key, asyncio.Event()).set()
        if key not in self._workers:
            self._workers[key] = asyncio.create_task(self._work(key), name=f"rollout {key[0]}/{key[1]}")

    def forget(self, key: Key) -> None:
        """End a key's worker after its present run."""
        self._wanted.pop(key, None)
        if worker := self._workers.pop(key, None):
            worker.cancel()

    async def close(self) -> None:
        """End all workers."""
        workers = list(self._workers.values())
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, key: Key) -> None:
        wanted = self._wanted[key]
        failures = 0
        after: float | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(after):
                    await wanted.wait()
            wanted.clear()
            try:
                after = await self._reconcile(key)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on and this one tries again
                self._on_error(key, error)
                after = _BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)]
                failures += 1
                await asyncio.sleep(after)
                after = 0.0
            else:
                failures = 0
