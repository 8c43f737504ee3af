"""Measures value metrics of one release: asks the sources when it is time, keeps what they said, says what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from analysis.model.values import Direction, ValuePolicy, ValueSample, ValueSeries, ValueTest
from analysis.providers.base import SourceError, UnavailableError
from analysis.run.schedule import next_time

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from analysis.api.metric import Bounds, Metric
    from analysis.providers.base import ValueSource

__all__ = ["Measured", "Measurements", "policy_of"]

_MOST_SAMPLES: Final = 2000
_GRACE_SECONDS: Final = 60.0


def policy_of(metric: Metric) -> ValuePolicy:
    """Return what the judge is asked of a metric."""
    common: dict[str, Any] = {"critical": metric.critical, "dry_run": metric.dry_run}
    if metric.comparison is not None:
        comparison = metric.comparison
        return ValuePolicy(
            metric.name,
            ValueTest.COMPARISON,
            Direction(comparison.worse.value),
            max_ratio=comparison.max_ratio,
            max_change=comparison.max_change,
            bounds=_bounds(comparison.bounds),
            **common,
        )
    if metric.limit is not None:
        limit = metric.limit
        return ValuePolicy(
            metric.name, ValueTest.LIMIT, lower=limit.min, upper=limit.max, bounds=_bounds(limit.bounds), **common
        )
    span = metric.threshold_range
    return ValuePolicy(
        metric.name,
        ValueTest.THRESHOLD,
        lower=None if span is None else span.min,
        upper=None if span is None else span.max,
        failure_limit=metric.failure_limit,
        **common,
    )


def _bounds(bounds: Bounds | None) -> tuple[float, float] | None:
    return None if bounds is None else (bounds.min, bounds.max)


@dataclass(frozen=True)
class Measured:
    """A metric and where its values come from.

    Attributes:
        metric: The metric, with its arguments filled in.
        canary: The canary's value.
        baseline: The baseline's; None where it is compared with nothing.
    """

    metric: Metric
    canary: ValueSource
    baseline: ValueSource | None = None


class Measurements:
    """All value metrics of one release. Each is measured by a task of its own, so that a slow service delays no other."""

    def __init__(
        self,
        measured: Sequence[Measured],
        *,
        began: float,
        clock: Callable[[], float],
        on_change: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        kept: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin to measure.

        Args:
            measured: The metrics.
            began: When the release began, Unix seconds.
            clock: Unix seconds.
            on_change: Called after each measurement.
            sleep: Waits for some seconds.
            kept: What ``dump`` of an earlier process said.
        """
        self._began, self._clock, self._sleep, self._on_change = began, clock, sleep, on_change
        self._sources = [source for m in measured for source in (m.canary, m.baseline) if source is not None]
        self._series = {m.metric.name: ValueSeries(policy_of(m.metric)) for m in measured}
        self._taken = dict.fromkeys(self._series, 0)
        self._errors = dict.fromkeys(self._series, 0)
        self._take_up(kept or {})
        self._tasks = [asyncio.create_task(self._run(m), name=f"metric {m.metric.name}") for m in measured]

    @property
    def series(self) -> tuple[ValueSeries, ...]:
        """What was measured so far."""
        return tuple(self._series.values())

    def dump(self) -> dict[str, Any]:
        """Return everything that a restart must not lose, as JSON."""
        return {
            name: {"taken": self._taken[name], "samples": [[s.time, s.canary, s.baseline] for s in series.samples]}
            for name, series in self._series.items()
        }

    async def close(self) -> None:
        """End the measuring and free the sources."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for source in self._sources:
            with contextlib.suppress(SourceError, OSError):
                await source.close()

    def _take_up(self, kept: Mapping[str, Any]) -> None:
        for name, series in self._series.items():
            with contextlib.suppress(KeyError, TypeError, ValueError):  # of another version, or not ours: measured anew
                samples = tuple(
                    ValueSample(float(t), float(c), None if b is None else float(b))
                    for t, c, b in kept[name]["samples"]
                )
                self._taken[name] = int(kept[name]["taken"])
                self._series[name] = ValueSeries(series.policy, samples)

    async def _run(self, measured: Measured) -> None:
        name, metric = measured.metric.name, measured.metric
        while (at := next_time(metric, began=self._began, taken=self._taken[name], now=self._clock())) is not None:
            await self._sleep(max(at - self._clock(), 0.0))
            taken = self._taken[name]
            pause = await self._measure(name, measured, at)
            self._on_change()
            if self._taken[name] == taken and metric.provider.job is not None:
                pause = max(pause, metric.interval)  # the same Job is asked for again, but not at once
            if pause:
                await self._sleep(pause)

    async def _measure(self, name: str, measured: Measured, at: float) -> float:
        """Take one measurement; return how long the service asked to be left alone."""
        try:
            # A Job takes as long as it takes; its own activeDeadlineSeconds ends it.
            patience = None if measured.metric.provider.job else max(measured.metric.interval, _GRACE_SECONDS)
            async with asyncio.timeout(patience):
                sources = [source for source in (measured.canary, measured.baseline) if source is not None]
                values = await asyncio.gather(*(source.measure(at) for source in sources))
        except TimeoutError:
            return self._failed(name, measured.metric, UnavailableError("no answer in time"))
        except SourceError as error:
            return self._failed(name, measured.metric, error)
        except Exception as error:  # noqa: BLE001 - a plug-in's own error is told like any other, and decides nothing
            return self._failed(name, measured.metric, SourceError(f"{type(error).__name__}: {error}"))
        self._errors[name] = 0
        series = self._series[name]
        missing = [
            arm for arm, v in zip(("canary", "baseline"), values, strict=False) if v is None or not math.isfinite(v)
        ]
        if missing:
            self._series[name] = ValueSeries(
                series.policy, series.samples, f"no data for the {' and the '.join(missing)}"
            )
            return 0.0
        numbers = [float(value) for value in values if value is not None]
        sample = ValueSample(at, numbers[0], numbers[1] if len(numbers) > 1 else None)
        self._taken[name] += 1
        self._series[name] = ValueSeries(series.policy, (*series.samples, sample)[-_MOST_SAMPLES:])
        return 0.0

    def _failed(self, name: str, metric: Metric, error: SourceError) -> float:
        self._errors[name] += 1
        words = str(error) or type(error).__name__
        if self._errors[name] > metric.consecutive_error_limit:
            words = f"failed {self._errors[name]} times in a row, more than consecutiveErrorLimit: {words}"
        series = self._series[name]
        self._series[name] = ValueSeries(series.policy, series.samples, words)
        return (error.retry_after or 0.0) if isinstance(error, UnavailableError) else 0.0
