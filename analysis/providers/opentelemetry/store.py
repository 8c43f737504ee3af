"""What pods have sent, as far as somebody asked for it, in bounded memory. Pure: whoever calls it has the clock.

It is one store for all releases, by pod: a pod's points are kept once, whoever reads them. Three bounds keep it small:
points are forgotten after a while, a pod has so many streams, and all points together take so many numbers. A pod that is
over its bound is dropped altogether and said so: part of its counters would be failures without their requests.
"""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from analysis.providers.opentelemetry.decoder import Decoded
    from analysis.providers.opentelemetry.points import Attributes, Point, Stream

__all__ = ["Interest", "Limits", "Pod", "Refusal", "Reporter", "Store"]

_NANO: Final = 1_000_000_000
_AHEAD: Final = 600.0
"""Seconds: a clock further ahead than this is refused, for its points would never grow old."""
_SWEEP: Final = 5.0
_SAYINGS: Final = 5
_TIME: Final = attrgetter("time")
_FULL: Final = (
    "has more streams than are kept, or the receiver is full: nothing of it is counted; use fewer attributes, or give the "
    "controller more memory"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of memory.

    Attributes:
        streams: Of one pod; a stream is one metric with one set of attributes.
        numbers: Of all points together, eight bytes each.
        strangers: Pods that report and that no release knows (yet).
        patience: Seconds that a stranger's points are kept, and those of a release whose source was closed: the pods of a
            new release report before anybody has seen them, and a source may be opened again.
    """

    streams: int = 2000
    numbers: int = 32_000_000
    strangers: int = 1000
    patience: float = 120.0


@dataclass(eq=False, slots=True)
class Interest:
    """What one open source asks for.

    Attributes:
        metrics: Names.
        pod_attribute: Where the pod's name is.
        pods: Returns the names of the release's pods.
        keep: Seconds that points are kept.
        closed: When it was closed, Unix seconds; None while it is open.
    """

    metrics: frozenset[str]
    pod_attribute: str
    pods: Callable[[], Collection[str]]
    keep: float
    closed: float | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Points that were not taken, and why."""

    points: int
    words: str


@dataclass(eq=False, slots=True)
class Reporter:
    """One resource of a pod: a process, until it restarts.

    Attributes:
        resource: Its attributes.
        streams: Its points in order of time.
    """

    resource: Attributes
    streams: dict[Stream, list[Point]] = field(default_factory=dict)

    @property
    def numbers(self) -> int:
        """How much of it is kept."""
        return sum(point.numbers for points in self.streams.values() for point in points)


@dataclass(eq=False, slots=True)
class Pod:
    """One pod.

    Attributes:
        seen: When it reported first, Unix seconds.
        reporters: By resource.
        late: How long its newest points were under way when they came, by its clock and ours; seconds.
        streams: How many it has.
        full_until: Until when nothing of it is kept, because it was over its bound; Unix seconds.
        sayings: What was refused, in words, and when last.
    """

    seen: float
    reporters: dict[Attributes, Reporter] = field(default_factory=dict)
    late: float = 0.0
    streams: int = 0
    full_until: float = 0.0
    sayings: dict[str, float] = field(default_factory=dict)


class Store:
    """Points by pod.

    Attributes:
        nameless: When a metric last came without the attribute of the pod's name, by metric and attribute.
    """

    def __init__(self, limits: Limits) -> None:
        self.nameless: dict[tuple[str, str], float] = {}
        self._limits = limits
        self._interests: list[Interest] = []
        self._wanted: dict[str, tuple[str, ...]] = {}
        self._pods: dict[tuple[str, str], Pod] = {}
        self._known: frozenset[tuple[str, str]] = frozenset()
        self._strangers = 0
        self._numbers = 0
        self._swept = -_SWEEP

    @property
    def wanted(self) -> Collection[str]:
        """Names of the metrics that are kept."""
        return self._wanted.keys()

    @property
    def numbers(self) -> int:
        """How much is kept."""
        return self._numbers

    def open(self, interest: Interest, now: float) -> None:
        """Begin to keep what a source asks for."""
        self._interests.append(interest)
        self._index()
        self.sweep(now)

    def close(self, interest: Interest, now: float) -> None:
        """Keep on for a little while, in case the source is opened again."""
        names = frozenset(interest.pods())
        interest.pods, interest.closed = (lambda: names), now
        self.sweep(now)

    def add(self, decoded: Iterable[Decoded], now: float) -> list[Refusal]:
        """Take points, and return what was refused."""
        if now - self._swept >= _SWEEP:
            self.sweep(now)
        refused: dict[str, int] = defaultdict(int)
        for one in decoded:
            for attribute in self._wanted.get(one.stream.metric, ()):
                if words := self._take(attribute, one, now):
                    refused[words] += 1
        return [Refusal(points, words) for words, points in refused.items()]

    def pod(self, attribute: str, name: str) -> Pod | None:
        """Return what is known of a pod."""
        return self._pods.get((attribute, name))

    def pods(self) -> Collection[Pod]:
        """Return all pods that something is kept of."""
        return self._pods.values()

    def names(self, attribute: str) -> Iterator[str]:
        """Yield the pods that have reported."""
        return (name for key, name in self._pods if key == attribute)

    def sweep(self, now: float) -> None:
        """Forget what is old, and pods that nobody asks about."""
        self._swept = now
        patience = self._limits.patience
        self._interests = [one for one in self._interests if one.closed is None or now - one.closed <= patience]
        self._index()
        self._known = frozenset((one.pod_attribute, name) for one in self._interests for name in one.pods())
        keep = max((one.keep for one in self._interests), default=0.0)
        asked = {attribute for attributes in self._wanted.values() for attribute in attributes}
        for key, pod in list(self._pods.items()):
            if key[0] not in asked or (key not in self._known and now - pod.seen > patience):
                self._drop(pod)
                del self._pods[key]
            else:
                self._forget(pod, now - keep)
        self._strangers = sum(key not in self._known for key in self._pods)
        self.nameless = {key: time for key, time in self.nameless.items() if now - time <= keep}

    def _index(self) -> None:
        wanted: dict[str, dict[str, None]] = defaultdict(dict)
        for interest in self._interests:
            for metric in interest.metrics:
                wanted[metric][interest.pod_attribute] = None
        self._wanted = {metric: tuple(attributes) for metric, attributes in wanted.items()}

    def _take(self, attribute: str, one: Decoded, now: float) -> str:
        """Keep a point; return why not, or nothing."""
        name = _named(attribute, one)
        if not name:
            self.nameless[one.stream.metric, attribute] = now
            return f"{one.stream.metric} comes without the attribute {attribute}, which names the pod"
        pod = self._pods.get((attribute, name))
        if pod is None:
            if (attribute, name) not in self._known:
                if self._strangers >= self._limits.strangers:
                    return ""  # somebody else's pods, of which there are many: nothing is wrong with them
                self._strangers += 1
            pod = self._pods[attribute, name] = Pod(now)
        words = self._keep(pod, one, now)
        if words:
            words = f"pod {name}: {words}"
            if words in pod.sayings or len(pod.sayings) < _SAYINGS:
                pod.sayings[words] = now
        return words

    def _keep(self, pod: Pod, one: Decoded, now: float) -> str:
        if one.point is None:
            return f"{one.stream.metric} {one.refused}"
        ahead = one.point.time / _NANO - now
        if ahead > _AHEAD:
            return f"{one.stream.metric} is {ahead:.0f} s ahead: set the clock of its node"
        if now < pod.full_until:
            return _FULL
        reporter = pod.reporters.get(one.resource)
        if reporter is None:
            reporter = pod.reporters[one.resource] = Reporter(one.resource)
        points = reporter.streams.get(one.stream)
        if points is None:
            points = reporter.streams[one.stream] = []
            pod.streams += 1
        if pod.streams > self._limits.streams or self._numbers + one.point.numbers > self._limits.numbers:
            self._drop(pod)
            pod.full_until = now + self._limits.patience
            return _FULL
        self._insert(points, one.point)
        if points[-1].time == one.point.time:
            pod.late = -ahead
        return ""

    def _insert(self, points: list[Point], point: Point) -> None:
        place = bisect.bisect_right(points, point.time, key=_TIME)
        same = [each for each in points[max(0, place - 2) : place] if each.time == point.time]
        if point in same or len(same) > 1:
            return  # sent twice; or two reporters contradict each other already, and more of them add nothing
        points.insert(place, point.like(points[place - 1]) if place else point)
        self._numbers += point.numbers

    def _forget(self, pod: Pod, before: float) -> None:
        """Forget old points, but of each stream the last one before: who comes back later has not begun then."""
        for resource, reporter in list(pod.reporters.items()):
            for points in reporter.streams.values():
                old = points[: max(0, bisect.bisect_left(points, before * _NANO, key=_TIME) - 1)]
                del points[: len(old)]
                self._numbers -= sum(point.numbers for point in old)
            if all(points[-1].time < before * _NANO for points in reporter.streams.values() if points):
                self._numbers -= reporter.numbers
                pod.streams -= len(reporter.streams)
                del pod.reporters[resource]
        pod.sayings = {words: time for words, time in pod.sayings.items() if time >= before}

    def _drop(self, pod: Pod) -> None:
        self._numbers -= sum(reporter.numbers for reporter in pod.reporters.values())
        pod.streams = 0
        pod.reporters.clear()


def _named(attribute: str, one: Decoded) -> str:
    attributes = itertools.chain(one.resource, one.stream.attributes)
    return next((value for key, value in attributes if key == attribute), "")
