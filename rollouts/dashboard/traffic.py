"""Request rate, errors and latency of both versions over time, from the mesh's windows. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mesh.api.telemetry import LATENCY_BOUNDS_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mesh.api.telemetry import TelemetryWindow

__all__ = ["Traffic", "quantile_ms"]

_MOST_BUCKETS: Final = 900
_LANES: Final = ("stable", "canary")
_COLUMNS: Final = ("t", "rate", "errors", "p50Ms", "p99Ms")


@dataclass(slots=True)
class _Sum:
    requests: int = 0
    attempts: int = 0
    errors: int = 0
    latency: list[int] = field(default_factory=list)

    def add(self, requests: int, attempts: int, errors: int, latency: Sequence[int]) -> None:
        self.requests += requests
        self.attempts += attempts
        self.errors += errors
        if latency and not self.latency:
            self.latency = list(latency)
        elif latency:
            self.latency = [a + b for a, b in zip(self.latency, latency, strict=True)]


@dataclass(slots=True)
class _Bucket:
    end: float
    covered: float = 0.0
    arms: tuple[_Sum, _Sum] = field(default_factory=lambda: (_Sum(), _Sum()))

    def merge(self, other: _Bucket) -> None:
        self.end = max(self.end, other.end)
        self.covered += other.covered
        for arm, more in zip(self.arms, other.arms, strict=True):
            arm.add(more.requests, more.attempts, more.errors, more.latency)


class Traffic:
    """Both versions' requests since a time.

    Attributes:
        since: Since when, Unix seconds.
        seconds: Width of a bucket; it doubles when there are too many.
    """

    def __init__(self, canary: str, since: float, seconds: float = 1.0) -> None:
        """Begin.

        Args:
            canary: The canary's Service; every other backend is stable.
            since: From when on.
            seconds: Width of a bucket.
        """
        self.since, self.seconds = since, seconds
        self._canary = canary
        self._buckets: list[_Bucket] = []
        self._told: float | None = None

    def add(self, windows: Iterable[TelemetryWindow]) -> None:
        """Take windows in, the oldest first."""
        for window in windows:
            bucket = self._bucket(window.end)
            bucket.covered += max(window.end - window.start, 0.0)
            for row in window.pods:
                if not row.mirrored:
                    arm = bucket.arms[row.backend == self._canary]
                    arm.add(row.requests, row.attempts, row.attempt_errors, row.latency)
        while len(self._buckets) > _MOST_BUCKETS:
            self._coarsen()

    def dump(self, problem: str = "") -> dict[str, Any]:
        """Return all of it."""
        return self._dump(self._buckets, problem)

    def fresh(self, problem: str = "") -> dict[str, Any] | None:
        """Return what came since the last call, the bucket that was the last then with it; None when all has changed."""
        told, self._told = self._told, self._buckets[-1].end if self._buckets else self.since
        if told is None:
            return None
        # The bucket that was told last may have grown: what ends with or after its slot is told again.
        slot = told // self.seconds
        return self._dump([b for b in self._buckets if b.end // self.seconds >= slot], problem)

    def _bucket(self, end: float) -> _Bucket:
        last = self._buckets[-1] if self._buckets else None
        if last is None or end // self.seconds > last.end // self.seconds:
            self._buckets.append(last := _Bucket(end))
        last.end = max(last.end, end)
        return last

    def _coarsen(self) -> None:
        self.seconds *= 2
        buckets, self._buckets, self._told = self._buckets, [], None
        for bucket in buckets:
            self._bucket(bucket.end).merge(bucket)

    def _dump(self, buckets: Sequence[_Bucket], problem: str) -> dict[str, Any]:
        lanes = {name: _lane(buckets, number, self.seconds) for number, name in enumerate(_LANES)}
        return {"since": self.since, "seconds": self.seconds, "problem": problem, **lanes}


def _lane(buckets: Sequence[_Bucket], number: int, seconds: float) -> dict[str, list[float | None]]:
    lane: dict[str, list[float | None]] = {name: [] for name in _COLUMNS}
    for bucket in buckets:
        arm = bucket.arms[number]
        # A point stands for its slot, wherever in it the windows ended: so a bucket that grows keeps its time.
        lane["t"].append((bucket.end // seconds + 1) * seconds)
        lane["rate"].append(_rounded(arm.requests / bucket.covered) if bucket.covered else None)
        lane["errors"].append(_rounded(arm.errors / arm.attempts) if arm.attempts else None)
        lane["p50Ms"].append(quantile_ms(arm.latency, 0.5))
        lane["p99Ms"].append(quantile_ms(arm.latency, 0.99))
    return lane


def quantile_ms(counts: Sequence[int], share: float) -> float | None:
    """Return the latency that a share of the attempts stayed below, milliseconds; None without any.

    Args:
        counts: By bucket of ``LATENCY_BOUNDS_MS``, and one more for what is slower.
        share: Between 0 and 1.
    """
    total = sum(counts)
    if not total:
        return None
    rank, below = share * total, 0
    for number, count in enumerate(counts):
        if count and below + count >= rank:
            lower = LATENCY_BOUNDS_MS[number - 1] if number else 0.0
            upper = LATENCY_BOUNDS_MS[number] if number < len(LATENCY_BOUNDS_MS) else lower
            return _rounded(lower + (upper - lower) * max(0.0, rank - below) / count)
        below += count
    return LATENCY_BOUNDS_MS[-1]


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
