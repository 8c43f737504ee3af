"""Counts per pod from raw samples: range vectors as they were scraped, never ``rate()`` or ``increase()``.

Those two extrapolate to the ends of their range and so return numbers that nobody counted; tests on counts need counts.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from analysis.model.counts import Arm, Window
from analysis.providers.base import ConfigurationError, NothingYetError
from analysis.providers.buckets import exponential_bounds
from analysis.providers.counters import windows
from analysis.providers.prometheus.client import Client
from analysis.providers.prometheus.metrics import resolve
from analysis.providers.prometheus.parsing import Raw, classic, deduplicated, identity, natives, shown, totals
from analysis.providers.series import Counting, Kind, Series

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from analysis.api.prometheus import PrometheusCounts
    from analysis.providers.base import Context
    from analysis.providers.prometheus.parsing import Identity

    Pods = Callable[[], Mapping[str, Arm]]

__all__ = ["PrometheusCountSource", "open_counts"]

_PIECE: Final = 3600.0
"""Seconds that are asked for at once, so that answers stay small when a whole release is read."""


def open_counts(
    settings: PrometheusCounts, context: Context, *, bounds_ms: Sequence[float], pods: Pods | None = None
) -> PrometheusCountSource:
    """Return the source of counts. It connects on the first reading.

    Args:
        settings: Where and what.
        context: Secrets and clock.
        bounds_ms: The policy's latency bounds: those that ``bounds()`` returned when the release began. Empty: no latency.
        pods: Returns the arm of each pod by name; not needed where the settings have ``canary`` and ``baseline``.

    Raises:
        ConfigurationError: Nothing tells the canary's pods from the baseline's, or the unit of the latency is not known.
    """
    return PrometheusCountSource(settings, context, bounds_ms=bounds_ms, pods=pods)


class PrometheusCountSource:
    """Counts per pod from Prometheus.

    Attributes:
        problems: What was wrong with the samples of the last reading, in words; such samples are no evidence.
    """

    problems: tuple[str, ...] = ()

    def __init__(
        self, settings: PrometheusCounts, context: Context, *, bounds_ms: Sequence[float], pods: Pods | None = None
    ) -> None:
        """Connect on the first reading. See ``open_counts``."""
        if settings.canary is None and pods is None:
            msg = "nothing tells the canary's pods from the baseline's: write canary and baseline (label matchers)"
            raise ConfigurationError(msg)
        self._settings = settings
        self._pods = pods
        self._metrics = resolve(settings)
        self._client = Client(settings, context)
        self._clock = context.clock
        self._counting = Counting(tuple(bounds_ms), settings.scrape_interval)
        # Native histograms have these bounds and classic ones practically never do.
        self._native = set(bounds_ms) <= set(exponential_bounds(self._metrics.unit_ms))

    async def bounds(self) -> tuple[float, ...]:
        """Return the latency bounds (milliseconds) to judge at: the settings' or those that all pods' histograms have.

        Ask once when a release begins, and keep them: counts at other bounds cannot be compared.

        Raises:
            SourceError: There is no histogram yet, or the pods' histograms have no bound in common.
        """
        if self._settings.buckets:
            return self._settings.buckets
        name = self._metrics.latency
        if not name:
            return ()
        layouts: dict[str, set[float]] = defaultdict(set)
        native: set[str] = set()
        now = self._clock()
        for _, labels, raw in await self._select(f"{name}|{name}_bucket", "", "", now):
            pod = self._pod(labels)
            if "histogram" in raw:
                native.add(pod)
            elif "le" in labels:
                layouts[pod].add(float(labels["le"]) * self._metrics.unit_ms)
        if not layouts and not native:
            raise NothingYetError(f"no pod has a histogram {name} yet: its bounds are not known")
        if native >= set(layouts):
            return exponential_bounds(self._metrics.unit_ms)
        common = set.intersection(*layouts.values())
        if not (found := tuple(sorted(bound for bound in common if 0 < bound < math.inf))):
            raise ConfigurationError(
                f"the histograms {name} of the pods have no bucket bound in common: make them alike"
            )
        return found

    async def read(self, since: float, until: float) -> Sequence[Window]:
        """Return the settled windows that end after ``since`` and not after ``until``. See ``CountSource``.

        To go on where it stopped, ``since`` is the end of the last window that was returned: a window that waits for a late
        scrape comes with a later reading.
        """
        found: list[Window] = []
        problems: dict[str, None] = {}
        until = min(until, self._clock() - self._settings.lateness)
        while since < until:
            piece = min(until, since + _PIECE)
            # A window near the end of a piece is settled by what comes after it.
            ahead = min(until, piece + self._counting.away + self._counting.interval)
            series = await self._series(since - self._counting.lookback, ahead, problems)
            reading = windows(series, self._counting, since=since, until=ahead)
            found.extend(window for window in reading.windows if window.end <= piece)
            problems.update(dict.fromkeys(reading.problems))
            since = piece
        self.problems = tuple(problems)
        return found

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def _series(self, start: float, end: float, problems: dict[str, None]) -> list[Series]:
        metrics = self._metrics
        span = f"[{math.ceil(end - start)}s]"
        base = metrics.requests.removesuffix("_count")
        # A native histogram has no _count series: the count is in it.
        names = f"{base}|{metrics.requests}" if base != metrics.requests else metrics.requests
        requests = await self._select(names, "", span, end)
        failed = {identity(labels) for _, labels, _ in await self._select(names, metrics.errors, span, end)}
        found = [
            self._one(arm, labels, Kind.FAILED if identity(labels) in failed else Kind.PASSED, raw)
            for arm, labels, raw in self._chosen(requests, base)
        ]
        if not found:
            problems[f"no series of {metrics.requests} is of these pods: check requests, matchers and podLabel"] = None
        if metrics.latency and self._counting.bounds_ms:
            found += self._latency(
                await self._select(f"{metrics.latency}|{metrics.latency}_bucket", "", span, end), problems
            )
        return found

    async def _select(self, names: str, errors: str, span: str, at: float) -> list[tuple[Arm, Mapping[str, str], Raw]]:
        """Return the series of these metrics with their arms and labels."""
        settings = self._settings
        arms = {Arm.CANARY: settings.canary, Arm.BASELINE: settings.baseline}
        name = f'__name__=~"{names}"' if "|" in names else f'__name__="{names}"'
        found: list[tuple[Arm, Mapping[str, str], Raw]] = []
        if settings.canary is not None:
            for arm, own in arms.items():
                raws = await self._ask(span, at, name, self._metrics.matchers, own or "", errors)
                found.extend((arm, raw["metric"], raw) for raw in raws)
            if len({identity(labels) for _, labels, _ in found}) < len(found):
                raise ConfigurationError("canary and baseline match the same series: make each match one version only")
            return found
        pods = dict(self._pods()) if self._pods else {}
        if not pods:
            return found
        prefix = _quoted(_common_start(pods))
        for raw in await self._ask(
            span, at, name, self._metrics.matchers, f'{settings.pod_label}=~"{prefix}.*"', errors
        ):
            arm_of = pods.get(raw["metric"].get(settings.pod_label, ""))
            if arm_of is not None:
                found.append((arm_of, raw["metric"], raw))
        return found

    async def _ask(self, span: str, at: float, *matchers: str) -> list[Raw]:
        query = "{" + ",".join(part.strip().strip(",") for part in matchers if part.strip()) + "}" + span
        return deduplicated(await self._client.query(query, at), self._settings.replica_labels)

    def _chosen(
        self, series: Sequence[tuple[Arm, Mapping[str, str], Raw]], base: str
    ) -> list[tuple[Arm, Mapping[str, str], Raw]]:
        """Leave out the classic count where the target has the same histogram as a native one."""
        native = {self._target(labels) for _, labels, raw in series if "histograms" in raw}
        return [
            (arm, labels, raw)
            for arm, labels, raw in series
            if (labels["__name__"] == base) == (self._target(labels) in native) or base == self._metrics.requests
        ]

    def _latency(self, series: Sequence[tuple[Arm, Mapping[str, str], Raw]], problems: dict[str, None]) -> list[Series]:
        groups: dict[tuple[Arm, Identity], list[Raw]] = defaultdict(list)
        found: dict[str, list[Series]] = defaultdict(list)
        for arm, labels, raw in series:
            if "le" in labels:
                groups[arm, identity(labels, "le")].append(raw)
            elif "histograms" in raw:
                target = f"{self._pod(labels)}/{self._target(labels)}"
                found[f"native {target}"].append(
                    self._one(arm, labels, Kind.LATENCY, raw, natives(raw, self._metrics.unit_ms))
                )
        for (arm, _), group in groups.items():
            labels = {key: value for key, value in group[0]["metric"].items() if key != "le"}
            samples, problem = classic(group, self._metrics.unit_ms)
            if problem:
                pod = self._pod(labels)
                problems[f"pod {pod}: {shown(labels)}: {problem}; such samples are not counted"] = None
            target = f"{self._pod(labels)}/{self._target(labels)}"
            found[f"classic {target}"].append(self._one(arm, labels, Kind.LATENCY, group[0], samples))
        return self._preferred(found)

    def _preferred(self, found: Mapping[str, list[Series]]) -> list[Series]:
        """Of a histogram that a target has in both kinds, take the one that has the judge's bounds."""
        wanted, other = ("native ", "classic ") if self._native else ("classic ", "native ")
        return [
            one
            for key, several in found.items()
            if key.startswith(wanted) or key.replace(other, wanted, 1) not in found
            for one in several
        ]

    def _one(
        self, arm: Arm, labels: Mapping[str, str], kind: Kind, raw: Raw, samples: Sequence[object] | None = None
    ) -> Series:
        return Series(
            arm,
            self._pod(labels),
            shown(labels),
            kind,
            totals(raw) if samples is None else samples,  # type: ignore[arg-type]
            self._target(labels),
            labels.get(self._metrics.route, "") if self._metrics.route else "",
        )

    def _pod(self, labels: Mapping[str, str]) -> str:
        return labels.get(self._settings.pod_label) or labels.get("instance", "")

    @staticmethod
    def _target(labels: Mapping[str, str]) -> str:
        return f"{labels.get('job', '')}/{labels.get('instance', '')}"


def _common_start(names: Collection[str]) -> str:
    first, last = min(names), max(names)
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(letter for letter, _ in same)


def _quoted(text: str) -> str:
    """Return a text for a PromQL regular expression within quotes."""
    return re.escape(text).replace("\\", "\\\\")
