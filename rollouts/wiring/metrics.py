"""``GET /metrics`` on the health address: what Prometheus scrapes, computed from what is in memory when it asks."""

from __future__ import annotations

import asyncio
import importlib.metadata
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from rollouts.core.gauges import GAUGES, samples
from rollouts.engine.cap import is_under_way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

    from rollouts.engine.cache import Cache
    from rollouts.engine.meters import Meters

__all__ = ["Facts", "add_metrics", "families"]

_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_KINDS: Final = ("rollouts", "deployments", "replicasets", "pods", "services", "trafficsplits")


@dataclass(frozen=True)
class Facts:
    """What the process knows of itself at a scrape.

    Attributes:
        identity: Its name among the replicas.
        leads: Whether it acts. A standby tells nothing of Rollouts, so that sums over replicas are right.
        waiting: Rollouts that are to be looked at and are not yet.
        most_releases: How many there may be at once; None for any number.
        pending: Transitions that are not told yet, by sink.
    """

    identity: str
    leads: bool
    waiting: int
    most_releases: int | None
    pending: Mapping[str, int]


def add_metrics(app: web.Application, meters: Meters, cache: Cache, facts: Callable[[], Facts]) -> None:
    """Add the page.

    Args:
        app: The application.
        meters: What was counted.
        cache: What the watches tell.
        facts: Returns what the process knows of itself.
    """
    ProcessCollector(registry=meters.registry)
    version = importlib.metadata.version("coalmine")

    async def serve(_: web.Request) -> web.Response:
        # What changes is read here; the text, which takes longer, is made elsewhere.
        made = list(families(cache, facts(), version, time.time()))
        response = web.Response(body=await asyncio.to_thread(_page, meters, made), headers={"Content-Type": _TYPE})
        response.enable_compression()
        return response

    app.router.add_get("/metrics", serve)


def families(cache: Cache, facts: Facts, version: str, now: float) -> Iterator[Metric]:
    """Yield all that is computed at a scrape.

    Args:
        cache: What the watches tell.
        facts: What the process knows of itself.
        version: Coalmine's.
        now: Unix seconds.
    """
    yield _one("coalmine_controller_info", "Always 1.", 1, identity=facts.identity, version=version)
    yield _one("coalmine_controller_leader", "1 where this replica acts, 0 where it stands by.", facts.leads)
    objects = GaugeMetricFamily("coalmine_controller_objects", "Objects in memory.", labels=["kind"])
    for kind in _KINDS:
        objects.add_metric([kind], len(cache.known(kind)))
    yield objects
    if not facts.leads:
        return
    running = sum(is_under_way((r.get("status") or {}).get("internal") or {}) for r in cache.all_rollouts())
    yield _one("coalmine_controller_queue_depth", "Rollouts that are to be looked at and are not yet.", facts.waiting)
    yield _one("coalmine_controller_releases", "Releases that are under way.", running)
    yield _one(
        "coalmine_controller_max_releases", "How many there may be at once; 0 for any number.", facts.most_releases or 0
    )
    pending = GaugeMetricFamily("coalmine_notifications_pending", "Transitions that are not told yet.", labels=["sink"])
    for sink, count in facts.pending.items():
        pending.add_metric([sink], count)
    yield pending
    yield from _of_rollouts(cache, now)


def _of_rollouts(cache: Cache, now: float) -> Iterator[Metric]:
    made = {g.name: GaugeMetricFamily(g.name, g.help, labels=["namespace", "rollout", *g.labels]) for g in GAUGES}
    for sample in samples(cache.all_rollouts(), now):
        made[sample.gauge].add_metric(sample.labels, sample.value)
    yield from made.values()


def _one(name: str, text: str, value: float, **labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=list(labels))
    family.add_metric(list(labels.values()), float(value))
    return family


class _Made(Collector):
    """Families that are there already."""

    def __init__(self, made: list[Any]) -> None:
        self._made = made

    def collect(self) -> Iterator[Metric]:
        yield from self._made


def _page(meters: Meters, made: list[Any]) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Made(made))
    return generate_latest(registry) + generate_latest(meters.registry)
