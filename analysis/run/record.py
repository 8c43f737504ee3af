"""Make a recording: take windows in as they come, and write them so that ``replay`` judges them as they were judged live."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from analysis.judges.intake import Intake
from analysis.model.counts import Arm, PodCounts, Window
from analysis.model.recording import Recording, header_line, window_lines
from analysis.providers.base import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from analysis.model.policy import Policy

__all__ = ["Progress", "Recorder", "Sums", "TellingSource", "record_counts"]

_PIECE: Final = 1800.0
"""Seconds that are asked for at once, so that there is progress to show."""
_PAUSES: Final = (1.0, 2.0, 5.0, 10.0)
_TRIES: Final = 6
_FIRST_TRIES: Final = 3
"""Where there was no answer yet, the address is more likely wrong than the service overloaded."""
_SILENT: Final = PodCounts(Arm.BASELINE, "", 0, 0)
"""Stands for a window in which nobody asked: known to be empty, and so no gap."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What was recorded of one version.

    Attributes:
        attempts: Attempts.
        errors: Of those, the failed ones.
        pods: Pods that were counted.
    """

    attempts: int = 0
    errors: int = 0
    pods: int = 0


class _Tally:
    """Adds up windows as they come: they are looked at every second."""

    def __init__(self, windows: Iterable[Window] = ()) -> None:
        self.attempts, self.errors = dict.fromkeys(Arm, 0), dict.fromkeys(Arm, 0)
        self.pods: dict[Arm, set[str]] = {arm: set() for arm in Arm}
        for window in windows:
            self.add(window)

    def add(self, window: Window) -> None:
        for row in window.pods:
            self.attempts[row.arm] += row.attempts
            self.errors[row.arm] += row.errors
            if row.pod:
                self.pods[row.arm].add(row.pod)


class Recorder:
    """Collects the windows of one release.

    Attributes:
        bounds_ms: Upper bounds of the latency buckets, milliseconds; empty to record no latencies, None while they are not
            known.
        began: When the release began, Unix seconds. A canary's counts from before are another canary's.
        ended: When its judging ended, Unix seconds: what comes later is not recorded. None while it goes on.
        step_starts: When the share of traffic changed.
        pods_started: When pods started, where that is known.
        title: What it is, for people.
        policy: What the judge was asked; None where that is not known.
    """

    def __init__(self, bounds_ms: Sequence[float] | None = None, *, began: float = -math.inf, title: str = "") -> None:
        self.bounds_ms: tuple[float, ...] | None = None if bounds_ms is None else tuple(bounds_ms)
        self.began = began
        self.ended: float | None = None
        self.step_starts: tuple[float, ...] = ()
        self.pods_started: dict[str, float] = {}
        self.title = title
        self.policy: Policy | None = None
        self._intake: Intake | None = None
        self._windows: list[Window] = []
        self._lines: list[str] = []
        self._tally = _Tally()
        self._source_problems: dict[str, None] = {}

    @property
    def until(self) -> float:
        """End of the newest window that came, Unix seconds; minus infinity for none."""
        return self._intake.until if self._intake else -math.inf

    @property
    def windows(self) -> tuple[Window, ...]:
        """What is recorded."""
        return tuple(self._windows[: self._count])

    @property
    def problems(self) -> tuple[str, ...]:
        """What was wrong with counts that were left out, in words."""
        return (*self._source_problems, *(self._intake.problems if self._intake else ()))

    def add(self, windows: Iterable[Window], problems: Iterable[str] = ()) -> None:
        """Take windows in. Those that came before, and those that cannot be counts, are left out.

        Args:
            windows: New windows, in any order.
            problems: What the source says was wrong with its samples.

        Raises:
            ValueError: ``bounds_ms`` is not known yet.
        """
        self._source_problems.update(dict.fromkeys(problems))
        windows = list(windows)
        if not windows:
            return
        if self.bounds_ms is None:
            raise ValueError("bounds_ms is not known yet: set it before windows are added")
        self._intake = self._intake or Intake(len(self.bounds_ms) + 1)
        if not self.bounds_ms:
            windows = [replace(w, pods=tuple(replace(pod, latency=()) for pod in w.pods)) for w in windows]
        silent = {window.start for window in windows if not window.pods}
        for window in self._intake.take(windows, math.inf):
            pods = (_SILENT,) if window.start in silent else self._of_this_release(window)
            if pods:
                kept = replace(window, pods=pods)
                self._windows.append(kept)
                self._lines.append("\n".join(window_lines(kept)))
                self._tally.add(kept)

    def sums(self) -> Mapping[Arm, Sums]:
        """What was recorded of each version."""
        tally = self._tally if self.ended is None else _Tally(self.windows)
        return {arm: Sums(tally.attempts[arm], tally.errors[arm], len(tally.pods[arm])) for arm in Arm}

    def guessed(self) -> tuple[str, ...]:
        """Return the canary's pods whose start nobody told: they count as started when they were first seen."""
        return tuple(sorted(self._first_seen().keys() - self.pods_started.keys()))

    def recording(self) -> Recording:
        """Return what is recorded."""
        return replace(self._header(), windows=self.windows)

    def lines(self) -> Iterator[str]:
        """Return the recording's lines, without line ends."""
        yield header_line(self._header())
        for lines in self._lines[: self._count]:
            yield from lines.split("\n")

    def _header(self) -> Recording:
        seen = {pod for window in self.windows for pod in (row.pod for row in window.pods) if pod}
        started = {**self._first_seen(), **{pod: time for pod, time in self.pods_started.items() if pod in seen}}
        return Recording(
            self.bounds_ms or (),
            tuple(sorted(self.step_starts)),
            dict(sorted(started.items())),
            title=self.title,
            policy=self.policy,
        )

    @property
    def _count(self) -> int:
        """How many windows end before the judging did."""
        count = len(self._windows)
        while self.ended is not None and count and self._windows[count - 1].end > self.ended:
            count -= 1
        return count

    def _of_this_release(self, window: Window) -> tuple[PodCounts, ...]:
        return tuple(pod for pod in window.pods if pod.arm is not Arm.CANARY or window.start >= self.began)

    def _first_seen(self) -> dict[str, float]:
        """When each of the canary's pods was first counted: at most a little later than it started."""
        found: dict[str, float] = {}
        for window in self.windows:
            for pod in window.pods:
                if pod.arm is Arm.CANARY and pod.pod:
                    found.setdefault(pod.pod, window.start)
        return found


class TellingSource(Protocol):
    """A source of counts that says what was wrong with its samples."""

    problems: tuple[str, ...]

    async def read(self, since: float, until: float) -> Sequence[Window]:
        """See ``CountSource``."""
        ...


class Progress(Protocol):
    """Hears how far the recording is."""

    def reached(self, time: float) -> None:
        """Everything up to this time (Unix seconds) was read."""

    def failed(self, words: str, pause: float) -> None:
        """The source could not answer, and is asked again after a pause (seconds)."""


async def record_counts(
    source: TellingSource,
    recorder: Recorder,
    *,
    since: float,
    until: float,
    settle: float,
    every: float,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
    progress: Progress,
) -> None:
    """Record what a source has of a span of time, and what it gets of it if a part lies ahead.

    Args:
        source: The source, opened for the recorder's bounds.
        recorder: Takes the windows.
        since: From when on, Unix seconds.
        until: Until when.
        settle: After how many seconds a window changes no more.
        every: Seconds between two questions about what lies ahead.
        clock: Unix seconds.
        sleep: Waits for some seconds.
        progress: Hears how far it is.

    Raises:
        SourceError: The source cannot answer, also when asked again. What came before is recorded.
    """
    now, at, tries = clock(), since, _FIRST_TRIES
    # What comes after a window settles it, so a little more is asked for than is recorded.
    end = until + settle if until > now else min(until + settle, now)
    while True:
        now = clock()
        to = min(at + _PIECE, end, now)
        windows = await _asked(source, (at, to), tries=tries, sleep=sleep, progress=progress)
        tries = _TRIES
        recorder.add((window for window in windows if window.end <= until), source.problems)
        if windows:
            at = windows[-1].end
        elif to - settle > at:
            at = to - settle  # nothing there, and nothing to come
        progress.reached(min(max(at, to - settle), until))
        if to >= end or at >= until:
            return
        if to == now:
            await sleep(every)


async def _asked(
    source: TellingSource,
    span: tuple[float, float],
    *,
    tries: int,
    sleep: Callable[[float], Awaitable[None]],
    progress: Progress,
) -> Sequence[Window]:
    failures = 0
    while True:
        try:
            return await source.read(*span)
        except UnavailableError as error:
            failures += 1
            if failures == tries:
                raise
            pause = max(error.retry_after or 0.0, _PAUSES[min(failures, len(_PAUSES)) - 1])
            progress.failed(str(error), pause)
            await sleep(pause)
