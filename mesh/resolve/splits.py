"""TrafficSplits: which can be applied, and how one overlays a rule's destinations."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mesh.api.destinationrule import FULL_EJECTION_ANNOTATION
from mesh.ir.splits import Split
from mesh.ir.traffic import ClusterKey, Destination, Mirror
from mesh.resolve import splitparts
from mesh.resolve.policies import SAFE_EJECTION, outlier_detection
from mesh.resolve.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mesh.api.trafficsplit import TrafficSplitSpec
    from mesh.ir.actions import HeaderChanges
    from mesh.ir.services import Service, ServiceKey
    from mesh.resolve.rules import Rule

__all__ = [
    "HARMLESS",
    "LIMITED",
    "NOT_JUDGED",
    "Splits",
    "affinity_instead",
    "limited_ejection",
    "overlay",
    "overlay_mirrors",
    "resolve_splits",
    "unjudged_ports",
]

FULL = 100
NOT_JUDGED: Final = "NotJudged"
LIMITED: Final = "Limited"
HARMLESS: Final = frozenset({NOT_JUDGED, LIMITED})
"""Reasons that hinder nothing: the split is applied."""
_MOST: Final = 2**31
"""What all weights of a rule add up to, and a little less than Envoy takes."""


@dataclass(frozen=True)
class Splits:
    """The TrafficSplits that are applied, by host, and what is wrong with the others."""

    applied: Mapping[ServiceKey, Split]
    problems: tuple[Problem, ...]

    def backend_of(self) -> dict[ServiceKey, Split]:
        """Return the split that each backend belongs to; the host itself first, where it is in several."""
        found = {(s.namespace, backend): s for s in self.applied.values() for backend, _ in s.weights}
        return found | dict(self.applied)


def resolve_splits(rules: Iterable[Rule[TrafficSplitSpec]], services: Mapping[ServiceKey, Service]) -> Splits:
    """Return the splits that can be applied.

    One that names a Service that is missing, or lacks a port of the host, is not applied at all: its requests all go
    to the host's own Service, rather than some of them nowhere.
    """
    applied: dict[ServiceKey, Split] = {}
    problems: list[Problem] = []
    for rule in sorted(rules, key=lambda r: (r.created, r.ref)):
        if rule.spec is None:
            continue
        split = _split(rule, rule.spec)
        if text := _unusable(split, rule.spec, services):
            problems.append(Problem(rule.ref, "NotApplied", text))
        elif applied.setdefault(split.host, split) is not split:
            older = applied[split.host].name
            text = f"spec.service: {split.service} is already split by the older TrafficSplit {older}: delete one"
            problems.append(Problem(rule.ref, "Shadowed", text))
    return Splits(applied, tuple(problems))


def _split(rule: Rule[TrafficSplitSpec], spec: TrafficSplitSpec) -> Split:
    return Split(
        namespace=rule.ref.namespace,
        name=rule.ref.name,
        uid=rule.ref.uid,
        generation=rule.generation,
        service=spec.service,
        weights=tuple((b.service, b.weight) for b in spec.backends),
        outlier_detection=outlier_detection(spec.outlier_detection),
        routes=splitparts.routes(spec),
        mirror=splitparts.mirror(spec),
        affinity=splitparts.affinity(spec),
    )


def _unusable(split: Split, spec: TrafficSplitSpec, services: Mapping[ServiceKey, Service]) -> str:
    """Return why the split cannot be applied; empty when it can."""
    host = services.get(split.host)
    if host is None:
        return f"spec.service: there is no Service {split.service} in namespace {split.namespace}: create it"
    needed = [(f"spec.backends[{index}].service", b.service) for index, b in enumerate(spec.backends) if b.weight]
    for where, backend in (*needed, *splitparts.named_services(spec)):
        service = services.get((split.namespace, backend))
        if service is None:
            return f"{where}: there is no Service {backend} in namespace {split.namespace}: create it"
        missing = [p.port for p in host.ports if service.port(p.port) is None]
        if missing:
            return f"{where}: Service {backend} has no port {missing[0]}, which {split.service} has: add it"
    return next(splitparts.part_problems(spec), "")


def unjudged_ports(
    rules: Iterable[Rule[TrafficSplitSpec]], splits: Splits, services: Mapping[ServiceKey, Service]
) -> Iterator[Problem]:
    """Return what the authors of splits are told about ports that are not HTTP: nobody judges their connections."""
    applied = {split.uid: split for split in splits.applied.values()}
    for rule in rules:
        split = applied.get(rule.ref.uid)
        service = services.get(split.host) if split else None
        for port in service.ports if service else ():
            if port.protocol == "tcp":
                name = service.name if service else ""
                text = f"spec.service: port {port.port} of {name} is not HTTP: where packets are captured "
                text += "new connections to it are split, and none is judged; name it http-… if it is HTTP"
                yield Problem(rule.ref, NOT_JUDGED, text)


def limited_ejection(
    rules: Iterable[Rule[TrafficSplitSpec]], splits: Splits, all_may_go: Callable[[ServiceKey], bool]
) -> Iterator[Problem]:
    """Return what the authors of splits are told whose outlier detection is held to the safe share.

    Args:
        rules: All of them.
        splits: Those that are applied.
        all_may_go: Whether a host's DestinationRule has the annotation that lets all pods be ejected.
    """
    applied = {split.uid: split for split in splits.applied.values()}
    for rule in rules:
        split = applied.get(rule.ref.uid)
        if split and (most := split.outlier_detection.max_ejection_percent) > SAFE_EJECTION:
            if all_may_go(split.host):
                continue
            text = f"spec.outlierDetection.maxEjectionPercent: {most} is held to {SAFE_EJECTION}, so that half of the pods "
            text += f"go on serving: write at most {SAFE_EJECTION}, or give {split.service} a DestinationRule with the "
            yield Problem(rule.ref, LIMITED, f'{text}annotation {FULL_EJECTION_ANNOTATION}: "true"')


def affinity_instead(
    rules: Iterable[Rule[TrafficSplitSpec]], splits: Splits, chooses: Callable[[ServiceKey], bool]
) -> Iterator[Problem]:
    """Return what the authors of splits are told whose cookie chooses pods in place of a DestinationRule's hash.

    Args:
        rules: All of them.
        splits: Those that are applied.
        chooses: Whether a host's DestinationRule chooses pods by a hash.
    """
    applied = {split.uid: split for split in splits.applied.values()}
    for rule in rules:
        split = applied.get(rule.ref.uid)
        if split and split.affinity and chooses(split.host):
            text = f"spec.sessionAffinity: cookie {split.affinity.cookie} chooses the pod, too, in place of what the "
            text += f"DestinationRule's consistentHash says: a request of {split.service} has one hash in Envoy; leave one out"
            yield Problem(rule.ref, LIMITED, text)


def overlay(
    destinations: Iterable[Destination], splits: Mapping[ServiceKey, Split], *, steady: bool = False
) -> tuple[Destination, ...]:
    """Return destinations with every host that is split replaced by its backends.

    Weights multiply. The host's own backend keeps the rule's subset; other backends have their own pods and no subset.
    Destinations without weight are left out, equal ones are added up, and weights are made as small as they can be.

    Args:
        destinations: As a rule has them.
        splits: The TrafficSplits that lie over them.
        steady: The backends that the host's requests are moved to come first, the host's own next, and all weights have
            a fixed sum, so that what is chosen by a hash moves with the weights alone.
    """
    total: dict[tuple[ClusterKey, HeaderChanges], int] = {}
    for destination in destinations:
        for cluster, share in _shares(destination.cluster, splits):
            if weight := destination.weight * share:
                key = (cluster, destination.changes)
                total[key] = total.get(key, 0) + weight
    divisor = math.gcd(*total.values()) if total and not steady else 1
    # Envoy adds them up in 32 bits; to a millionth of the whole nobody is told apart.
    divisor = max(divisor, math.ceil(sum(total.values()) / _MOST))
    found = [Destination(cluster, max(1, weight // divisor), changes) for (cluster, changes), weight in total.items()]
    if steady:
        place = {key: 0 for split in splits.values() for key in split.backends}
        place |= {split.primary: 1 for split in splits.values()}
        found.sort(key=lambda destination: place.get(destination.cluster.host, 2))
    return tuple(found)


def overlay_mirrors(mirrors: Iterable[Mirror], splits: Mapping[ServiceKey, Split]) -> tuple[Mirror, ...]:
    """Return mirrors with every host that is split replaced by its backends, each with its share of the copies."""
    return tuple(
        Mirror(cluster, mirror.percent * share / FULL)
        for mirror in mirrors
        for cluster, share in _shares(mirror.cluster, splits)
        if mirror.percent * share
    )


def _shares(cluster: ClusterKey, splits: Mapping[ServiceKey, Split]) -> Iterator[tuple[ClusterKey, int]]:
    split = splits.get((cluster.namespace, cluster.service))
    for backend, share in split.weights if split else ((cluster.service, FULL),):
        yield (cluster if backend == cluster.service else replace(cluster, service=backend, subset="")), share
