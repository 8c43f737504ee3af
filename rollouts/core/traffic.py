"""Who gets which requests: weights, header routes, the mirror, and how many pods that takes.

Routes and mirror are a function of the steps up to the present one. Nothing else remembers them, and where the canary's
weight is taken away they go with it, in the same write.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rollouts.core.canary import capacity
from rollouts.core.machine import State
from rollouts.core.shape import Mirror, Route, Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollouts.api.steps import SetCanaryScale, Step
    from rollouts.core.context import Context

__all__ = [
    "FULL", "backends", "exposed", "in_experiment", "mirror_of", "pods_of_experiment", "pods_to_come",
    "routes_of", "scale_of", "shape", "shape_words", "weight_of", "written",
]  # fmt: skip

FULL: Final = 100
_BEGUN: Final = frozenset(
    {
        State.WEIGHTING,
        State.JUDGING,
        State.PAUSED,
        State.AWAITING_APPROVAL,
        State.AWAITING_PROMOTION,
        State.INCONCLUSIVE,
        State.FILLING,
    }
)
"""States in which what the present step asks for is in force, or on its way there."""


# --- what steps ask for ---------------------------------------------------------------------------------------------


def weight_of(steps: Sequence[Step]) -> int | None:
    """Return the weight that the last of the steps with one sets; None without any."""
    return next((s.weight for s in reversed(steps) if s.weight is not None), None)


def routes_of(steps: Sequence[Step], service: str) -> tuple[Route, ...]:
    """Return the header routes after these steps, in the order in which they were set first."""
    found: dict[str, Route] = {}
    for step in steps:
        if (route := step.set_header_route) is None:
            continue
        if route.match:
            found[route.name] = Route(route.name, route.match, service)
        else:
            found.pop(route.name, None)
    return tuple(found.values())


def mirror_of(steps: Sequence[Step], service: str) -> Mirror | None:
    """Return the mirror after these steps. A weight above 0 ends it: the canary would get some requests twice."""
    found: Mirror | None = None
    for step in steps:
        if (wanted := step.set_mirror_route) is not None:
            found = Mirror(wanted.percentage, wanted.match, service) if wanted.percentage else None
        elif step.weight:
            found = None
    return found


def scale_of(steps: Sequence[Step]) -> SetCanaryScale | None:
    """Return how many pods the steps ask for apart from the weight; None where the weight alone decides."""
    found = next((s.set_canary_scale for s in reversed(steps) if s.set_canary_scale is not None), None)
    return None if found is None or found.match_traffic_weight else found


# --- what is in force now -------------------------------------------------------------------------------------------


def _taken(c: Context) -> tuple[Step, ...]:
    """Return the steps that are in force: up to the present one, without it while its capacity is still made."""
    begun = c.index + 1 if c.notes.state in _BEGUN else c.index
    return c.steps[: max(0, begun)]


def shape(c: Context) -> Shape:
    """Return what the split says besides its weights. Whoever takes the weight away takes this away too."""
    state = c.notes.state
    if c.o.subject.spec is None:  # nobody knows what is asked for: it stays as it is
        asked = c.o.traffic.shape if c.o.traffic else Shape()
    else:
        asked = Shape(affinity=c.spec.session_affinity)
    affinity = asked.affinity if c.notes.weight else None
    if state not in _BEGUN | {State.SCALING}:
        return Shape(affinity=affinity)
    if c.o.subject.spec is None:
        return replace(asked, affinity=affinity)
    steps = _taken(c)
    mirror = mirror_of(steps, c.names.canary_service) if not c.notes.weight else None
    return Shape(routes_of(steps, c.names.canary_service), mirror, affinity)


def exposed(c: Context) -> bool:
    """Return whether the canary is asked to answer requests, or copies of them."""
    return c.notes.weight > 0 or shape(c).exposes


def in_experiment(c: Context) -> bool:
    """Return whether fresh stable pods get the same weight as the canary now."""
    step = c.step
    if (
        step is None
        or step.experiment is None
        or c.notes.state not in _BEGUN - {State.AWAITING_PROMOTION, State.FILLING}
    ):
        return False
    return c.notes.weight == step.experiment.weight and c.o.fresh.ready > 0


def backends(c: Context, *, with_canary: bool) -> dict[str, int]:
    """Return the split that is asked for now: percent by Service."""
    if not with_canary:
        return {c.names.host: FULL}
    weight = c.notes.weight
    if in_experiment(c):
        rest = FULL - 2 * weight
        return {c.names.host: rest, c.names.canary_service: weight, c.names.baseline_service: weight}
    return {c.names.host: FULL - weight, c.names.canary_service: weight}


def written(c: Context) -> bool:
    """Return whether the stored split is the one that is asked for."""
    t = c.o.traffic
    if t is None or t.host != c.names.host or t.shape != shape(c):
        return False
    wanted = backends(c, with_canary=True)
    ours = (c.names.canary_service, c.names.baseline_service)
    return all(t.weights.get(service, 0) == wanted.get(service, 0) for service in ours)


def shape_words(c: Context) -> str:
    """Return routes and mirror as people read them, to follow the weight; empty where there are none."""
    now = shape(c)
    parts = [f"header route {route.name}" for route in now.routes]
    if now.mirror is not None:
        parts.append(f"{now.mirror.percent} % mirrored")
    return "".join(f", {part}" for part in parts)


# --- pods -----------------------------------------------------------------------------------------------------------


def pods_of_experiment(c: Context, step: Step) -> int:
    """Return how many pods the canary and the fresh baseline have each."""
    wanted = step.experiment
    return 0 if wanted is None else max(wanted.replicas or 1, c.needed(wanted.weight))


def pods_to_come(c: Context) -> int:
    """Return how many pods the canary must have before anything else happens."""
    match c.notes.state:
        case State.STARTING:
            steps = c.steps[:1]
        case State.FILLING | State.SWITCHING | State.WATCHING | State.ROLLING:
            return c.needed(c.weight_to_come)
        case _:
            steps = c.steps[: c.index + 1]
    step = steps[-1] if steps else None
    if step is not None and step.experiment is not None:
        return max(pods_of_experiment(c, step), c.needed(max(c.weight_to_come, _held(c))))
    mirror = mirror_of(steps, c.names.canary_service)
    load = min(FULL, c.weight_to_come + (mirror.percent if mirror else 0))
    return max(c.needed(max(load, _held(c))), _scaled(c, scale_of(steps)))


def _held(c: Context) -> int:
    """Return the canary's weight that some proxy may hold still."""
    t = c.o.traffic
    return 0 if t is None or t.acknowledged or t.held is None else t.held.get(c.names.canary_service, 0)


def _scaled(c: Context, scale: SetCanaryScale | None) -> int:
    if scale is None:
        return 0
    return scale.replicas or capacity(scale.weight or 0, c.deployment.replicas)
