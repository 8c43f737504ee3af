"""Reading what the checks before any traffic moves look at.

Nothing of it is watched: it is read once when a release starts, and again every few seconds while a check blocks it.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rollouts.api.preflight import PreflightResult
from rollouts.core.machine import State
from rollouts.core.naming import names_of
from rollouts.core.observed import Service
from rollouts.core.preflight.facts import Facts, Kind, PodFact
from rollouts.engine.kube import KubeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rollouts.core.naming import Names
    from rollouts.core.notes import Notes
    from rollouts.core.observed import Subject
    from rollouts.engine.cache import Cache, Key, Pod
    from rollouts.engine.kube import Kube
    from rollouts.routers.base import Router

__all__ = ["AGAIN_SECONDS", "PreflightReader"]

AGAIN_SECONDS: Final = 10.0
_MOST: Final = "500"
_ROOT_NAMESPACES: Final = ("coalmine-system", "istio-system")
_ISTIO: Final = ("v1", "v1beta1", "v1alpha3")
_SOURCES: Final[Mapping[Kind, tuple[str, tuple[str, ...], str]]] = {
    Kind.QUOTAS: ("", ("v1",), "resourcequotas"),
    Kind.BUDGETS: ("policy", ("v1",), "poddisruptionbudgets"),
    Kind.AUTOSCALERS: ("autoscaling", ("v2", "v1"), "horizontalpodautoscalers"),
    Kind.FLAGGER: ("flagger.app", ("v1beta1",), "canaries"),
    Kind.ARGO: ("argoproj.io", ("v1alpha1",), "rollouts"),
    Kind.HTTP_ROUTES: ("gateway.networking.k8s.io", ("v1", "v1beta1"), "httproutes"),
    Kind.VIRTUAL_SERVICES: ("networking.istio.io", _ISTIO, "virtualservices"),
    Kind.DESTINATION_RULES: ("networking.istio.io", _ISTIO, "destinationrules"),
    Kind.PEERS: ("security.istio.io", ("v1", "v1beta1"), "peerauthentications"),
}
"""Group, versions from the newest on, and plural of each kind."""


@dataclass(frozen=True)
class _Read:
    """What the API server said at a time about a release."""

    release: tuple[str, float]
    at: float
    objects: Mapping[Kind, tuple[Mapping[str, Any], ...]]
    unread: Mapping[Kind, str]
    namespace_labels: Mapping[str, str] | None
    counted: int


class PreflightReader:
    """Reads for each Rollout whose release is about to start."""

    def __init__(self, kube: Kube, cache: Cache, router: Router, clock: Callable[[], float]) -> None:
        self._kube = kube
        self._cache = cache
        self._router = router
        self._clock = clock
        self._kept: dict[Key, _Read] = {}

    def forget(self, key: Key) -> None:
        """Forget a Rollout."""
        self._kept.pop(key, None)

    async def facts(self, subject: Subject) -> Facts | None:
        """Return what the checks look at; None where no release is about to start.

        Raises:
            OSError: The API server cannot be reached. What it refuses is part of the facts.
        """
        key = (subject.namespace, subject.name)
        notes = subject.notes
        names = names_of(subject.spec, notes)
        if notes.state is not State.STARTING or names is None:
            self.forget(key)
            return None
        pods = self._pods(subject, names)
        kept = self._kept.get(key)
        if kept is None or self._is_old(kept, subject, notes):
            kept = self._kept[key] = await self._read(
                subject.namespace, (notes.target, notes.began), len(pods["canary"])
            )
        return Facts(
            stable_pods=pods["stable"],
            canary_pods=pods["canary"],
            other_pods=pods["others"],
            splits=self._splits(subject),
            namespace_labels=kept.namespace_labels,
            objects=kept.objects,
            unread=kept.unread,
            counted=kept.counted,
        )

    def _is_old(self, kept: _Read, subject: Subject, notes: Notes) -> bool:
        blocked = any(x.result is PreflightResult.FAIL for x in subject.status.preflight)
        age = self._clock() - kept.at
        return kept.release != (notes.target, notes.began) or (blocked and not 0 <= age < AGAIN_SECONDS)

    def _splits(self, subject: Subject) -> tuple[Mapping[str, Any], ...]:
        own = (subject.namespace, self._router.name(subject))
        return tuple(s for k, s in self._cache.splits.items() if k[0] == subject.namespace and k != own)

    def _pods(self, subject: Subject, names: Names) -> dict[str, tuple[PodFact, ...]]:
        found: dict[str, list[PodFact]] = {"stable": [], "canary": [], "others": []}
        raw = (self._cache.services.get((subject.namespace, name)) for name in (names.host, names.canary_service))
        stable, canary = (
            {p.name for p in self._cache.pods(subject.namespace, Service(s).selector)} if s else set() for s in raw
        )
        for pod in self._cache.pods_in(subject.namespace):
            side = "canary" if pod.name in canary else "stable" if pod.name in stable else "others"
            found[side].append(_fact(pod))
        return {side: tuple(pods) for side, pods in found.items()}

    async def _read(self, namespace: str, release: tuple[str, float], counted: int) -> _Read:
        kinds = list(_SOURCES)
        listed = await asyncio.gather(
            *(self._list(kind, namespace) for kind in kinds),
            *(self._list(Kind.PEERS, root) for root in _ROOT_NAMESPACES if root != namespace),
        )
        labels = await self._labels(namespace)
        objects: dict[Kind, tuple[Mapping[str, Any], ...]] = {}
        unread: dict[Kind, str] = {}
        for kind, answer in zip([*kinds, *(Kind.MESH_PEERS for _ in listed[len(kinds) :])], listed, strict=True):
            if isinstance(answer, str):
                unread[kind] = answer
            else:
                objects[kind] = (*objects.get(kind, ()), *answer)
        return _Read(release, self._clock(), objects, unread, labels, counted)

    async def _list(self, kind: Kind, namespace: str) -> Sequence[Mapping[str, Any]] | str:
        """Return a namespace's objects of a kind, none where the API server does not know it; or why they cannot be read."""
        group, versions, plural = _SOURCES[kind]
        for version in versions:
            root = f"/apis/{group}/{version}" if group else f"/api/{version}"
            try:
                answer = await self._kube.request(
                    "GET", f"{root}/namespaces/{namespace}/{plural}", query={"limit": _MOST}
                )
            except KubeError as error:
                return f"{error}; deploy/controller/ has the rights that the controller needs"
            if answer is not None:
                return [_slim(item) for item in answer.get("items") or ()]
        return ()

    async def _labels(self, namespace: str) -> Mapping[str, str] | None:
        """Return the namespace's labels: they only make a message better, so a refusal is nothing to tell."""
        try:
            found = await self._kube.request("GET", f"/api/v1/namespaces/{namespace}")
        except KubeError:
            return None
        return (found["metadata"].get("labels") or {}) if found else None


def _slim(item: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in item["metadata"].items() if k != "managedFields"}
    return {"metadata": metadata, "spec": item.get("spec") or {}, "status": item.get("status") or {}}


def _fact(pod: Pod) -> PodFact:
    at = dt.datetime.fromisoformat(pod.unscheduled_at).timestamp() if pod.unscheduled_at else 0.0
    return PodFact(pod.name, sidecar=pod.sidecar, unscheduled=pod.unscheduled, unscheduled_at=at)
