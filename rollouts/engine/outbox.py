"""Takes transitions in and has them told: beside all looks at Rollouts, each once, in order for each Rollout and sink.

A Rollout's queue is in a ConfigMap of its own. Before each send a mark is stored there, and after it that it was told:
whoever takes over from a killed controller finds the mark and tells the sink that an earlier try may have been delivered.
A sink that is down keeps only what it is owed itself; nothing here ever delays a decision.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rollouts.engine.courier import Courier
from rollouts.engine.outbox_store import BoxStore

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping, Sequence

    from rollouts.core.observed import Subject
    from rollouts.engine.cache import Key
    from rollouts.engine.courier import Surroundings
    from rollouts.notify.base import Sink, Transition

__all__ = ["Outbox"]

_LOG = logging.getLogger(__name__)
_LOADS_AT_ONCE: Final = 8
_KEPT_SECONDS: Final = 5.0


@dataclass
class _Post:
    """What one process knows of a Rollout's queue."""

    subject: Subject
    store: BoxStore
    loaded: bool = False
    taken: int = 0
    storing: tuple[Transition, ...] = ()
    waiting: list[Transition] = field(default_factory=list)
    intake: asyncio.Task[None] | None = None
    lanes: dict[str, asyncio.Task[None]] = field(default_factory=dict)


class Outbox:
    """One term's couriers. What they remember is only to spare reads: losing it loses nothing."""

    def __init__(self, sinks: Sequence[Sink], around: Surroundings) -> None:
        """Make one that delivers nothing yet.

        Args:
            sinks: Where transitions are told; no two have one name.
            around: The API server and the clock.
        """
        self._sinks = {sink.name: sink for sink in sinks}
        self._couriers = {name: Courier(sink, around) for name, sink in self._sinks.items()}
        self._around = around
        self._posts: dict[str, _Post] = {}
        self._loads = asyncio.Semaphore(_LOADS_AT_ONCE)

    def take(self, subject: Subject, transitions: Iterable[Transition]) -> None:
        """Take transitions in, in order of their numbers; those that were taken before are left out. It never waits.

        The first call for a Rollout also goes on with what an earlier process left.
        """
        post = self._posts.get(subject.uid)
        if post is None:
            post = self._posts[subject.uid] = _Post(subject, BoxStore(self._around.kube, subject))
        new = [t for t in transitions if t.number > post.taken]
        if new:
            post.taken = new[-1].number
            post.waiting += new
        if post.intake is None or (new and post.intake.done()):
            post.intake = _start(self._take_in(post))

    def taken(self, uid: str) -> int:
        """Return the number of the last transition of a Rollout that was taken in; 0 for none in this term."""
        post = self._posts.get(uid)
        return post.taken if post else 0

    @property
    def pending(self) -> dict[str, int]:
        """How many transitions each sink is not told of yet, by its name."""
        counts = dict.fromkeys(self._sinks, 0)
        for post in self._posts.values():
            for name, lane in post.store.box.lanes.items():
                counts[name] = counts.get(name, 0) + len(lane.owed)
        return counts

    def remembered(self, sink: str) -> list[tuple[str, str, str, Mapping[str, str]]]:
        """Return namespace, name and uid of each Rollout with what a sink keeps of it."""
        return [
            (post.subject.namespace, post.subject.name, uid, memory)
            for uid, post in self._posts.items()
            if (memory := post.store.box.lane(sink).memory)
        ]

    async def kept(self, uid: str, number: int) -> None:
        """Wait until the transitions up to a number are stored, as the status is about to drop them; not for long."""
        post = self._posts.get(uid)
        if post is None:
            return
        try:
            async with asyncio.timeout(_KEPT_SECONDS):
                while _unstored(post, number) and not post.store.failing:
                    await post.store.progress()
        except TimeoutError:
            _LOG.warning("%s/%s: notifications are not stored yet", post.subject.namespace, post.subject.name)

    async def forget(self, key: Key) -> None:
        """Forget a Rollout that is gone; its queue went with it."""
        for uid, post in list(self._posts.items()):
            if (post.subject.namespace, post.subject.name) == key:
                del self._posts[uid]
                await _end(post)

    async def close(self) -> None:
        """End. What was not told is told by the next process, or in the next term."""
        posts, self._posts = list(self._posts.values()), {}
        for post in posts:
            await _end(post)

    async def _take_in(self, post: _Post) -> None:
        """Load the queue once, and store what waits to be put in."""
        if not post.loaded:
            async with self._loads:
                await self._around.insist(post.store.load, post.store.say_failure)
            post.loaded = True
            post.store.change(lambda box: box.only(self._sinks))
            self._deliver(post)
        while post.waiting:
            post.storing, post.waiting = tuple(post.waiting), []
            try:
                await self._store(post)
            finally:
                post.storing = ()
                post.store.say_progress()
            self._deliver(post)

    async def _store(self, post: _Post) -> None:
        oldest = self._around.clock() - post.store.most_age
        wanted = [(t, self._wanting(t) if t.at >= oldest else ()) for t in post.storing]
        post.store.change(lambda box: box.put(wanted))
        if any(sinks for _, sinks in wanted):
            await self._around.insist(post.store.flush, post.store.say_failure)

    def _wanting(self, transition: Transition) -> tuple[str, ...]:
        return tuple(name for name, sink in self._sinks.items() if _wants(sink, transition))

    def _deliver(self, post: _Post) -> None:
        """See that each lane that owes something is served."""
        for name, lane in post.store.box.lanes.items():
            running = post.lanes.get(name)
            if (lane.owed or lane.loss.count) and (running is None or running.done()):
                post.lanes[name] = _start(self._couriers[name].deliver(post.subject, post.store))


def _start(call: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Do it beside everything else; a defect in it is logged, and the next transition begins it anew."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            _LOG.error("telling stopped", exc_info=error)

    task = asyncio.ensure_future(call)
    task.add_done_callback(ended)
    return task


def _unstored(post: _Post, number: int) -> bool:
    """Return whether a transition up to a number is in this process's memory only."""
    return any(t.number <= number for t in (*post.storing, *post.waiting))


def _wants(sink: Sink, transition: Transition) -> bool:
    try:
        return sink.wants(transition)
    except Exception:  # noqa: BLE001 - a sink's defect holds up nobody
        _LOG.warning("%s: whether %s is told there", sink.name, transition.reason, exc_info=True)
        return True  # rather one too many than none


async def _end(post: _Post) -> None:
    tasks = [t for t in (post.intake, *post.lanes.values()) if t is not None]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
