"""Writes the statuses of the Gateway API's objects: routes with a parent of ours, Gateways and GatewayClasses of ours."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mesh.wiring.gatewaystatus import class_status, gateway_status, parents_of
from mesh.wiring.kinds import GATEWAY_CLASSES, GRPC_ROUTES, HTTP_ROUTES, STANDARD_GATEWAYS
from mesh.wiring.kube import AbsentError, ConflictError, KubeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mesh.resolve.edges import Edge
    from mesh.resolve.httproutes import ParentState
    from mesh.resolve.rules import Rule
    from mesh.resolve.world import World
    from mesh.wiring.kube import Kube

    _Made = Callable[[dict[str, Any], str], dict[str, Any]]

__all__ = ["RouteStatuses"]

log = logging.getLogger(__name__)
_KINDS: Final = {
    "HTTPRoute": HTTP_ROUTES,
    "GRPCRoute": GRPC_ROUTES,
    "Gateway": STANDARD_GATEWAYS,
    "GatewayClass": GATEWAY_CLASSES,
}
_RETRY: Final = 1.0


class RouteStatuses:
    """The statuses of all objects of the Gateway API that are ours, or have a parent of ours.

    Args:
        kube: The client.
        world: Returns the present world.
        now: The time, RFC 3339.
    """

    def __init__(self, kube: Kube, *, world: Callable[[], World | None], now: Callable[[], str]) -> None:
        self._kube = kube
        self._world = world
        self._now = now
        self._known: dict[str, dict[str, Any]] = {}
        self._present: set[str] = set()
        self._dirty = asyncio.Event()

    def seen(self, manifest: dict[str, Any]) -> None:
        """Take in an object as the API serves it."""
        self._known[manifest["metadata"]["uid"]] = manifest
        self._dirty.set()

    def refresh(self) -> None:
        """Note that routes or Services may have changed."""
        self._dirty.set()

    async def run(self) -> None:
        """Write what changes until cancelled."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            world = self._world()
            if world is None:
                continue
            wanted = list(_wanted(world))
            self._forget({rule.ref.uid for rule, _ in wanted})
            for rule, made in wanted:
                manifest = self._known.get(rule.ref.uid)
                # A world that is older than the object says nothing about it.
                if manifest and manifest["metadata"].get("generation", 0) == rule.generation:
                    await self._write(manifest, made)

    def _forget(self, present: set[str]) -> None:
        """Drop what was deleted; what the world does not know yet is kept for the next one."""
        for uid in self._present - present:
            self._known.pop(uid, None)
        self._present = present

    async def _write(self, manifest: dict[str, Any], made: _Made) -> None:
        before = manifest.get("status") or {}
        after = made(before, self._now())
        if after == before:
            return
        kind = next(k for k in _KINDS[manifest["kind"]] if k.api_version == manifest["apiVersion"])
        changed = {**manifest, "status": after}
        meta = manifest["metadata"]
        name = f"{kind.kind} {meta.get('namespace', '')}/{meta['name']}"
        try:
            written = await self._kube.replace(kind, changed, status=True)
        except (AbsentError, ConflictError) as error:
            log.debug("%s has changed meanwhile: %s", name, error)  # its next version comes by the watch
        except KubeError as error:
            log.warning("status of %s: %s; again in %.0f s", name, error, _RETRY)
            asyncio.get_running_loop().call_later(_RETRY, self.refresh)
        else:
            self._known[meta["uid"]] = written


def _wanted(world: World) -> Iterator[tuple[Rule[Any], _Made]]:
    """Yield objects with what their status is to become."""
    translated = world.translated
    for route in (*world.http_routes, *world.grpc_routes):
        yield route, partial(_route, translated.states.get(route.ref.uid, ()), route.generation)
    for edge in world.edges.edges.values():
        yield edge.rule, partial(_gateway, edge, translated.attached)
    for known in world.edges.classes:
        yield known, partial(_class, known.generation)


def _route(states: Sequence[ParentState], generation: int, before: dict[str, Any], now: str) -> dict[str, Any]:
    parents = parents_of(before.get("parents") or (), states, generation, now)
    return {**before, "parents": parents} if parents or "parents" in before else before


def _gateway(edge: Edge, attached: Mapping[str, int], before: dict[str, Any], now: str) -> dict[str, Any]:
    return gateway_status(before, edge, attached, now)


def _class(generation: int, before: dict[str, Any], now: str) -> dict[str, Any]:
    return class_status(before, generation, now)
