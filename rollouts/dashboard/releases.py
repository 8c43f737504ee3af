"""One Rollout with its past and its traffic, for all who look at it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, Protocol

from rollouts.core.naming import suffixed
from rollouts.dashboard.feeds import Feed, encode
from rollouts.dashboard.rollouts import detail_of
from rollouts.dashboard.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mesh.api.telemetry import TelemetryWindow
    from rollouts.dashboard.board import Board
    from rollouts.engine.cache import Key

__all__ = ["ReleaseFeed", "Windows"]

_HOUR: Final = 3600.0
_LATELY: Final = 600.0
"""Seconds of traffic that are shown where no release is known."""
_FINE: Final = 900.0
"""A release that began earlier than this is shown in wider buckets from the start."""
_NOTHING: Final[dict[str, Any]] = {
    "release": None,
    "since": None,
    "complete": True,
    "weights": {"t": [], "configured": [], "acknowledged": [], "actual": [], "step": []},
    "evidence": {},
    "decisions": [],
}


class Windows(Protocol):
    """A host's windows as they come (``rollouts.engine.telemetry.TelemetryStream``)."""

    problem: str

    def take(self) -> Sequence[TelemetryWindow]:
        """Return those that came since the last call."""

    async def close(self) -> None:
        """End it."""


if TYPE_CHECKING:
    OpenWindows = Callable[[Key, float, Callable[[], None]], Windows]
    """Opens a host's windows: namespace and name, since when, what to call when some came."""


class ReleaseFeed(Feed):
    """One Rollout. It asks the mesh for its windows from the first look until it is closed.

    Attributes:
        dirty: Whether something changed since it was published.
        told: The version that pages were woken for.
    """

    def __init__(
        self,
        key: Key,
        board: Board,
        *,
        open_windows: OpenWindows | None,
        clock: Callable[[], float],
        on_news: Callable[[], None],
    ) -> None:
        """Begin.

        Args:
            key: Which Rollout.
            board: Knows it.
            open_windows: Opens the mesh's telemetry; None where there is no mesh to ask.
            clock: Unix seconds.
            on_news: Called when windows came.
        """
        super().__init__(f"rollout/{key[0]}/{key[1]}")
        self.key = key
        self.dirty = True
        self.told = 0
        self._board, self._open_windows, self._clock, self._on_news = board, open_windows, clock, on_news
        self._windows: Windows | None = None
        self._traffic: Traffic | None = None
        self._of: tuple[str, float] | None = None
        self._retired: list[Windows] = []
        self._heard = asyncio.Event()

    def refresh(self) -> bool:
        """Publish what changed; return whether anything did."""
        if not self.dirty and self.version:
            return False
        self.dirty = False
        rollout = self._board.rollouts.get(self.key)
        if rollout is None:
            self.publish(None)
            return True
        anew = self._follow(rollout)
        track = self._board.track(self.key)
        series = track.series.fresh() if track.series else None
        timeline = track.timeline(fresh=True)
        traffic = self._traffic_of(fresh=True)
        if anew or series is None or traffic is None or not self.version:
            self.publish(None)
            return True
        change = {"rollout": detail_of(rollout), "timeline": timeline, "series": series, "traffic": traffic}
        self.publish(encode({"full": False, "version": self.version + 1, "at": self._clock(), **change}))
        return True

    def message(self, since: int) -> bytes:
        """See ``Feed``; what came meanwhile is published first, so that no point is told twice."""
        if (since != self.version - 1 or not since) and self.refresh():
            self._on_news()
        return super().message(since)

    def whole(self) -> bytes:
        """Return the Rollout with its past."""
        return encode({"full": True, **self.view()})

    def view(self) -> dict[str, Any]:
        """Return the Rollout as a GET has it."""
        rollout = self._board.rollouts.get(self.key)
        if rollout is None:
            return {"version": self.version, "at": self._clock(), "gone": True}
        track = self._board.track(self.key)
        return {
            "version": self.version,
            "at": self._clock(),
            "rollout": detail_of(rollout),
            "timeline": track.timeline(),
            "series": track.series.dump() if track.series else _NOTHING,
            "traffic": self._traffic_of(fresh=False),
        }

    async def first_windows(self, seconds: float) -> None:
        """Wait until the mesh has said something, but no longer than some seconds."""
        if self._windows is not None and not self._heard.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._heard.wait()
        self.refresh()

    async def close(self) -> None:
        """End the telemetry."""
        if self._windows is not None:
            self._retired.append(self._windows)
            self._windows = None
        while self._retired:
            await self._retired.pop().close()

    def _follow(self, rollout: Mapping[str, Any]) -> bool:
        """Ask the mesh about the present host and release; return whether that is another one than before."""
        internal = (rollout.get("status") or {}).get("internal") or {}
        spec = rollout.get("spec") or {}
        host = internal.get("host") or spec.get("service") or (spec.get("workloadRef") or {}).get("name") or ""
        series, now = self._board.track(self.key).series, self._clock()
        began = series.began if series else 0.0
        if self._of == (host, began):
            if self._windows is not None and self._traffic is not None:
                self._traffic.add(self._windows.take())
            return False
        self._of = (host, began)
        since = max(began or now - _LATELY, now - _HOUR)
        self._traffic = Traffic(suffixed(host), since, 1.0 if now - since <= _FINE else 5.0)
        if self._windows is not None:
            self._retired.append(self._windows)
        self._windows = self._open_windows((self.key[0], host), since, self._news) if self._open_windows else None
        return True

    def _news(self) -> None:
        self._heard.set()
        self.dirty = True
        self._on_news()

    def _traffic_of(self, *, fresh: bool) -> dict[str, Any] | None:
        traffic = self._traffic or Traffic("", self._clock())
        problem = self._windows.problem if self._windows else "this controller has no mesh to ask"
        return traffic.fresh(problem) if fresh else traffic.dump(problem)
