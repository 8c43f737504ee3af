"""Writes the status of HTTPRoutes whose parent is a Service: the Gateway API's conditions, beside those of others."""

from __future__ import annotations

import asyncio
import copy
import logging
from typing import TYPE_CHECKING, Any, Final

from mesh.wiring.kinds import HTTP_ROUTES
from mesh.wiring.kube import AbsentError, ConflictError, KubeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mesh.resolve.httproutes import ParentState
    from mesh.resolve.world import World
    from mesh.wiring.kube import Kube

__all__ = ["CONTROLLER", "RouteStatuses", "parents_of"]

log = logging.getLogger(__name__)
CONTROLLER: Final = "mesh.coalmine.dev/controller"
_RETRY: Final = 1.0


class RouteStatuses:
    """The statuses of all HTTPRoutes.

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
            self._forget({r.ref.uid for r in world.http_routes})
            for rule in world.http_routes:
                manifest = self._known.get(rule.ref.uid)
                # A world that is older than the object says nothing about it.
                if manifest and manifest["metadata"].get("generation", 0) == rule.generation:
                    await self._write(manifest, world.translated.states.get(rule.ref.uid, ()))

    def _forget(self, present: set[str]) -> None:
        """Drop what was deleted; what the world does not know yet is kept for the next one."""
        for uid in self._present - present:
            self._known.pop(uid, None)
        self._present = present

    async def _write(self, manifest: dict[str, Any], states: Sequence[ParentState]) -> None:
        before = (manifest.get("status") or {}).get("parents") or []
        parents = parents_of(before, states, manifest["metadata"].get("generation", 0), self._now())
        if parents == before:
            return
        version = manifest["apiVersion"].rpartition("/")[2]
        kind = next(k for k in HTTP_ROUTES if k.version == version)
        changed = {**manifest, "status": {**(manifest.get("status") or {}), "parents": parents}}
        name = f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}"
        try:
            written = await self._kube.replace(kind, changed, status=True)
        except (AbsentError, ConflictError) as error:
            log.debug("HTTPRoute %s has changed meanwhile: %s", name, error)  # its next version comes by the watch
        except KubeError as error:
            log.warning("status of HTTPRoute %s: %s; again in %.0f s", name, error, _RETRY)
            asyncio.get_running_loop().call_later(_RETRY, self.refresh)
        else:
            self._known[manifest["metadata"]["uid"]] = written


def parents_of(
    before: Sequence[dict[str, Any]], states: Sequence[ParentState], generation: int, now: str
) -> list[dict[str, Any]]:
    """Return ``status.parents``: what others wrote as it is, and what we say of the Services.

    Args:
        before: What is there.
        states: What is said about each parent.
        generation: Of the route.
        now: The time, for conditions that change.
    """
    others = [copy.deepcopy(p) for p in before if p.get("controllerName") != CONTROLLER]
    ours = {_key(p["parentRef"]): p for p in before if p.get("controllerName") == CONTROLLER}
    found = []
    for state in states:
        ref = state.parent.model_dump(by_alias=True, exclude_unset=True)
        old = {c["type"]: c for c in ours.get(_key(ref), {}).get("conditions") or ()}
        conditions = []
        for kind, failed, good in (
            ("Accepted", state.accepted, "Accepted"),
            ("ResolvedRefs", state.resolved, "ResolvedRefs"),
        ):
            reason, message = failed or (good, "")
            condition = {
                "type": kind,
                "status": "False" if failed else "True",
                "reason": reason,
                "message": message,
                "observedGeneration": generation,
            }
            same = old.get(kind, {}).get("status") == condition["status"]
            conditions.append({**condition, "lastTransitionTime": old[kind]["lastTransitionTime"] if same else now})
        found.append({"parentRef": ref, "controllerName": CONTROLLER, "conditions": conditions})
    return [*others, *found]


def _key(ref: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(ref.get(k) for k in ("group", "kind", "namespace", "name", "sectionName", "port"))
