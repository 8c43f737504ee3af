"""Writes the status of TrafficSplits as soon as proxies have answered, and only when it changes."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from mesh.ads.acknowledgement import ProxyState, SplitState, status_of
from mesh.api.trafficsplit import TrafficSplitStatus
from mesh.resolve.splits import HARMLESS
from mesh.wiring.kinds import TRAFFIC_SPLITS
from mesh.wiring.kube import AbsentError, ConflictError, KubeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mesh.ads.session import Session
    from mesh.api.plaintext import Bypass
    from mesh.api.trafficsplit import TrafficSplitSpec
    from mesh.ir.services import ServiceKey, Workload
    from mesh.resolve.rules import Rule
    from mesh.resolve.world import World
    from mesh.wiring.kube import Kube

__all__ = ["SplitStatuses"]

log = logging.getLogger(__name__)
_DEBOUNCE: Final = 0.01
"""Seconds in which the answers of many proxies become one write."""
_RETRY: Final = 1.0


class SplitStatuses:
    """The statuses of all TrafficSplits.

    Args:
        kube: The client.
        world: Returns the present world.
        session: Returns a proxy's session.
        refusal: Returns why a proxy does not get a TrafficSplit's present state; None where it refused nothing.
        now: The time, RFC 3339.
        bypass: Returns what comes around a split, by its uid.
    """

    def __init__(
        self,
        kube: Kube,
        *,
        world: Callable[[], World | None],
        session: Callable[[str], Session | None],
        refusal: Callable[[str, str], str | None],
        now: Callable[[], str],
        bypass: Callable[[str], Bypass | None] = lambda _: None,
    ) -> None:
        self._kube = kube
        self._bypass = bypass
        self._world = world
        self._session = session
        self._refusal = refusal
        self._now = now
        self._known: dict[str, TrafficSplitStatus] = {}
        self._dirty = asyncio.Event()

    def seen(self, manifest: dict[str, Any]) -> None:
        """Take in the status that an object has."""
        try:
            status = TrafficSplitStatus.model_validate(manifest.get("status") or {})
        except ValidationError:
            status = TrafficSplitStatus()
        self._known[manifest["metadata"]["uid"]] = status

    def refresh(self) -> None:
        """Note that proxies or splits may have changed."""
        self._dirty.set()

    async def run(self) -> None:
        """Write what changes until cancelled."""
        while True:
            await self._dirty.wait()
            await asyncio.sleep(_DEBOUNCE)
            self._dirty.clear()
            world = self._world()
            if world is not None:
                await asyncio.gather(*(self._write(rule, status) for rule, status in self._changes(world)))

    def _changes(self, world: World) -> list[tuple[Rule[TrafficSplitSpec], TrafficSplitStatus]]:
        problems: dict[str, str] = {}
        for problem in world.problems:
            if problem.reason not in HARMLESS:
                problems.setdefault(problem.ref.uid, problem.message)
        callers = _Callers(world)
        found = []
        for rule in world.traffic_splits:
            state = self._state(rule, callers, problems.get(rule.ref.uid, ""))
            known = self._known.get(rule.ref.uid, TrafficSplitStatus())
            status = status_of(state, known, self._now())
            status = status.model_copy(update={"bypass": self._bypass(rule.ref.uid)})
            if status != known:
                found.append((rule, status))
        alive = {rule.ref.uid for rule in world.traffic_splits}
        self._known = {uid: status for uid, status in self._known.items() if uid in alive}
        return found

    def _state(self, rule: Rule[TrafficSplitSpec], callers: _Callers, problem: str) -> SplitState:
        host = (rule.ref.namespace, rule.spec.service if rule.spec else "")
        weights = {b.service: b.weight for b in rule.spec.backends} if rule.spec else {}
        proxies = [self._proxy(f"{w.namespace}/{w.name}", rule.ref.uid) for w in callers.of(host)]
        return SplitState(rule.generation, weights, problem, proxies)

    def _proxy(self, name: str, uid: str) -> ProxyState:
        session = self._session(name)
        return ProxyState(name, session.generation(uid), self._refusal(name, uid)) if session else ProxyState(name)

    async def _write(self, rule: Rule[TrafficSplitSpec], status: TrafficSplitStatus) -> None:
        ref = rule.ref
        meta = {"namespace": ref.namespace, "name": ref.name, "uid": ref.uid}
        try:
            await self._kube.apply(TRAFFIC_SPLITS, {"metadata": meta, "status": status.dump()}, status=True)
        except (AbsentError, ConflictError) as error:
            log.info("TrafficSplit %s/%s was deleted meanwhile: %s", ref.namespace, ref.name, error)
        except KubeError as error:
            log.warning("status of TrafficSplit %s/%s: %s; again in %.0f s", ref.namespace, ref.name, error, _RETRY)
            asyncio.get_running_loop().call_later(_RETRY, self.refresh)
        else:
            self._known[ref.uid] = status


class _Callers:
    """The proxies that send requests to a host: running pods with a sidecar whose view has the host, and gateways."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pods: Sequence[Workload] = [
            w for w in world.workloads.values() if w.meshed and w.phase == "Running" and not w.terminating
        ]

    def of(self, host: ServiceKey) -> list[Workload]:
        sidecars = [w for w in self._pods if not w.gateway]
        scopes = [self._world.scope(w) for w in sidecars]
        calling = {scope for scope in set(scopes) if self._world.outbound(*scope).carries(host)}
        gateways = [w for w in self._pods if w.gateway and self._world.ingress.view(w).carries(host)]
        return [*(w for w, scope in zip(sidecars, scopes, strict=True) if scope in calling), *gateways]
