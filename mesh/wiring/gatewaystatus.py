"""What the statuses of the Gateway API's objects say: its conditions, beside what others wrote."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from mesh.api.gatewayapi import CONTROLLER
from mesh.api.httproute import GATEWAY_API_GROUP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mesh.resolve.edges import Edge
    from mesh.resolve.httproutes import ParentState
    from mesh.resolve.listeners import ListenerState, Said

__all__ = ["class_status", "gateway_status", "parents_of"]

Status = dict[str, Any]


def class_status(before: Status, generation: int, now: str) -> Status:
    """Return the status of a GatewayClass that is ours."""
    return {**before, "conditions": _conditions(before, {"Accepted": (None, "Accepted")}, generation, now)}


def gateway_status(before: Status, edge: Edge, attached: Mapping[str, int], now: str) -> Status:
    """Return the status of a Gateway that is ours.

    Args:
        before: What is there.
        edge: The Gateway.
        attached: How many routes each listener has, by the name that rules are bound to it by.
        now: The time, for conditions that change.
    """
    generation = edge.rule.generation
    said = {
        "Accepted": (edge.accepted, "Accepted"),
        "Programmed": ((edge.accepted and ("Invalid", edge.accepted[1])) or edge.programmed, "Programmed"),
    }
    old = {found["name"]: found for found in before.get("listeners") or ()}
    made: Status = {**before, "conditions": _conditions(before, said, generation, now)}
    listeners = [_listener(old.get(s.spec.name, {}), s, edge, attached.get(s.binding, 0), now) for s in edge.listeners]
    made["listeners"] = listeners
    made["addresses"] = [{"type": "Hostname", "value": name} for name in edge.addresses[:16]]
    return made


def _listener(before: Status, state: ListenerState, edge: Edge, attached: int, now: str) -> Status:
    why = state.accepted or state.conflicted or (state.resolved if state.closed else None)
    programmed: Said = ("Invalid", why[1]) if why else edge.programmed and ("Pending", edge.programmed[1])
    said = {
        "Accepted": (state.accepted, "Accepted"),
        "Programmed": (programmed, "Programmed"),
        "ResolvedRefs": (state.resolved, "ResolvedRefs"),
    }
    conditions = _conditions(before, said, edge.rule.generation, now)
    conditions += _conditions(
        before, {"Conflicted": (state.conflicted, "NoConflicts")}, edge.rule.generation, now, bad=True
    )
    kinds = [{"group": GATEWAY_API_GROUP, "kind": kind} for kind in state.kinds]
    return {
        "name": state.spec.name,
        "supportedKinds": kinds,
        "attachedRoutes": attached,
        "conditions": conditions,
    }


def parents_of(
    before: Sequence[dict[str, Any]], states: Sequence[ParentState], generation: int, now: str
) -> list[dict[str, Any]]:
    """Return ``status.parents``: what others wrote as it is, and what we say of ours.

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
        said = {
            "Accepted": (state.accepted, "Accepted"),
            "ResolvedRefs": (state.resolved, "ResolvedRefs"),
        }
        conditions = _conditions(ours.get(_key(ref), {}), said, generation, now)
        found.append({"parentRef": ref, "controllerName": CONTROLLER, "conditions": conditions})
    return [*others, *found]


def _conditions(
    before: Status, said: Mapping[str, tuple[Said, str]], generation: int, now: str, *, bad: bool = False
) -> list[dict[str, Any]]:
    """Return conditions; one that stays as it was keeps its time.

    Args:
        before: What they were in.
        said: By type, why it does not hold, or None, and the reason to give where it holds.
        generation: Of the object.
        now: The time.
        bad: Whether True is the bad end.
    """
    old = {c["type"]: c for c in before.get("conditions") or ()}
    found = []
    for kind, (failed, good) in said.items():
        reason, message = failed or (good, "")
        status = "True" if bool(failed) == bad else "False"
        same = old.get(kind, {}).get("status") == status
        found.append(
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "observedGeneration": generation,
                "lastTransitionTime": old[kind]["lastTransitionTime"] if same else now,
            }
        )
    return found


def _key(ref: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(ref.get(k) for k in ("group", "kind", "namespace", "name", "sectionName", "port"))
