"""Traffic that reaches the pods of a split host without being split, and how it skews the weights. Pure.

Through the split: what callers' sidecars (and gateways) counted for the host. Around it: plaintext that the pods' own
sidecars counted, from pods without a sidecar (kube-proxy chose the pod), by pod IP or NodePort; and requests that
sidecars sent to a backend's own Service rather than to the host.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mesh.api.plaintext import Bypass, BypassSource
from mesh.resolve.problems import Problem, Ref
from mesh.telemetry.callers import source_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesh.ir.services import ServiceKey
    from mesh.ir.splits import Split
    from mesh.resolve.world import World
    from mesh.telemetry.counters import Counts
    from mesh.telemetry.edges import Call
    from mesh.telemetry.plaintext import Arrival

__all__ = ["BypassNotes", "Found", "bypasses", "split_by_sidecar"]

_SHOWN: Final = 5
_FEW: Final = 10
"""Requests that came around, below which nothing is said."""
_SMALL: Final = 1.0
"""Percent, likewise."""


@dataclass(frozen=True, slots=True)
class Found:
    """What came around one split.

    Attributes:
        split: The split.
        through: Requests that were split, by backend.
        around: Requests that were not, by backend.
        sources: Those, by who sent them.
    """

    split: Split
    through: Counter[str] = field(default_factory=Counter)
    around: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """All requests."""
        return self.through.total() + self.around.total()

    @property
    def percent(self) -> float:
        """Share of the requests that came around."""
        return 100 * self.around.total() / self.total if self.total else 0.0

    @property
    def notable(self) -> bool:
        """Whether it is enough to be said."""
        return self.around.total() >= _FEW and self.percent >= _SMALL

    @property
    def shares(self) -> dict[str, float]:
        """Percent of all requests that each backend really got."""
        got = self.through + self.around
        return {name: round(100 * got[name] / self.total, 1) for name, _ in self.split.weights} if self.total else {}

    def summary(self, seconds: float, time: str) -> Bypass:
        """Return it for the split's status."""
        return Bypass(
            time=time,
            seconds=round(seconds),
            requests=self.total,
            around=self.around.total(),
            sources=tuple(BypassSource(source=who, requests=n) for who, n in self.sources.most_common(_SHOWN)),
            shares=self.shares,
        )

    def message(self) -> str:
        """Return it as a sentence with the fix."""
        named = [who for who, _ in self.sources.most_common(_SHOWN)]
        more = f" and {len(self.sources) - _SHOWN} more" if len(self.sources) > _SHOWN else ""
        weights = dict(self.split.weights)
        skew = ", ".join(f"{name} {share:.0f} % instead of {weights[name]} %" for name, share in self.shares.items())
        return (
            f"{self.percent:.0f} % of the requests to {self.split.service} come around the split, from "
            f"{', '.join(named)}{more}; so the backends really get: {skew}. Give these callers a sidecar, and let them "
            f"call {self.split.service} by its name"
        )


def bypasses(world: World, arrivals: Mapping[Arrival, int], calls: Mapping[Call, Counts]) -> tuple[Found, ...]:
    """Return for each split what came around it.

    Args:
        world: What is known now.
        arrivals: Plaintext requests at pods.
        calls: What callers' sidecars counted, in the same time.
    """
    found = {split.host: Found(split) for split in world.splits.applied.values()}
    if not found:
        return ()
    behind = _pods(world, found.values())
    direct = {key: split.host for split in world.splits.applied.values() for key in split.backends if key != split.host}
    for arrival, count in arrivals.items():
        for host, backend in behind.get((arrival.namespace, arrival.pod), {}).items():
            if not split_by_sidecar(world, arrival):
                found[host].around[backend] += count
                found[host].sources[str(arrival.source)] += count
    for call, counts in calls.items():
        asked = (call.series.host.namespace, call.series.host.service)
        if asked in found:
            found[asked].through[call.series.backend] += counts.requests
        elif asked in direct:
            found[direct[asked]].around[asked[1]] += counts.requests
            found[direct[asked]].sources[f"{_caller(world, call.source)}, which asks for {asked[1]}"] += counts.requests
    return tuple(found[host] for host in sorted(found))


def _pods(world: World, splits: Iterable[Found]) -> dict[ServiceKey, dict[ServiceKey, str]]:
    """Return by pod the splits that it is behind, and as which backend: the narrowest, should it be in several."""
    behind: dict[ServiceKey, dict[ServiceKey, str]] = {}
    for split in (found.split for found in splits):
        for key in sorted(split.backends, key=lambda k: k != split.host):
            for endpoint in (e for ports in world.endpoints.get(key, {}).values() for e in ports):
                behind.setdefault((key[0], endpoint.pod), {})[split.host] = key[1]
    return behind


def split_by_sidecar(world: World, arrival: Arrival) -> bool:
    """Say whether plaintext came through the caller's sidecar, as it does to a port that takes nothing else."""
    pod = world.workloads.get((arrival.namespace, arrival.pod))
    return arrival.source.sidecar and pod is not None and world.peers.mode(pod, arrival.port) == "DISABLE"


def _caller(world: World, proxy: str) -> str:
    namespace, _, pod = proxy.partition("/")
    workload = world.workloads.get((namespace, pod))
    if workload is None:
        return f"Pod {namespace}/{pod}"
    source = source_of(workload)
    return f"{source.kind} {source.namespace}/{source.name}"


class BypassNotes:
    """What is said of it as Events: once, and again when others come around or the share has doubled or halved."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[Problem, frozenset[str], float]] = {}

    def update(self, found: Iterable[Found]) -> tuple[Problem, ...]:
        """Return what is to be said now."""
        now: dict[str, tuple[Problem, frozenset[str], float]] = {}
        for one in found:
            if not one.notable:
                continue
            split, sources = one.split, frozenset(one.sources)
            before = self._said.get(split.uid)
            if before and sources <= before[1] and before[2] / 2 <= one.percent <= before[2] * 2:
                now[split.uid] = before
                continue
            ref = Ref("mesh.coalmine.dev/v1alpha1", "TrafficSplit", split.namespace, split.name, split.uid)
            known = sources | before[1] if before else sources
            now[split.uid] = (Problem(ref, "Bypassed", one.message()), known, one.percent)
        self._said = now
        return tuple(problem for problem, _, _ in now.values())
