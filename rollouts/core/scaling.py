"""Never to an undersized side: how low autoscalers may go during a release, and how fast requests go back to stable. Pure.

``docs/scaling.md`` says the same to people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from crds.base import Resource
from rollouts.core.machine import RELEASE, RESTING, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.core.context import Context

__all__ = [
    "AFTER_SECONDS",
    "ScalingFacts",
    "ScalingNotes",
    "SetBudget",
    "at_first_share",
    "floor_ends",
    "return_words",
    "returned_for",
    "weight_on_return",
    "with_floor",
]

AFTER_SECONDS: Final = 120.0
"""How long autoscalers are held after a release: what they measure is up to two minutes old, from when stable had little to do."""
_SMALL: Final = 25
"""Stable answers three quarters already: this many percent more are no new burden."""
_BACK: Final = frozenset({State.ROLLING_BACK, State.SUPERSEDING, State.REVERTING, State.RESTORING})
"""States in which all requests go back to stable."""


class ScalingNotes(Resource):
    """What the next decision must know of stable's size.

    Attributes:
        floor: The most replicas that stable had since requests moved: what all requests need, and how far autoscalers
            may go down: admission reads it here (``rollouts.api.floors``). 0 outside of releases.
        returned_at: When the last weight went to 0 on the way back, Unix seconds.
    """

    floor: int = 0
    returned_at: float = 0.0


@dataclass(frozen=True)
class ScalingFacts:
    """What was seen of disruption budgets.

    Attributes:
        budgets: The namespace's PodDisruptionBudgets but ours.
        canary_budget: Our own.
    """

    budgets: tuple[Mapping[str, Any], ...] = ()
    canary_budget: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class SetBudget:
    """Give the canary's pods a PodDisruptionBudget; without a manifest take it away."""

    name: str
    manifest: Mapping[str, Any] | None


def with_floor(c: Context) -> Context:
    """Return the context with the floor that is right now."""
    d, scaling = c.o.deployment, c.notes.scaling
    if d is None:
        return c
    state, floor = c.notes.state, scaling.floor
    if state in RESTING | {State.INITIALIZING}:
        floor = floor if c.in_state < AFTER_SECONDS else 0
    elif state is State.RESTORING:
        floor = floor if c.notes.quiet_since is None else 0
    elif state in RELEASE | {State.ROLLING} and c.notes.weight:
        floor = max(floor, d.replicas)
    return c.noted(scaling=scaling.model_copy(update={"floor": floor})) if floor != scaling.floor else c


def at_first_share(c: Context) -> ScalingNotes:
    """Return the notes when the canary gets more requests: before the first of them stable has the size that all need."""
    scaling = c.notes.scaling
    return scaling if c.notes.weight else scaling.model_copy(update={"floor": c.deployment.replicas})


def floor_ends(c: Context) -> float | None:
    """Return when autoscalers are let go after a release, Unix seconds; None when none is held."""
    return c.notes.since + AFTER_SECONDS if c.notes.scaling.floor else None


def weight_on_return(c: Context) -> int:
    """Return the canary's weight, percent: the present one, or less where requests go back to stable.

    They go back at once when stable has three quarters of the pods that all requests need (what a rolling update keeps),
    when it answers three quarters of them already, and when the canary has no ready pod. Otherwise stable gets what its
    ready pods can take, and more as they become ready. After ``spec.progressDeadlineSeconds`` it gets all, unless none of
    its pods is ready; when no more of them are asked for, after the two minutes that an autoscaler or a person needs.
    """
    weight, canary, state = c.notes.weight, c.o.canary, c.notes.state
    if state is State.ROLLING:
        gone = c.canary_lost and (canary is None or canary.ready == 0 or c.stable_can_take)
        return 0 if gone else weight
    if state not in _BACK:
        return weight
    d = c.o.deployment
    if d is None or canary is None or canary.ready == 0:
        return 0
    if c.in_state >= _patience(c) and (d.ready or not d.replicas):
        return 0
    return _left(weight, d.ready, _need(c))


def _patience(c: Context) -> float:
    """Return how long to wait for more stable pods, seconds."""
    d, deadline = c.deployment, float(c.spec.progress_deadline_seconds)
    return deadline if d.ready < d.replicas else min(deadline, AFTER_SECONDS)


def _need(c: Context) -> int:
    """Return how many stable pods all requests need."""
    return c.notes.scaling.floor or c.deployment.replicas


def _left(weight: int, ready: int, need: int) -> int:
    """Return the percentage that ``ready`` of ``need`` pods cannot take yet."""
    if weight <= _SMALL or ready * 4 >= need * 3:
        return 0
    return min(weight, 100 - ready * 400 // (need * 3))


def returned_for(c: Context) -> float:
    """Return the seconds since all requests were asked back."""
    return c.now - max(c.notes.since, c.notes.scaling.returned_at)


def return_words(c: Context) -> str:
    """Return why some requests still go to a canary that is on its way out; empty when none do."""
    if not c.notes.weight or c.notes.state not in _BACK or c.o.deployment is None:
        return ""
    return (
        f"; {c.notes.weight} % stay on the canary until stable can take them: {c.o.deployment.ready} of {_need(c)} pods that all requests "
        f"need are ready (at most {_patience(c):.0f} s). Scale Deployment {c.names.workload} up"
    )
