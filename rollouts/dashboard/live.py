"""Keeps the views of those who look up to date: a few times a second, each once for all, and nothing while nobody looks.

All of it runs in the controller's event loop, so it gives way to decisions: the rows of many Rollouts are made in small
portions, and no page is ever waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from rollouts.dashboard.feeds import Feed, ListFeed
from rollouts.dashboard.releases import ReleaseFeed
from rollouts.dashboard.rollouts import row_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping

    from rollouts.dashboard.board import Board
    from rollouts.dashboard.polls import Poll
    from rollouts.dashboard.releases import OpenWindows
    from rollouts.engine.cache import Key

__all__ = ["MOST_RELEASES", "BusyError", "Live", "Viewer"]

_EVERY: Final = 0.25
_PORTION: Final = 20
"""Rows that are made before others have their turn."""
_LINGER: Final = 15.0
"""Seconds for which a view is kept up to date after the last page has left: it may only be loading anew."""
_PREFIX: Final = "rollout/"
MOST_RELEASES: Final = 64
"""Rollouts that are looked at in detail at once: each is a stream of telemetry."""


class BusyError(Exception):
    """As many look as can be served."""


class Viewer:
    """Somebody who looks at some views.

    Attributes:
        feeds: Those.
        wake: Set when one of them has a new version.
    """

    def __init__(self, feeds: Iterable[Feed]) -> None:
        self.feeds = tuple(feeds)
        self.wake = asyncio.Event()
        self._has: dict[str, int] = {}

    def messages(self) -> Iterator[tuple[Feed, bytes]]:
        """Return what brings each view up to date; while the first is being sent the others may change once more."""
        self.wake.clear()
        for feed in self.feeds:
            if self._has.get(feed.topic, 0) != feed.version:
                data = feed.message(self._has.get(feed.topic, 0))
                self._has[feed.topic] = feed.version
                yield feed, data


class Live:
    """The views that are looked at."""

    def __init__(
        self,
        board: Board,
        *,
        polls: Mapping[str, Poll],
        open_windows: OpenWindows | None,
        clock: Callable[[], float],
        every: float = _EVERY,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Make one; ``run`` keeps it up to date.

        Args:
            board: Knows the Rollouts.
            polls: What is asked of the mesh while somebody looks, by topic.
            open_windows: Opens the mesh's telemetry of a host.
            clock: Unix seconds.
            every: Least seconds between two versions of a view.
            sleep: Waits for some seconds.
        """
        self.rows = ListFeed("rollouts", "rollouts", clock)
        self._board, self._polls, self._open_windows = board, polls, open_windows
        self._clock, self._every, self._sleep = clock, every, sleep
        self._dirty: dict[Key, None] = dict.fromkeys(board.rollouts)
        self._news = asyncio.Event()
        self._viewers: set[Viewer] = set()
        self._releases: dict[Key, ReleaseFeed] = {}
        self._looks: dict[Key, int] = {}
        self._leaving: dict[Key, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()
        board.listen(self._changed)
        for poll in polls.values():
            poll.on_news = self._wake

    @property
    def viewers(self) -> int:
        """How many look."""
        return len(self._viewers)

    @contextlib.asynccontextmanager
    async def looking(self, topics: Iterable[str]) -> AsyncIterator[Viewer]:
        """Look at some topics. What they show is up to date when this begins.

        Args:
            topics: ``rollouts``, ``rollout/NAMESPACE/NAME`` or the name of a poll.

        Raises:
            KeyError: There is no such topic.
            BusyError: As many look as can be served.
        """
        async with contextlib.AsyncExitStack() as stack:
            feeds: list[Feed] = []
            for topic in topics:
                if topic.startswith(_PREFIX):
                    namespace, _, name = topic.removeprefix(_PREFIX).partition("/")
                    feeds.append(stack.enter_context(self.release((namespace, name))))
                elif topic == self.rows.topic:
                    await self.refresh_rows()
                    feeds.append(self.rows)
                else:
                    feeds.append(await stack.enter_async_context(self._polls[topic].looking()))
            viewer = Viewer(feeds)
            self._viewers.add(viewer)
            self._news.set()  # what changed while the others were made ready
            try:
                yield viewer
            finally:
                self._viewers.discard(viewer)

    @contextlib.contextmanager
    def release(self, key: Key) -> Iterator[ReleaseFeed]:
        """Look at one Rollout; it goes on for a moment after the last who did has left."""
        if handle := self._leaving.pop(key, None):
            handle.cancel()
        feed = self._releases.get(key)
        if feed is None:
            if len(self._releases) >= MOST_RELEASES:
                raise BusyError(f"{MOST_RELEASES} Rollouts are looked at in detail already: try again later")
            feed = ReleaseFeed(
                key, self._board, open_windows=self._open_windows, clock=self._clock, on_news=self._news.set
            )
            self._releases[key] = feed
        self._looks[key] = self._looks.get(key, 0) + 1
        self._publish(feed)
        try:
            yield feed
        finally:
            self._looks[key] -= 1
            if not self._looks[key]:
                del self._looks[key]
                self._leaving[key] = asyncio.get_running_loop().call_later(_LINGER, self._left, key)

    async def refresh_rows(self) -> None:
        """Make the rows of all Rollouts that changed, in portions, and publish them."""
        made = 0
        while self._dirty:
            key, _ = self._dirty.popitem()
            rollout = self._board.rollouts.get(key)
            if rollout is None:
                self.rows.drop(key)
            else:
                self.rows.put(key, row_of(rollout))
            made += 1
            if made % _PORTION == 0:
                await asyncio.sleep(0)
        if self.rows.flush():
            self._wake(self.rows)

    async def run(self) -> None:
        """Publish what changes until cancelled."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                if any(feed is self.rows for viewer in self._viewers for feed in viewer.feeds):
                    await self.refresh_rows()
                for feed in tuple(self._releases.values()):
                    self._publish(feed)
                    await asyncio.sleep(0)
                await self._sleep(self._every)
        finally:
            await self.close()

    async def close(self) -> None:
        """End what is asked of the mesh."""
        for handle in self._leaving.values():
            handle.cancel()
        self._leaving.clear()
        for feed in tuple(self._releases.values()):
            await feed.close()
        self._releases.clear()
        for poll in self._polls.values():
            await poll.close()
        await asyncio.gather(*self._closing)

    def _changed(self, key: Key) -> None:
        self._dirty[key] = None
        if (feed := self._releases.get(key)) is not None:
            feed.dirty = True
        if self._viewers or self._releases:
            self._news.set()

    def _publish(self, feed: ReleaseFeed) -> None:
        feed.refresh()
        if feed.told != feed.version:
            feed.told = feed.version
            self._wake(feed)

    def _wake(self, feed: Feed) -> None:
        for viewer in self._viewers:
            if feed in viewer.feeds:
                viewer.wake.set()

    def _left(self, key: Key) -> None:
        self._leaving.pop(key, None)
        if feed := self._releases.pop(key, None):
            task = asyncio.create_task(feed.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
