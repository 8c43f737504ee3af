"""What only the controller that leads does: reconcile. A term begins with nothing remembered, and with warm caches."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from rollouts.api.names import PLURAL
from rollouts.engine.queue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rollouts.engine.cache import Cache, Key
    from rollouts.engine.meters import Meters
    from rollouts.engine.reconciler import Reconciler

__all__ = ["Duty"]


class Duty:
    """Takes the watches' triggers to the present term's queue; while nobody serves one, they are left out."""

    def __init__(
        self,
        cache: Cache,
        make: Callable[[Callable[[Key], None]], Reconciler],
        prepare: Callable[[], Awaitable[None]],
        began: Callable[[], None],
        meters: Meters | None = None,
        *,
        beside: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Make one that is off duty.

        Args:
            cache: What the watches tell.
            make: Makes a term's reconciler, given what triggers a Rollout.
            prepare: Done first in each term.
            began: Called when a term has begun.
            meters: Counts the looks.
            beside: Goes on beside each term's looks, and is cancelled with it; it raises nothing.
        """
        self._cache = cache
        self._make = make
        self._prepare = prepare
        self._began = began
        self._meters = meters
        self._beside = beside
        self._queue: WorkQueue | None = None
        self._warm = asyncio.Event()

    @property
    def serving(self) -> bool:
        """Whether a term is under way."""
        return self._queue is not None

    @property
    def waiting(self) -> int:
        """How many Rollouts are to be looked at and are not yet."""
        return self._queue.depth if self._queue is not None else 0

    def trigger(self, key: Key) -> None:
        """Ask for a look at a Rollout."""
        if self._queue is not None:
            self._queue.trigger(key)

    def forget(self, key: Key) -> None:
        """End a Rollout's worker."""
        if self._queue is not None:
            self._queue.forget(key)

    def vanished(self, plural: str, key: Key) -> None:
        """Look at all Rollouts that something may have belonged to that is gone."""
        if plural == PLURAL:
            self.forget(key)
        for rollout in list(self._cache.rollouts):
            if key[0] in {"", rollout[0]}:
                self.trigger(rollout)

    def warm(self) -> None:
        """Say that the cache holds all that there is."""
        self._warm.set()

    async def until_warm(self) -> None:
        """Wait until the cache holds all that there is: nothing may be decided before."""
        await self._warm.wait()

    async def serve(self) -> None:
        """Reconcile until cancelled."""
        await self._prepare()
        reconciler = self._make(self.trigger)
        queue = WorkQueue(reconciler.reconcile, reconciler.failed, self._meters, urgent=reconciler.urgent)
        beside = asyncio.ensure_future(_nothing() if self._beside is None else self._beside())
        try:
            self._queue = queue
            for key in list(self._cache.rollouts):
                queue.trigger(key)
            self._began()
            await asyncio.Event().wait()
        finally:
            self._queue = None
            beside.cancel()
            await queue.close()
            await asyncio.wait({beside})
            await reconciler.close()


async def _nothing() -> None:
    """Go on with nothing."""
