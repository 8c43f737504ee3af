"""Looks every few seconds at who calls past the mesh, and tells it: splits' statuses, Events, ``GET /v1/plaintext``."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from aiohttp import web

from mesh.resolve.cutoff import refusals
from mesh.telemetry.around import around
from mesh.telemetry.bypass import BypassNotes, bypasses
from mesh.telemetry.edges import KEPT
from mesh.telemetry.plaintext import Plaintext
from mesh.telemetry.security import Security

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mesh.api.debug import Around
    from mesh.api.plaintext import Bypass
    from mesh.resolve.problems import Problem
    from mesh.resolve.world import World
    from mesh.telemetry.counters import Point, Values
    from mesh.telemetry.edges import Edges
    from mesh.telemetry.podnames import PodNames
    from mesh.telemetry.security import Secured
    from mesh.telemetry.standard import StandardMetrics

__all__ = ["PlaintextWatch"]

log = logging.getLogger(__name__)
_PAUSE: Final = 2.0
_LATELY: Final = 600.0
"""Seconds for which a caller in plaintext is a reason to warn of STRICT."""
_STEADY: Final = 30.0
"""Seconds for which a split's status stays as it is unless the share has moved by a point."""
_POINT: Final = 1.0


class PlaintextWatch:
    """The look and what follows from it.

    Args:
        metrics: The standard metrics, which take what proxies report first.
        edges: What callers' sidecars counted.
        proxies: Returns when each proxy reported last.
        world: Returns the present world.
        now: The time, RFC 3339.
        changed: Called when ``problems`` or a split's ``bypass`` has changed.

    Attributes:
        problems: What the authors of resources should be told.
    """

    def __init__(
        self,
        metrics: StandardMetrics,
        edges: Edges,
        *,
        proxies: Callable[[], Mapping[str, float]],
        world: Callable[[], World | None],
        now: Callable[[], str],
        changed: Callable[[], None],
    ) -> None:
        self._metrics = metrics
        self._edges = edges
        self._proxies = proxies
        self._world = world
        self._now = now
        self._changed = changed
        self._seen = Plaintext(world=world, clock=time.time)
        self._security = Security(clock=time.time)
        self._notes = BypassNotes()
        self._bypasses: dict[str, tuple[float, Bypass]] = {}
        self.problems: tuple[Problem, ...] = ()

    def measured(self, proxy: str, news: Mapping[Point, Values]) -> None:
        """Take what is new of a proxy's metrics."""
        self._metrics.add(proxy, news)
        self._seen.add(proxy, news)
        self._security.add(proxy, news)

    def secured(self, seconds: float) -> Mapping[Secured, int]:
        """Return the requests of the last seconds by caller and kind of connection."""
        return self._security.read(seconds)

    def around(self, seconds: float, names: PodNames) -> tuple[Around, ...]:
        """Return the calls of the last seconds that came around the mesh.

        Args:
            seconds: How far back.
            names: What pods are called.
        """
        if (world := self._world()) is None:
            return ()
        arrivals = {"requests": self._seen.recent, **self._seen.others}
        return around(seconds, {kind: found.read(seconds) for kind, found in arrivals.items()}, world, names)

    def bypass(self, uid: str) -> Bypass | None:
        """Return what comes around a TrafficSplit; None where it is nothing worth a word."""
        found = self._bypasses.get(uid)
        return found[1] if found else None

    def add_to_app(self, app: web.Application) -> None:
        """Add the page."""

        async def page(_: web.Request) -> web.Response:
            self._seen.tick(self._proxies())
            return web.json_response(text=self._seen.report().model_dump_json(by_alias=True))

        app.router.add_get("/v1/plaintext", page)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(_PAUSE)
            try:
                self.look()
            except Exception:
                # Reports may never stop the mesh: this is a bug of ours, and the next look tries again.
                log.exception("who calls past the mesh cannot be said")

    def look(self) -> None:
        """Look once."""
        self._seen.tick(self._proxies())
        world = self._world()
        if world is None:
            return
        seconds, calls = self._edges.read(KEPT)
        found = bypasses(world, self._seen.recent.read(seconds), calls)
        now = time.time()
        kept: dict[str, tuple[float, Bypass]] = {}
        for one in found:
            before = self._bypasses.get(one.split.uid)
            if not one.notable:
                continue
            steady = before and now - before[0] < _STEADY and abs(before[1].percent - one.percent) < _POINT
            kept[one.split.uid] = before if before and steady else (now, one.summary(seconds, self._now()))
        strict = refusals(self._seen.report(), world, _LATELY) if world.peer_authentications else ()
        problems = (*self._notes.update(found), *strict)
        if (kept, problems) != (self._bypasses, self.problems):
            self._bypasses, self.problems = kept, problems
            self._changed()
