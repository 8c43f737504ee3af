"""What a source may get wrong: windows that cannot be counts are left out and said in words. Never evidence, never a crash."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from analysis.model.counts import Arm, PodCounts, Window

__all__ = ["Intake"]

_AHEAD_SECONDS: Final = 5.0
_SAME: Final = 1e-6
_FOREVER: Final = 1e12
_LARGEST: Final = 2**53
"""The largest count that a floating-point number holds exactly."""
_MOST_PROBLEMS: Final = 5
_LATELY_SECONDS: Final = 600.0
_MORE: Final = 1.1
_FEW: Final = 50


class Intake:
    """Takes windows in, in order of time, and remembers what was wrong with those it left out.

    Attributes:
        until: End of the newest window taken, Unix seconds.
        told: How many windows came again; sources may repeat themselves, so that is no problem.
    """

    def __init__(self, buckets: int, until: float = -math.inf) -> None:
        """Make one.

        Args:
            buckets: Number of latency buckets: one more than the bounds.
            until: End of what is there already.
        """
        self._buckets = buckets
        self._problems: dict[str, tuple[int, float]] = {}
        self._totals: dict[tuple[Arm, str], list[int]] = {}
        self.until = until
        self.told = 0

    @property
    def problems(self) -> tuple[str, ...]:
        """What was wrong lately, one sentence for each kind, with how often; the most frequent ones."""
        since = self.until - _LATELY_SECONDS
        lately = [(n, words) for words, (n, at) in self._problems.items() if at >= since or at == -math.inf]
        ranked = sorted(lately, key=lambda item: -item[0])[:_MOST_PROBLEMS]
        return tuple(f"{words} ({count} times)" if count > 1 else words for count, words in ranked)

    def take(self, windows: Iterable[Window], now: float) -> list[Window]:
        """Return the windows that can be used, ascending.

        Args:
            windows: In any order; those that were taken before are left out.
            now: Unix seconds, to notice clocks that are ahead.
        """
        taken = []
        for window in sorted((w for w in windows if self._is_a_span(w)), key=lambda w: w.start):
            if window.end <= self.until + _SAME:
                self.told += 1
            elif window.start < self.until - _SAME:
                self._note("windows overlap: counts of the same time came twice; the later ones were left out")
            elif window.end > now + _AHEAD_SECONDS:
                ahead = window.end - now
                self._note(f"telemetry is ahead of the controller's clock by {ahead:.0f} s: set the machines' clocks")
            else:
                self.until = window.end
                taken.append(replace(window, pods=self._pods(window.pods)))
        return taken

    def _is_a_span(self, window: Window) -> bool:
        fine = -_FOREVER < window.start < window.end < _FOREVER
        if not fine:
            self._note("a window's end is not after its start: the source's times are wrong")
        return fine

    def _pods(self, pods: Iterable[PodCounts]) -> tuple[PodCounts, ...]:
        found: dict[tuple[Arm, str, str], PodCounts] = {}
        for pod in pods:
            clean = self._pod(pod)
            if clean is None:
                continue
            key = (pod.arm, pod.pod, pod.route)
            if key in found and found[key] != clean:
                self._note(
                    f"pod {pod.pod!r} was told twice for one time with different counts: only the first was taken"
                )
            found.setdefault(key, clean)
        return tuple(found.values())

    def _pod(self, pod: PodCounts) -> PodCounts | None:
        if not _are_counts((pod.attempts, pod.errors, pod.requests, pod.request_errors, *pod.latency)):
            self._note(f"pod {pod.pod!r} has counts that are negative or no numbers: counters only ever grow")
            return None
        self._compare(pod)
        if pod.errors > pod.attempts:  # the one was counted a moment before the other
            pod = replace(pod, attempts=pod.errors)
        if not pod.latency:
            return pod
        if len(pod.latency) != self._buckets:
            self._note(
                f"pod {pod.pod!r} has {len(pod.latency)} latency buckets where {self._buckets} belong: "
                "its latency was left out; give all pods the same bucket bounds"
            )
            return replace(pod, latency=())
        return pod

    def _compare(self, pod: PodCounts) -> None:
        """Say so when counts that belong together do not, by more than what a moment between two readings explains."""
        for what, count in (("errors", pod.errors), ("latencies", sum(pod.latency))):
            totals = self._totals.setdefault((pod.arm, what), [0, 0])
            totals[0] += count
            totals[1] += pod.attempts
            if totals[0] > _MORE * totals[1] + _FEW:
                self._note(f"the {pod.arm} has more {what} than requests in all: both must count the same requests")

    def _note(self, words: str) -> None:
        known = words in self._problems or len(self._problems) < 4 * _MOST_PROBLEMS
        if known:
            self._problems[words] = (self._problems.get(words, (0, 0.0))[0] + 1, self.until)


def _are_counts(values: tuple[float, ...]) -> bool:
    if set(map(type, values)) == {int}:  # as nearly always
        return min(values) >= 0 and max(values) <= _LARGEST
    return all(0 <= value <= _LARGEST and value == int(value) for value in values)
