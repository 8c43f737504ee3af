"""Who has an address: the pod's owner, a node, or nobody of the cluster. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mesh.api.plaintext import Source

if TYPE_CHECKING:
    from mesh.ir.services import Workload
    from mesh.resolve.world import World

__all__ = ["Callers"]

_SPARE: Final = 10_000
"""How many addresses of pods that are gone are remembered."""
_ENDED: Final = frozenset({"Succeeded", "Failed"})


class Callers:
    """Sources by address. One of a pod that is gone stays known until another pod has it: reports come after the fact."""

    def __init__(self) -> None:
        self._found: dict[str, Source] = {}
        self._world: World | None = None

    def update(self, world: World) -> None:
        """Take what is known now."""
        if world is self._world:
            return
        self._world = world
        now: dict[str, Source] = {}
        # Of two pods with one address the one that runs has it.
        for workload in sorted(world.workloads.values(), key=lambda w: w.phase not in _ENDED):
            if workload.address and workload.address != workload.host:
                now[workload.address] = source_of(workload)
        nodes = {w.host: Source(kind="Node", name=w.node) for w in world.workloads.values() if w.host and w.node}
        gone = {
            address: source for address, source in self._found.items() if address not in now and address not in nodes
        }
        for address in list(gone)[: max(0, len(gone) - _SPARE)]:
            del gone[address]
        self._found = {**gone, **now, **nodes}

    def of(self, address: str) -> Source | None:
        """Return who has the address; None where nobody in the cluster is known to have it."""
        return self._found.get(address)


def source_of(workload: Workload) -> Source:
    """Return a pod as a source: what made it."""
    kind, name = workload.maker
    return Source(kind=kind, namespace=workload.namespace, name=name, sidecar=workload.meshed)
