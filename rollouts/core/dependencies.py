"""Which Rollouts a release waits for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Neighbour", "circle", "unfinished"]


@dataclass(frozen=True)
class Neighbour:
    """Another Rollout of the namespace.

    Attributes:
        phase: Its phase.
        pending: Whether its Deployment asks for something that is not released.
        depends_on: The Rollouts that it waits for itself.
    """

    phase: str
    pending: bool = False
    depends_on: tuple[str, ...] = ()


def unfinished(wanted: tuple[str, ...], neighbours: Mapping[str, Neighbour]) -> str:
    """Return the first of some Rollouts that is not done, and why, in words; empty when all are.

    Args:
        wanted: Their names.
        neighbours: The Rollouts of the namespace, by name.
    """
    for name in wanted:
        found = neighbours.get(name)
        if found is None:
            return f"there is no Rollout {name} (spec.dependsOn): create it or take the name out"
        if found.phase != "Healthy":
            return f"Rollout {name} (spec.dependsOn) is {found.phase}"
        if found.pending:
            return f"Rollout {name} (spec.dependsOn) has a change that is not released yet"
    return ""


def circle(name: str, wanted: tuple[str, ...], neighbours: Mapping[str, Neighbour]) -> tuple[str, ...]:
    """Return the way from a Rollout over those that it waits for back to itself; empty when there is none."""
    known = {n: neighbour.depends_on for n, neighbour in neighbours.items()} | {name: wanted}
    seen: set[str] = set()
    ways: list[tuple[str, ...]] = [(name,)]
    while ways:
        way = ways.pop()
        for following in known.get(way[-1], ()):
            if following == name:
                return (*way, name)
            if following not in seen:
                seen.add(following)
                ways.append((*way, following))
    return ()
