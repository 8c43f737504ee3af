"""Autoscalers' floors for the webhook, and the canary's disruption budget: read seldom, written when a decision says so."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from rollouts.api.names import FIELD_MANAGER
from rollouts.core.machine import RESTING
from rollouts.core.notes import Notes
from rollouts.core.scaling import ScalingFacts, SetBudget
from rollouts.engine.kube import APPLY, Kube, KubeError, object_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollouts.core.observed import Subject
    from rollouts.engine.cache import Cache, Key

__all__ = ["Scaling", "floor_of"]

_LOG = logging.getLogger(__name__)
_AGAIN_SECONDS: Final = 30.0
"""How long is believed what was read or written last."""
_FORBIDDEN: Final = 403


def floor_of(cache: Cache, namespace: str, deployment: str) -> int:
    """Return how far down autoscalers may scale a Deployment, as its Rollout's status says; 0 for no limit."""
    for body in cache.rollouts_in(namespace):
        try:
            notes = Notes.read((body.get("status") or {}).get("internal") or {})
        except ValidationError:
            continue
        if notes.workload == deployment and notes.scaling.floor:
            return notes.scaling.floor
    return 0


@dataclass(frozen=True)
class _Budgets:
    at: float
    theirs: tuple[Mapping[str, Any], ...]
    ours: Mapping[str, Any] | None


class Scaling:
    """What is remembered is only to spare requests: it is asked again after a while, and after a restart."""

    def __init__(self, kube: Kube, clock: Callable[[], float]) -> None:
        self._kube = kube
        self._clock = clock
        self._budgets: dict[Key, _Budgets] = {}

    async def facts(self, subject: Subject) -> ScalingFacts:
        """Return what a decision may look at."""
        key, now = (subject.namespace, subject.name), self._clock()
        resting = subject.notes.state in RESTING
        budgets = self._budgets.get(key)
        if budgets is None or (not resting and now - budgets.at >= _AGAIN_SECONDS):
            budgets = self._budgets[key] = await self._read_budgets(subject, now)
        return ScalingFacts(budgets.theirs, budgets.ours)

    def forget(self, key: Key) -> None:
        """Forget a Rollout that is gone."""
        self._budgets.pop(key, None)

    async def write(self, subject: Subject, action: SetBudget) -> None:
        """Give the canary its budget, or take it away.

        Raises:
            KubeError: The API server refuses.
        """
        self._budgets.pop((subject.namespace, subject.name), None)
        path = object_path("policy/v1", "PodDisruptionBudget", subject.namespace, action.name)
        if action.manifest is None:
            await self._kube.request("DELETE", path)
            return
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        await self._kube.request("PATCH", path, query=query, body=dict(action.manifest), content_type=APPLY)

    async def _read_budgets(self, subject: Subject, now: float) -> _Budgets:
        path = object_path("policy/v1", "PodDisruptionBudget", subject.namespace)
        try:
            found = (await self._kube.request("GET", path) or {}).get("items", ())
        except KubeError as error:
            if error.status != _FORBIDDEN:
                raise
            _LOG.warning("%s/%s: PodDisruptionBudgets are not heeded: %s", subject.namespace, subject.name, error)
            found = ()
        ours = [b for b in found if subject.owns(b)]
        theirs = tuple(b for b in found if not subject.owns(b))
        return _Budgets(now, theirs, ours[0] if ours else None)
