"""Who was seen to call whom in plaintext, since when; and the last two minutes of it by pod.

Everything is bounded: sources that are outside the cluster by port, all rows together, and time. Nothing here waits;
``add`` and ``tick`` are called from one event loop.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from mesh.api.plaintext import Observed, PlaintextCall, PlaintextReport, Source
from mesh.telemetry.callers import Callers
from mesh.telemetry.recent import Recent
from mesh.xds import plaintext, standard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mesh.resolve.world import World
    from mesh.telemetry.counters import Point, Values

__all__ = ["Arrival", "Plaintext"]

MAX_ROWS: Final = 5_000
"""Sources and ports; beyond it those that called longest ago go."""
MAX_ADDRESSES: Final = 50
"""Of callers outside the cluster, for each port; further ones are one."""
OTHERS: Final = "other addresses"
_PATIENCE: Final = 10.0
"""Seconds that an address may be nobody's: a pod may call before its status says where it is."""
_MAX_WAITING: Final = 5_000
_FIELDS: Final = {plaintext.REQUESTS: "requests", plaintext.CONNECTIONS: "connections", plaintext.REFUSED: "refused"}
_CALLED: Final = (standard.REQUESTS, standard.OPENED)


class _Called(NamedTuple):
    namespace: str
    kind: str
    name: str


class _Row(NamedTuple):
    called: _Called
    port: int
    source: Source


class Arrival(NamedTuple):
    """Plaintext requests of a source at a pod.

    Attributes:
        namespace: The pod's.
        pod: Its name.
        port: The container port.
        source: Who called.
    """

    namespace: str
    pod: str
    port: int
    source: Source


@dataclass(slots=True)
class _Sum:
    first: float
    last: float
    counts: Counter[str] = field(default_factory=Counter)


class _News(NamedTuple):
    """What waits for its address to be somebody's."""

    time: float
    proxy: str
    port: int
    address: str
    field: str
    number: int


class Plaintext:
    """What was seen.

    Args:
        world: Returns what is known now, or None.
        clock: Unix seconds.
    """

    def __init__(self, *, world: Callable[[], World | None], clock: Callable[[], float]) -> None:
        self._world = world
        self._clock = clock
        self._began = clock()
        self._callers = Callers()
        self._rows: dict[_Row, _Sum] = {}
        self._waiting: list[_News] = []
        self._reporting: dict[str, float] = {}
        self._last_call: dict[_Called, float] = {}
        self._left_out = 0
        self._addresses: Counter[tuple[_Called, int]] = Counter()
        self.recent: Recent[Arrival] = Recent(clock=clock)
        """Requests."""
        self.others: dict[str, Recent[Arrival]] = {kind: Recent(clock=clock) for kind in ("connections", "refused")}
        """Connections by what became of them."""

    def add(self, proxy: str, news: Mapping[Point, Values]) -> None:
        """Take what is new of a proxy (``namespace/pod``)."""
        now = self._clock()
        for point, values in news.items():
            if (kind := _FIELDS.get(point.stat)) is not None:
                address, port = point.tags
                self._waiting.append(_News(now, proxy, _number(port), address, kind, int(values[0])))
            elif point.stat in _CALLED and point.tags[0] == "destination":
                self._last_call[self._called(proxy)] = now
        self._settle(now)

    def tick(self, proxies: Mapping[str, float]) -> None:
        """Take in who reports, and settle what waits. Call it every few seconds.

        Args:
            proxies: When each proxy reported last, by ``namespace/pod``.
        """
        now = self._clock()
        self._reporting = {proxy: self._reporting.get(proxy, now) for proxy in proxies}
        self._settle(now)

    def report(self) -> PlaintextReport:
        """Return all that was seen, sorted."""
        now = self._clock()
        self._settle(now)
        return PlaintextReport(
            now=now,
            since=self._began,
            calls=tuple(self._call(row, found) for row, found in sorted(self._rows.items(), key=_order)),
            observed=tuple(self._observed()),
            left_out=self._left_out,
        )

    def _call(self, row: _Row, found: _Sum) -> PlaintextCall:
        called = row.called
        return PlaintextCall(
            namespace=called.namespace,
            kind=called.kind,
            workload=called.name,
            port=row.port,
            source=row.source,
            first=found.first,
            last=found.last,
            **found.counts,
        )

    def _observed(self) -> list[Observed]:
        world = self._world()
        pods: dict[_Called, list[str]] = defaultdict(list)
        for workload in world.workloads.values() if world else ():
            if workload.meshed and not workload.gateway and workload.phase == "Running" and not workload.terminating:
                pods[_Called(workload.namespace, *workload.maker)].append(f"{workload.namespace}/{workload.name}")
        return [
            Observed(
                namespace=called.namespace,
                kind=called.kind,
                workload=called.name,
                pods=len(names),
                reporting=len(since := [self._reporting[name] for name in names if name in self._reporting]),
                since=min(since, default=None),
                called=self._last_call.get(called),
            )
            for called, names in sorted(pods.items())
        ]

    def _settle(self, now: float) -> None:
        """Count what waits, as far as it is known who it is from."""
        if not self._waiting:
            return
        if (world := self._world()) is not None:
            self._callers.update(world)
        waiting, self._waiting = self._waiting, []
        patient = len(waiting) <= _MAX_WAITING
        for news in waiting:
            source = self._callers.of(news.address)
            if source is None and patient and now - news.time < _PATIENCE:
                self._waiting.append(news)
            else:
                self._count(news, source or Source(kind="Address", name=news.address))

    def _count(self, news: _News, source: Source) -> None:
        called = self._called(news.proxy)
        row = _Row(called, news.port, source)
        if row not in self._rows:
            row = self._room(row)
        found = self._rows.setdefault(row, _Sum(news.time, news.time))
        found.last = max(found.last, news.time)
        found.counts[news.field] += news.number
        namespace, _, pod = news.proxy.partition("/")
        counted = self.recent if news.field == "requests" else self.others[news.field]
        counted.add(Arrival(namespace, pod, news.port, row.source), news.number)

    def _room(self, row: _Row) -> _Row:
        """Make room for a row; return the one to count it in."""
        if row.source.kind == "Address":
            if self._addresses[row.called, row.port] >= MAX_ADDRESSES:
                return row._replace(source=Source(kind="Address", name=OTHERS))
            self._addresses[row.called, row.port] += 1
        if len(self._rows) >= MAX_ROWS:
            oldest = min(self._rows, key=lambda known: self._rows[known].last)
            del self._rows[oldest]
            if oldest.source.kind == "Address":
                self._addresses[oldest.called, oldest.port] -= 1
            self._left_out += 1
        return row

    def _called(self, proxy: str) -> _Called:
        namespace, _, pod = proxy.partition("/")
        world = self._world()
        workload = world.workloads.get((namespace, pod)) if world else None
        return _Called(namespace, *(workload.maker if workload else ("Pod", pod)))


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _order(item: tuple[_Row, _Sum]) -> tuple[object, ...]:
    row = item[0]
    return (*row.called, row.port, row.source.kind, row.source.namespace, row.source.name)
