"""Where the counts of one release come from: the mesh tells them by itself, anything else is asked."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Protocol

from analysis.providers.base import NothingYetError, SourceError, UnavailableError
from mesh.api.telemetry import LATENCY_BOUNDS_MS
from rollouts.engine.measure import arms

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from analysis.model.counts import Window
    from analysis.providers.base import CountSource
    from rollouts.core.naming import Names
    from rollouts.engine.telemetry import TelemetryStream

__all__ = ["AskedSource", "Feed", "MeshFeed", "PolledFeed"]

_PAUSES: Final = (1.0, 2.0, 5.0, 10.0)


class Feed(Protocol):
    """A source of windows that works by itself."""

    @property
    def bounds(self) -> tuple[float, ...] | None:
        """Upper bounds of the latency buckets, milliseconds; None while they are not known, empty without latency."""
        ...

    @property
    def problem(self) -> str:
        """Why nothing comes at the moment; empty when all is well."""
        ...

    @property
    def answered(self) -> bool:
        """Whether it was reached when it was asked last, be it that it has nothing yet."""
        ...

    @property
    def problems(self) -> tuple[str, ...]:
        """What was wrong with samples that were left out."""
        ...

    def take(self) -> list[Window]:
        """Return the windows that came since the last call."""
        ...

    async def close(self) -> None:
        """End it."""
        ...


class MeshFeed:
    """The included mesh's telemetry."""

    bounds: tuple[float, ...] | None = LATENCY_BOUNDS_MS
    problems: tuple[str, ...] = ()

    def __init__(self, stream: TelemetryStream, names: Names) -> None:
        self._stream, self._names = stream, names

    @property
    def problem(self) -> str:
        """Why nothing comes at the moment."""
        return self._stream.problem

    @property
    def answered(self) -> bool:
        """Whether the mesh was reached."""
        return self._stream.answered

    def take(self) -> list[Window]:
        """Return the windows that came since the last call."""
        return arms(self._stream.take(), self._names)

    async def close(self) -> None:
        """End the stream."""
        await self._stream.close()


class AskedSource(Protocol):
    """A source of counts that also knows its latency bounds and what was wrong."""

    problems: tuple[str, ...]

    async def bounds(self) -> tuple[float, ...]:
        """Return the latency bounds to judge at, milliseconds."""
        ...

    async def read(self, since: float, until: float) -> Sequence[Window]:
        """See ``CountSource``."""
        ...

    async def close(self) -> None:
        """Free what it holds."""
        ...


class PolledFeed:
    """Asks a source again and again, from where it stopped."""

    def __init__(
        self,
        open_source: Callable[[tuple[float, ...]], AskedSource],
        *,
        since: float,
        bounds: tuple[float, ...] | None,
        every: float,
        clock: Callable[[], float],
        on_change: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Begin to ask.

        Args:
            open_source: Opens the source for given latency bounds; it is asked for them first where they are not known.
            since: From when on, Unix seconds.
            bounds: The latency bounds of this release, where it had begun before.
            every: Seconds between two questions.
            clock: Unix seconds.
            on_change: Called when something came, or stopped coming.
            sleep: Waits for some seconds.
        """
        self.bounds = bounds
        self.problem = ""
        self.answered = False
        self.problems: tuple[str, ...] = ()
        self._open, self._since, self._every = open_source, since, every
        self._clock, self._on_change, self._sleep = clock, on_change, sleep
        self._fresh: list[Window] = []
        self._task = asyncio.create_task(self._run(), name="counts")

    def take(self) -> list[Window]:
        """Return the windows that came since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    async def close(self) -> None:
        """End it."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        source: AskedSource | None = None
        failures = 0
        try:
            while True:
                pause = self._every
                try:
                    source = source or await self._ready()
                    await self._read(source)
                    failures = 0
                except Exception as error:  # noqa: BLE001 - whatever a source raises is told, and is no evidence
                    pause = self._failed(error, failures)
                    failures += 1
                await self._sleep(pause)
        finally:
            if source is not None:
                await _closed(source)

    async def _ready(self) -> AskedSource:
        if self.bounds is None:
            asked = self._open(())
            try:
                self.bounds = await asked.bounds()
            finally:
                await _closed(asked)
        return self._open(self.bounds)

    async def _read(self, source: AskedSource) -> None:
        windows = await source.read(self._since, self._clock())
        told, self.problem = bool(self.problem) or not self.answered, ""
        self.answered = True
        changed = source.problems != self.problems
        self.problems = source.problems
        if windows:
            self._since = windows[-1].end
            self._fresh.extend(windows)
        if windows or told or changed:
            self._on_change()

    def _failed(self, error: Exception, failures: int) -> float:
        words = str(error) or type(error).__name__
        self.answered = isinstance(error, NothingYetError)
        self.problem = words if isinstance(error, SourceError) else f"{type(error).__name__}: {words}"
        self._on_change()
        asked = error.retry_after if isinstance(error, UnavailableError) else None
        return max(asked or 0.0, _PAUSES[min(failures, len(_PAUSES) - 1)])


async def _closed(source: AskedSource | CountSource) -> None:
    with contextlib.suppress(SourceError, OSError):
        await source.close()
