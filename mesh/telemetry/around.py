"""Calls that reached pods without the mesh's mutual TLS, as edges of the graph. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from mesh.api.debug import Around, Node
from mesh.telemetry.bypass import split_by_sidecar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.api.plaintext import Source
    from mesh.resolve.world import World
    from mesh.telemetry.plaintext import Arrival
    from mesh.telemetry.podnames import PodNames

__all__ = ["MOST_AROUND", "around"]

MOST_AROUND: Final = 500
"""Edges that are told, those with the most calls."""


def around(
    seconds: float,
    arrivals: Mapping[str, Mapping[Arrival, int]],
    world: World,
    names: PodNames,
) -> tuple[Around, ...]:
    """Return who called whom around the mesh.

    Args:
        seconds: The time that the counts are of.
        arrivals: Calls by what they are: requests, connections, refused.
        world: What is known now.
        names: What pods are called.
    """
    found: dict[tuple[Source, Node], Counter[str]] = defaultdict(Counter)
    for kind, calls in arrivals.items():
        for arrival, count in calls.items():
            if not split_by_sidecar(world, arrival):
                called = Node(namespace=arrival.namespace, name=names.service(arrival.namespace, arrival.pod))
                found[arrival.source, called][kind] += count
    most = sorted(found.items(), key=lambda item: -item[1].total())[:MOST_AROUND]
    return tuple(
        Around(
            source=source,
            destination=called,
            words=str(source),
            rate=counts["requests"] / seconds if seconds else 0.0,
            **counts,
        )
        for (source, called), counts in sorted(most, key=lambda item: (str(item[0][0]), str(item[0][1])))
    )
