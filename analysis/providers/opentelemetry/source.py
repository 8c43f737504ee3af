"""Counts per pod from what pods have sent: the same contract, and the same windows, as from Prometheus."""

from __future__ import annotations

import itertools
import math
import statistics
from typing import TYPE_CHECKING, Final

from analysis.providers.base import ConfigurationError, NothingYetError
from analysis.providers.buckets import exponential_bounds
from analysis.providers.counters import windows
from analysis.providers.opentelemetry.assemble import Assembly, histograms, latest_gaps, unit_of
from analysis.providers.opentelemetry.metrics import resolve
from analysis.providers.opentelemetry.points import Exponential
from analysis.providers.opentelemetry.store import Interest
from analysis.providers.series import Counting, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from analysis.api.opentelemetry import OpenTelemetryCounts
    from analysis.model.counts import Arm, Window
    from analysis.providers.opentelemetry.store import Pod, Store
    from analysis.providers.series import Series

    Pods = Callable[[], Mapping[str, Arm]]

__all__ = ["OpenTelemetryCountSource"]

_KEEP: Final = 600.0
"""Seconds that points can be read again."""
_HISTORY: Final = 3.0
"""How much there may be before a window that is still a part of it, in absences: pods that are away one after another."""
_SHOWN: Final = 3


class OpenTelemetryCountSource:
    """Counts per pod from OpenTelemetry metrics. ``Receiver.open_counts`` makes it.

    Attributes:
        problems: What was wrong with the samples of the last reading, in words; such samples are no evidence.
    """

    problems: tuple[str, ...] = ()

    def __init__(
        self,
        settings: OpenTelemetryCounts,
        store: Store,
        clock: Callable[[], float],
        *,
        bounds_ms: Sequence[float],
        pods: Pods,
    ) -> None:
        """Begin to keep what is sent. See ``Receiver.open_counts``."""
        self._settings = settings
        self._store = store
        self._clock = clock
        self._pods = pods
        self._metrics = resolve(settings)
        self._counting = Counting(tuple(bounds_ms), settings.export_interval)
        self._before = _HISTORY * self._counting.away
        self._interest = Interest(self._metrics.names, settings.pod_attribute, self._pods, self._before + _KEEP)
        store.open(self._interest, clock())

    async def bounds(self) -> tuple[float, ...]:
        """Return the latency bounds (milliseconds) to judge at: the settings' or those that all pods' histograms have.

        Ask once when a release begins, and keep them: counts at other bounds cannot be compared.

        Raises:
            SourceError: No pod has sent a histogram yet, its unit is not known, or the pods' histograms have no bound in
                common.
        """
        if self._settings.buckets:
            return self._settings.buckets
        name = self._metrics.latency
        if not name:
            return ()
        explicit: list[set[float]] = []
        exponential: set[float] = set()
        for pod in self._pods():
            kept = self._store.pod(self._settings.pod_attribute, pod)
            for stream, point in histograms(kept, self._settings, self._metrics) if kept else ():
                unit = unit_of(stream, self._metrics)
                if unit is None:
                    raise ConfigurationError(f"the unit of {name} is {stream.unit!r}: write latencyUnit: s or ms")
                if point.layout is None or isinstance(point.layout, Exponential):
                    exponential.add(unit)
                else:
                    explicit.append({bound * unit for bound in point.layout.bounds})
        if explicit:
            common = set.intersection(*explicit)
            if not (found := tuple(sorted(bound for bound in common if 0 < bound < math.inf))):
                raise ConfigurationError(
                    f"the histograms {name} of the pods have no bucket bound in common: make them alike"
                )
            return found
        if not exponential:
            raise NothingYetError(f"no pod has sent a histogram {name} yet: its bounds are not known")
        return exponential_bounds(max(exponential))

    async def read(self, since: float, until: float) -> Sequence[Window]:
        """Return the settled windows that end after ``since`` and not after ``until``. See ``CountSource``.

        Points are kept for ten minutes and more, from when the source was opened. To go on where it stopped, ``since`` is
        the end of the last window that was returned.
        """
        now = self._clock()
        problems: dict[str, None] = {}
        self._store.sweep(now)
        until = min(until, now - self._settings.lateness)
        series = self._series(since - self._before, problems)
        reading = windows(series, self._counting, since=since, until=until)
        problems.update(dict.fromkeys(reading.problems))
        self.problems = tuple(problems)
        return reading.windows

    async def close(self) -> None:
        """Let what was kept for it be forgotten."""
        if self._interest.closed is None:
            self._store.close(self._interest, self._clock())

    def _series(self, since: float, problems: dict[str, None]) -> list[Series]:
        found: list[Series] = []
        arms = self._pods()
        pods = {name: pod for name in arms if (pod := self._store.pod(self._settings.pod_attribute, name)) is not None}
        assembly = Assembly(self._settings, self._metrics, since, problems)
        for name, pod in pods.items():
            problems.update(dict.fromkeys(pod.sayings))
            found.extend(assembly.series(name, arms[name], pod))
        kinds = {one.kind for one in found}
        if arms and not kinds & {Kind.PASSED, Kind.FAILED}:
            problems[self._nothing()] = None
        elif kinds and self._metrics.latency and self._counting.bounds_ms and Kind.LATENCY not in kinds:
            problems[f"no histogram {self._metrics.latency} has come from these pods: latency is not judged"] = None
        problems.update(dict.fromkeys(self._untimely(pods)))
        return found

    def _nothing(self) -> str:
        """Return why there is nothing, as far as that can be told."""
        attribute, metric = self._settings.pod_attribute, self._metrics.requests
        if (metric, attribute) in self._store.nameless:
            return (
                f"{metric} comes without the attribute {attribute}: set OTEL_RESOURCE_ATTRIBUTES={attribute}=$(POD_NAME) "
                "on the pods, or let the Collector's k8sattributes processor add it"
            )
        others = list(itertools.islice(self._store.names(attribute), _SHOWN))
        heard = f"; it has come from {', '.join(others)}" if others else ""
        return f"{metric} has not come from any of these pods{heard}: check the pods' exporter, requests and attributes"

    def _untimely(self, pods: Mapping[str, Pod]) -> Iterator[str]:
        """Yield which pods export less often, or arrive later, than the settings say."""
        interval, lateness = self._settings.export_interval, self._settings.lateness
        gaps: list[float] = []
        for name, pod in pods.items():
            gaps.extend(latest_gaps(pod))
            if pod.late > lateness + self._counting.away - interval:
                yield (
                    f"pod {name}: its samples are {pod.late:.0f} s old when they come, too late to be counted: set the clock "
                    "of its node, or lateness to how long they are under way"
                )
        usual = statistics.median(gaps) if gaps else 0.0
        if usual > 1.5 * interval:
            yield (
                f"the pods export every {usual:.0f} s: write exportInterval: {usual:.0f}s, or set "
                f"OTEL_METRIC_EXPORT_INTERVAL={interval * 1000:.0f} on the pods"
            )
