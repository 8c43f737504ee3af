"""One worker for each Rollout: never two reconciles of the same one at a time, timers, back-off after errors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING, Final

from rollouts.engine.places import Places

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rollouts.engine.cache import Key
    from rollouts.engine.meters import Meters

__all__ = ["WorkQueue"]

_LOG = logging.getLogger(__name__)
_AT_ONCE: Final = 16
_PLACE_SECONDS: Final = 1.0
_BACKOFF_SECONDS: Final = (0.1, 0.3, 1.0, 2.0, 5.0, 10.0, 30.0)


class WorkQueue:
    """Runs ``reconcile(key)`` whenever a key is triggered, and when the time comes that it asked for.

    Triggers that arrive during a run cause one more run afterwards, however many they are. Few run at the same time: each
    works for milliseconds, and while hundreds do nobody hears what the watches say.
    """

    def __init__(
        self,
        reconcile: Callable[[Key], Awaitable[float | None]],
        on_error: Callable[[Key, Exception], None],
        meters: Meters | None = None,
        clock: Callable[[], float] = time.monotonic,
        urgent: Callable[[Key], bool] = lambda _: False,
    ) -> None:
        """Make a queue.

        Args:
            reconcile: Returns after how many seconds it wants to run again; None to wait for a trigger.
            on_error: Told of each failure, before the back-off.
            meters: Counts the runs.
            clock: Seconds, by which it is told how late they begin.
            urgent: Whether somebody waits for a key's next run: it begins at once, however many there are.
        """
        self._reconcile = reconcile
        self._on_error = on_error
        self._meters = meters
        self._clock = clock
        self._urgent = urgent
        self._places = Places(_AT_ONCE, _PLACE_SECONDS)
        self._due: dict[Key, float] = {}
        self._wanted: dict[Key, asyncio.Event] = {}
        self._workers: dict[Key, asyncio.Task[None]] = {}

    def trigger(self, key: Key) -> None:
        """Ask for a run."""
        now = self._clock()
        self._due[key] = min(self._due.get(key, now), now)
        self._wanted.setdefault(key, asyncio.Event()).set()
        if key not in self._workers:
            self._workers[key] = asyncio.create_task(self._work(key), name=f"rollout {key[0]}/{key[1]}")
        elif self._urgent(key):
            self._places.hurry(key)

    def forget(self, key: Key) -> None:
        """End a key's worker after its present run."""
        self._wanted.pop(key, None)
        self._due.pop(key, None)
        if worker := self._workers.pop(key, None):
            worker.cancel()

    @property
    def depth(self) -> int:
        """How many keys are to be run and are not yet."""
        return sum(wanted.is_set() for wanted in self._wanted.values())

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
        clock = self._clock
        while True:
            if after is not None:
                self._due[key] = min(self._due.get(key, clock() + after), clock() + after)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(after):
                    await wanted.wait()
            wanted.set()  # it is to be run, and is not yet
            try:
                async with self._places.take(key, urgent=self._urgent(key)):
                    wanted.clear()
                    after = await self._run(key)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others go on and this one tries again
                self._on_error(key, error)
                after = _BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)]
                failures += 1
                await asyncio.sleep(after)
                self._due.pop(key, None)  # nobody is late who was told to wait
                after = 0.0
            else:
                failures = 0

    async def _run(self, key: Key) -> float | None:
        began = self._clock()
        waited = began - self._due.pop(key, began)
        try:
            after = await self._reconcile(key)
        except Exception:
            self._count(waited, self._clock() - began, failed=True)
            raise
        self._count(waited, self._clock() - began, failed=False)
        return after

    def _count(self, waited: float, took: float, *, failed: bool) -> None:
        if self._meters is not None:
            self._meters.looked(waited=waited, took=took, failed=failed)
