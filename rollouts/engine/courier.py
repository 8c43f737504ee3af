"""Tells one sink what one Rollout's queue owes it: in order, each once, with pauses where it is down."""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp

from rollouts.core.notes import Announcement
from rollouts.engine.events import post_named_event
from rollouts.engine.kube import KubeError
from rollouts.notify.base import LaterError, RefusedError, UnclearError
from rollouts.notify.outbox import pause_before

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rollouts.core.observed import Subject
    from rollouts.engine.kube import Kube
    from rollouts.engine.outbox_store import BoxStore
    from rollouts.notify.base import Sink, Transition
    from rollouts.notify.outbox import Box, Lane

__all__ = ["FAULTS", "Courier", "Surroundings"]

_LOG = logging.getLogger(__name__)
FAULTS: Final = (KubeError, aiohttp.ClientError, OSError, TimeoutError)
SEND_SECONDS: Final = 60.0
_MOST_PAUSE: Final = 3600.0
_AT_ONCE: Final = 4
_MOST_DEFECTS: Final = 5
"""After so many errors that no sink should raise a transition is given up."""
_NOTE_LENGTH: Final = 1000
_FOR_GOOD: Final = 400
_SERVER_ERRORS: Final = 500


@dataclass(frozen=True)
class Surroundings:
    """What couriers use.

    Attributes:
        kube: The connection of one who writes only while it leads.
        instance: This process's name, for Events.
        clock: Unix seconds.
        left: For how many more seconds this process surely leads.
        pause: Waits for a time in seconds.
        spread: A number from 0 to 1, by which pauses differ.
    """

    kube: Kube
    instance: str
    clock: Callable[[], float]
    left: Callable[[], float] = lambda: SEND_SECONDS
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep
    spread: Callable[[], float] = random.random

    async def insist(self, call: Callable[[], Awaitable[None]], failed: Callable[[str], None] = _LOG.warning) -> None:
        """Call until the API server has taken it: nothing is sent that is not marked.

        Args:
            call: What to do.
            failed: Is told in words when it failed.
        """
        tries = 0
        while True:
            try:
                await call()
            except FAULTS as error:
                tries += 1
                failed(str(error) or type(error).__name__)
                await self.pause(pause_before(tries, None, self.spread))
            else:
                return


class Courier:
    """Delivers to one sink, for all Rollouts: a few at once, and none while the sink asked for a pause."""

    def __init__(self, sink: Sink, around: Surroundings) -> None:
        self._sink = sink
        self._around = around
        self._id = uuid.uuid4().hex
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._closed_until = 0.0

    async def deliver(self, subject: Subject, store: BoxStore) -> None:
        """Tell what a Rollout's queue owes, until it owes nothing."""
        while True:
            await self._tell_loss(subject, store)
            transition = store.box.next(self._sink.name)
            if transition is None:
                return
            if (seconds := self._wait_for(store)) > 0:
                await self._around.pause(seconds)
            async with self._room:
                if self._wait_for(store) <= 0:
                    await self._one(subject, store, transition)

    async def _one(self, subject: Subject, store: BoxStore, transition: Transition) -> None:
        """Mark, send, and store what became of it."""
        name, number = self._sink.name, transition.number
        await self._change(store, lambda box: box.begin(name, number, self._id))
        lane = store.box.lane(name)
        if (lane.sending, lane.by) == (number, self._id):
            await self._change(store, await self._outcome(subject, transition, lane))

    async def _outcome(self, subject: Subject, transition: Transition, lane: Lane) -> Callable[[Box], Box]:
        """Send once, and return how that changes the queue."""
        name, number = self._sink.name, transition.number
        try:
            memory = await self._send(transition, lane)
        except RefusedError as error:
            await self._report(subject, "NotificationNotSent", f"{transition.reason}: {error}", number)
        except LaterError as error:
            return self._put_off(subject, lane, error, unclear=False)
        except (UnclearError, *FAULTS) as error:
            return self._put_off(subject, lane, error, unclear=True)
        except Exception as error:  # noqa: BLE001 - a sink's defect holds up nobody
            if lane.tries + 1 < _MOST_DEFECTS:
                return self._put_off(subject, lane, error, unclear=True)
            words = f"{transition.reason}: given up after {_MOST_DEFECTS} tries: {type(error).__name__}: {error}"
            await self._report(subject, "NotificationNotSent", words, number)
        else:
            return lambda box: box.done(name, number, memory)
        return lambda box: box.done(name, number)

    async def _send(self, transition: Transition, lane: Lane) -> dict[str, str]:
        if self._around.left() <= 0:
            raise LaterError("this controller does not lead (any more)")
        async with asyncio.timeout(SEND_SECONDS):
            return dict(await self._sink.send(transition, lane.memory, doubtful=lane.doubtful))

    def _put_off(self, subject: Subject, lane: Lane, error: Exception, *, unclear: bool) -> Callable[[Box], Box]:
        asked = error.seconds if isinstance(error, LaterError) else None
        pause = min(_MOST_PAUSE, pause_before(lane.tries + 1, asked, self._around.spread))
        until = self._around.clock() + pause
        if asked is not None:  # the service speaks for itself, not for one Rollout
            self._closed_until = max(self._closed_until, until)
        name, number, words = self._sink.name, lane.sending, str(error) or type(error).__name__
        _LOG.info("%s/%s: %s: again in %.0f s: %s", subject.namespace, subject.name, name, pause, words)
        return lambda box: box.failed(name, number, until, unclear=unclear)

    def _wait_for(self, store: BoxStore) -> float:
        return max(store.box.lane(self._sink.name).not_before, self._closed_until) - self._around.clock()

    async def _tell_loss(self, subject: Subject, store: BoxStore) -> None:
        name = self._sink.name
        loss = store.box.lane(name).loss
        if loss.count:
            words = f"{loss.count} transitions were never told there: it took none while so many came"
            await self._report(subject, "NotificationsLost", words, loss.last)
            await self._change(store, lambda box: box.told_loss(name, loss.last))

    async def _report(self, subject: Subject, reason: str, words: str, number: int) -> None:
        """Say in an Event what will not be told; its name makes it one, however often it is posted."""
        name, around = self._sink.name, self._around
        note = f"{name}: {words}"[:_NOTE_LENGTH]
        _LOG.warning("%s/%s: %s", subject.namespace, subject.name, note)
        announcement = Announcement(number=number, at=around.clock(), type="Warning", reason=reason, note=note)
        about = f"{reason}-{name}".lower()

        async def post() -> None:
            try:
                await post_named_event(around.kube, subject, announcement, around.instance, about)
            except KubeError as error:
                if not _FOR_GOOD <= error.status < _SERVER_ERRORS:
                    raise
                _LOG.warning("%s/%s: no Event tells of it: %s", subject.namespace, subject.name, error)

        await around.insist(post)

    async def _change(self, store: BoxStore, change: Callable[[Box], Box]) -> None:
        store.change(change)
        await self._around.insist(store.flush, store.say_failure)
