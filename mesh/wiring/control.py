"""The control plane's loop: what is observed becomes a world, the world becomes what each proxy holds."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from mesh.wiring.quarantine import Quarantine

if TYPE_CHECKING:
    from collections.abc import Callable

    from mesh.ads.gate import Refusal
    from mesh.ir.services import Workload
    from mesh.resolve.problems import Problem
    from mesh.resolve.world import World
    from mesh.wiring.sources import Sources
    from mesh.xds.resources import Resource, Snapshot
    from mesh.xds.snapshots import SnapshotBuilder

__all__ = ["Control"]

log = logging.getLogger(__name__)
_DEBOUNCE: Final = 0.003
"""Seconds; the parts of one change (a pod and its Service) come together, and the first waits no longer than this."""


class Control:
    """Rebuilds the world after each change and says so.

    Args:
        builder: Makes snapshots.
        published: Called after each rebuild.
        secrets: Returns the secrets of a pod's proxy.

    Attributes:
        world: The present world; None until everything was observed once. Proxies that come earlier wait, so that a
            control plane that starts takes nothing away from them.
    """

    def __init__(
        self,
        builder: SnapshotBuilder,
        published: Callable[[], None],
        secrets: Callable[[Workload], tuple[Resource, ...]],
    ) -> None:
        self.world: World | None = None
        self._builder = builder
        self._published = published
        self._secrets = secrets
        self._dirty = asyncio.Event()
        self._quarantine = Quarantine(self._build)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What the authors of resources should be told."""
        return (*(self.world.problems if self.world else ()), *self._quarantine.problems)

    def refused(self, refusals: list[Refusal]) -> None:
        """Take in what proxies have refused: what nobody is to get is taken out of the world."""
        for refusal in refusals:
            if self.world is not None and self._quarantine.blame(refusal, self.world):
                self.changed()

    def changed(self) -> None:
        """Note that something observed has changed."""
        self._dirty.set()

    def snapshot(self, proxy: str) -> Snapshot | None:
        """Return what a proxy (``namespace/pod``) should hold; None while its pod is not known or has no address."""
        return None if self.world is None else self._build(self.world, proxy)

    def _build(self, world: World, proxy: str) -> Snapshot | None:
        namespace, _, name = proxy.partition("/")
        workload = world.workloads.get((namespace, name))
        if workload is None or not workload.address:
            return None
        if workload.gateway:
            return self._builder.build_gateway(world.ingress.view(workload), self._secrets(workload))
        return self._builder.build(world.view(workload), self._secrets(workload))

    async def run(self, sources: Sources) -> None:
        """Rebuild after each change until cancelled."""
        await sources.synced()
        while True:
            self._dirty.clear()
            self._rebuild(sources)
            await self._dirty.wait()
            await asyncio.sleep(_DEBOUNCE)

    def _rebuild(self, sources: Sources) -> None:
        try:
            world = self._quarantine.admit(sources.world())
            _ = world.problems
        except Exception:
            # A bug of ours: the proxies keep what they hold, and the next change tries again.
            log.exception("the observed resources cannot be resolved; proxies keep what they hold")
            return
        self._builder.begin()
        self.world = world
        self._published()
