"""What is measured of one release: counts, value metrics, and what must survive a restart."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from analysis.api.prometheus import PrometheusCounts
from analysis.judges.ledger import Ledger
from analysis.providers.base import Context
from mesh.api.telemetry import LATENCY_BOUNDS_MS
from rollouts.core.canary import owner_reference
from rollouts.core.observed import Measured
from rollouts.engine.checkpoint import Checkpoint, CheckpointStore, TooLargeError
from rollouts.engine.experiment import compared
from rollouts.engine.feeds import MeshFeed, PolledFeed
from rollouts.engine.jobs import OwnedJobs
from rollouts.engine.kube import KubeError
from rollouts.engine.measure import HISTORY_SECONDS, Share, measure, of_release, policy_of
from rollouts.engine.secrets import secret_reader
from rollouts.engine.values import Values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from analysis.model.counts import Arm
    from rollouts.api.rollout import Analysis
    from rollouts.api.slos import Slo
    from rollouts.api.source import Asked
    from rollouts.core.metrics import Release, ReleaseMetric
    from rollouts.core.naming import Names
    from rollouts.core.notes import Notes
    from rollouts.core.observed import Subject
    from rollouts.engine.feeds import AskedSource, Feed
    from rollouts.engine.kube import Kube
    from rollouts.engine.measure import Known
    from rollouts.engine.telemetry import TelemetryStream

__all__ = ["Measuring", "Order", "Tools"]

SAVE_SECONDS: Final = 30.0
"""How often what was measured is written; what comes after that is asked for again after a restart."""
_LOOK_SECONDS: Final = 1.0
_POLL_SECONDS: Final = (1.0, 5.0)


@dataclass(frozen=True)
class Order:
    """What is to be measured of one release.

    Attributes:
        subject: The Rollout.
        names: Its objects.
        target: The revision that is released.
        began: When the release began, Unix seconds.
        source: Where counts come from; None for the mesh.
        release: The templates and what they may use.
        planned: Their metrics, without secrets; None while the templates cannot be used.
    """

    subject: Subject
    names: Names
    target: str
    began: float
    source: Asked | None
    release: Release
    planned: tuple[ReleaseMetric, ...] | None

    @property
    def identity(self) -> str:
        """Which release's counts from which source: what is measured of another is no evidence here."""
        source = None if self.source is None else self.source.dump()
        return json.dumps([self.names.host, self.target, self.began, source], sort_keys=True)


@dataclass(frozen=True)
class Tools:
    """What measuring uses.

    Attributes:
        kube: The API server.
        open_stream: Opens the mesh's telemetry: namespace and name of the host, since when, what to call on news.
        open_counts: Opens a source that is asked: its settings, what it may use, the latency bounds, the pods' arms.
        clock: Unix seconds.
    """

    kube: Kube
    open_stream: Callable[[tuple[str, str], float, Callable[[], None]], TelemetryStream]
    open_counts: Callable[[Asked, Context, tuple[float, ...], Callable[[], Mapping[str, Arm]]], AskedSource]
    clock: Callable[[], float]


class Measuring:
    """Measures one release until it is closed."""

    def __init__(
        self,
        tools: Tools,
        order: Order,
        kept: Checkpoint,
        on_change: Callable[[], None],
        arms: Mapping[str, Arm] | None = None,
    ) -> None:
        """Begin to measure, or go on from what was kept."""
        self._tools, self._on_change = tools, on_change
        self._store = CheckpointStore(tools.kube)
        self._arms: dict[str, Arm] = dict(arms or {})
        self._fresh: set[str] = set()
        self._order = order
        self._ledger = _loaded(kept)
        self._share = Share(*kept.share)
        self._feed = self._open_feed(order, kept.bounds)
        self._values = self._open_values(order, kept.values)
        self._judged: tuple[object, float, Measured] = (None, 0.0, Measured())
        self._saved_at = tools.clock()
        self._unsaved = ""

    @classmethod
    async def begin(
        cls, tools: Tools, order: Order, on_change: Callable[[], None], arms: Mapping[str, Arm] | None = None
    ) -> Measuring:
        """Begin to measure, or go on from what the ConfigMap holds; ``arms`` are the pods known by now.

        Raises:
            KubeError: The API server refuses to say what it holds.
        """
        kept = await CheckpointStore(tools.kube).load(order.subject, order.identity)
        if order.source is None and kept.bounds != LATENCY_BOUNDS_MS:
            kept = Checkpoint(order.identity, values=kept.values)
        return cls(tools, order, kept, on_change, arms)

    @property
    def identity(self) -> str:
        """Which release, from which source."""
        return self._order.identity

    async def update(self, order: Order) -> None:
        """Follow changed templates: metrics that are as they were go on, others begin anew."""
        self._order = order
        if order.planned is not None and order.planned != self._values.planned:
            kept = self._kept_values()
            await self._values.close()
            self._values = self._open_values(order, kept)

    def look(self, notes: Notes, analysis: Analysis, known: Known, slos: tuple[Slo, ...] = ()) -> Measured:
        """Return what was measured up to now, and the judge's answer."""
        now = self._tools.clock()
        self._arms.update(known.arms)
        self._take(notes, known, now)
        # The judge is asked once a second, and at once when a step begins or something else was written.
        asked = (notes.state, notes.step_starts, notes.replaced, analysis, slos)
        before, at, measured = self._judged
        if before != asked or now - at >= _LOOK_SECONDS or now < at:
            measured = self._measure(notes, analysis, known, now, slos)
            self._judged = (asked, now, measured)
        return replace(
            measured,
            share=self._share.percent,
            problem=self._feed.problem,
            answered=self._feed.answered,
            problems=(*self._problems(analysis), *_unjudged(measured)),
        )

    def _take(self, notes: Notes, known: Known, now: float) -> None:
        windows = of_release(self._feed.take(), self._order.began)
        self._share.add(windows, notes.step_starts)
        if self._feed.bounds is None:
            return
        self._fresh |= known.fresh
        windows = compared(windows, self._fresh, known.experiment_since)
        ledger = self._ledger = self._ledger or Ledger(len(self._feed.bounds) + 1)
        gone = notes.replaced
        ledger.add(windows, (*notes.step_starts, *((gone.until,) if gone else ())), now)
        if gone:
            ledger.leave_out(gone.name, gone.until)

    def _measure(self, notes: Notes, analysis: Analysis, known: Known, now: float, slos: tuple[Slo, ...]) -> Measured:
        bounds = self._feed.bounds or ()
        ledger = self._ledger or Ledger(len(bounds) + 1)
        return measure(
            ledger.table,
            self._values.series,
            policy_of(analysis, bounds, slos if self._feed.bounds is not None else ()),
            notes=notes,
            analysis=analysis,
            pods_started=known.started,
            now=now - (self._order.source.lateness if self._order.source else 0.0),
        )

    def _problems(self, analysis: Analysis) -> tuple[str, ...]:
        found = [*self._feed.problems, *(self._ledger.problems if self._ledger else ())]
        found += [f"{s.policy.name}: {s.problem}" for s in self._values.series if s.problem]
        if self._feed.bounds == () and analysis.latency.enabled:
            found.append(
                "latency is not judged: the source has no histogram of it (set latency, or latency.enabled: false)"
            )
        if self._unsaved:
            found.append(self._unsaved)
        return tuple(found)

    async def save(self, *, now: bool = False) -> None:
        """Write what was measured, if it is time; a failure is told and tried again, as nothing is lost by it yet."""
        time = self._tools.clock()
        if not now and time - self._saved_at < SAVE_SECONDS:
            return
        self._saved_at = time
        ledger, share = self._ledger, self._share
        checkpoint = Checkpoint(
            release=self.identity,
            bounds=self._feed.bounds,
            ledger=ledger.dump() if ledger else b"",
            share=(share.since, share.canary, share.baseline),
            values=self._kept_values(),
        )
        try:
            await self._store.save(self._order.subject, checkpoint)
            self._unsaved = ""
        except TooLargeError as error:
            self._unsaved = str(error)
        except (KubeError, OSError) as error:
            self._unsaved = f"what was measured could not be stored: {error}"

    async def close(self) -> None:
        """End the measuring."""
        await self._feed.close()
        await self._values.close()

    async def finish(self) -> None:
        """End the measuring for good: the release has ended."""
        await self.close()
        await self._store.delete(self._order.subject)

    def _kept_values(self) -> dict[str, Any]:
        """Return the measurements, each with what it is a measurement of."""
        of = {one.metric.name: _digest(one) for one in self._values.planned}
        return {name: {**kept, "of": of[name]} for name, kept in self._values.dump().items() if name in of}

    def _open_values(self, order: Order, kept: Mapping[str, Any]) -> Values:
        metrics = order.planned or ()
        now = {one.metric.name: _digest(one) for one in metrics}
        same = {name: value for name, value in kept.items() if name in now and value.get("of") == now[name]}
        return Values(
            order.release,
            metrics,
            self._context,
            began=order.began,
            clock=self._tools.clock,
            on_change=self._on_change,
            kept=same,
        )

    def _open_feed(self, order: Order, bounds: tuple[float, ...] | None) -> Feed:
        since = self._ledger.until if self._ledger and self._ledger.table.start.size else order.began - HISTORY_SECONDS
        if order.source is None:
            host = (order.subject.namespace, order.names.host)
            return MeshFeed(self._tools.open_stream(host, since, self._on_change), order.names)
        source, (least, most) = order.source, _POLL_SECONDS
        return PolledFeed(
            lambda bounds: self._tools.open_counts(source, self._context(""), bounds, lambda: self._arms),
            since=since,
            bounds=bounds,
            every=min(max(_interval(source) / 2, least), most),
            clock=self._tools.clock,
            on_change=self._on_change,
        )

    def _context(self, metric: str) -> Context:
        subject = self._order.subject
        return Context(
            namespace=subject.namespace,
            secret=secret_reader(self._tools.kube, subject.namespace),
            clock=self._tools.clock,
            subject="/".join(
                part for part in (subject.name, self._order.target, f"{self._order.began:.0f}", metric) if part
            ),
            jobs=OwnedJobs(self._tools.kube, subject.namespace, owner_reference(subject)),
        )


def _unjudged(measured: Measured) -> tuple[str, ...]:
    return tuple(f"spec.slos: {burn.objective.name} {burn.problem}" for burn in measured.burns if burn.problem)


def _loaded(kept: Checkpoint) -> Ledger | None:
    if not kept.ledger or kept.bounds is None:
        return None
    try:
        ledger = Ledger.load(kept.ledger)
    except ValueError:
        return None
    return ledger if ledger.buckets == len(kept.bounds) + 1 else None


def _interval(source: Asked) -> float:
    return source.scrape_interval if isinstance(source, PrometheusCounts) else source.export_interval


def _digest(one: ReleaseMetric) -> str:
    baseline = None if one.baseline is None else one.baseline.dump()
    return hashlib.sha256(json.dumps([one.metric.dump(), baseline], sort_keys=True).encode()).hexdigest()[:16]
