"""The value metrics of one release: opened when their secrets can be read, and measured from then on."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from analysis.api.template import InvalidTemplate
from analysis.model.values import ValueSeries
from analysis.providers.base import SourceError
from analysis.providers.registry import open_values
from analysis.run.measure import Measured, Measurements, policy_of
from rollouts.core.metrics import metrics_of, secrets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from analysis.providers.base import Context
    from rollouts.core.metrics import Release, ReleaseMetric

__all__ = ["Values"]

_RETRY_SECONDS: Final = 5.0


class Values:
    """Measures the metrics of a Rollout's templates.

    A metric that cannot be measured has no measurements and is said to have a problem, so it neither promotes nor rolls back.
    """

    def __init__(
        self,
        release: Release,
        planned: tuple[ReleaseMetric, ...],
        context: Callable[[str], Context],
        *,
        began: float,
        clock: Callable[[], float],
        on_change: Callable[[], None],
        kept: Mapping[str, Any],
    ) -> None:
        """Begin.

        Args:
            release: The Rollout and its templates.
            planned: Its metrics, without secrets.
            context: Returns what a metric's source may use, by the metric's name.
            began: When the release began, Unix seconds.
            clock: Unix seconds.
            on_change: Called after each measurement.
            kept: What ``dump`` said before a restart.
        """
        self.planned = planned
        self._release, self._context = release, context
        self._began, self._clock, self._on_change, self._kept = began, clock, on_change, kept
        self._problem = "it is not measured yet"
        self._measurements: Measurements | None = None
        self._task = asyncio.create_task(self._open(), name="metrics") if planned else None

    @property
    def series(self) -> tuple[ValueSeries, ...]:
        """What was measured so far; all metrics are in it, also those that cannot be measured."""
        if self._measurements is None:
            return tuple(ValueSeries(policy_of(one.metric), problem=self._problem) for one in self.planned)
        return self._measurements.series

    def dump(self) -> Mapping[str, Any]:
        """Everything that a restart must not lose, as JSON."""
        return self._kept if self._measurements is None else self._measurements.dump()

    async def close(self) -> None:
        """End the measuring."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._measurements is not None:
            await self._measurements.close()

    async def _open(self) -> None:
        while True:
            try:
                measured = await self._sources()
            except (SourceError, InvalidTemplate) as error:
                self._problem = str(error)
                self._on_change()
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                break
        self._measurements = Measurements(
            measured, began=self._began, clock=self._clock, on_change=self._on_change, kept=self._kept
        )

    async def _sources(self) -> list[Measured]:
        read = self._context("").secret
        known = {reference: await read(reference.name, reference.key) for reference in secrets_of(self._release)}
        return [
            Measured(
                one.metric,
                open_values(one.metric.provider, self._context(one.metric.name)),
                open_values(one.baseline, self._context(f"{one.metric.name}/baseline")) if one.baseline else None,
            )
            for one in metrics_of(self._release, known.__getitem__)
        ]
