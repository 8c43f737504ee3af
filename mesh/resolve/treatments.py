"""DestinationRules by host: whose are seen, wildcards, several for one host, and what follows for each cluster.

Precedence for callers in a namespace, as in Istio: the DestinationRules of their own namespace, then those of the
host's; in each the most specific host goes first, and rules that select the callers' pods before those for all.
Several for one host are merged: subsets add up, and each part of the traffic policy that only one of them has is used.
What two of them say differently is the older's, and the younger is told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from mesh.api.destinationrule import FULL_EJECTION_ANNOTATION, TrafficPolicy
from mesh.resolve.hosts import service_key
from mesh.resolve.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from mesh.api.destinationrule import DestinationRuleSpec, Subset
    from mesh.ir.services import ServiceKey
    from mesh.resolve.clauses import Caller
    from mesh.resolve.problems import Ref
    from mesh.resolve.rules import Rule

__all__ = ["Treatment", "Treatments"]

_PARTS: Final = {
    "load_balancer": "loadBalancer",
    "connection_pool": "connectionPool",
    "outlier_detection": "outlierDetection",
    "tls": "tls",
}


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is said about a host, by one DestinationRule or by several that were merged.

    Attributes:
        refs: The DestinationRules, the oldest first.
        policy: The traffic policy of the whole host.
        subsets: The subsets.
        full_ejection: Whether more than half of the endpoints may be ejected.
    """

    refs: tuple[Ref, ...]
    policy: TrafficPolicy | None
    subsets: tuple[Subset, ...]
    full_ejection: bool

    @property
    def ports(self) -> frozenset[int]:
        """Ports that it has settings of their own for."""
        layers = [self.policy, *(s.traffic_policy for s in self.subsets)]
        return frozenset(p.port.number for layer in layers if layer for p in layer.port_level_settings)


@dataclass(frozen=True, slots=True)
class _Entry:
    rule: Rule[DestinationRuleSpec]
    spec: DestinationRuleSpec
    treatment: Treatment

    @property
    def namespace(self) -> str:
        return self.rule.ref.namespace

    def is_for(self, caller: Caller) -> bool:
        """Whether it is for these callers."""
        if (selector := self.spec.workload_selector) is None:
            return self.spec.visible(self.namespace, caller.namespace)
        return self.namespace == caller.namespace and caller.labels.issuperset(selector.match_labels.items())


class Treatments:
    """An index of all DestinationRules.

    Args:
        rules: All of them; those that are not valid are passed over.
        known: All Services.
    """

    def __init__(self, rules: Iterable[Rule[DestinationRuleSpec]], known: Container[ServiceKey]) -> None:
        self._exact: dict[tuple[str, ServiceKey], list[_Entry]] = {}
        self._wildcards: dict[str, dict[str, list[_Entry]]] = {}
        self._found: dict[tuple[Caller, ServiceKey, str], Treatment | None] = {}
        for rule in sorted(rules, key=lambda r: (r.created, r.ref)):
            if rule.spec is not None:
                self._add(rule, rule.spec, known)

    def _add(self, rule: Rule[DestinationRuleSpec], spec: DestinationRuleSpec, known: Container[ServiceKey]) -> None:
        namespace, host = rule.ref.namespace, spec.host.lower().rstrip(".")
        treatment = Treatment((rule.ref,), spec.traffic_policy, spec.subsets, _may_eject_all(rule))
        entry = _Entry(rule, spec, treatment)
        if host.startswith("*"):
            self._wildcards.setdefault(namespace, {}).setdefault(host, []).append(entry)
        else:
            self._exact.setdefault((namespace, service_key(host, namespace, known)), []).append(entry)

    @cached_property
    def asked_labels(self) -> frozenset[tuple[str, str]]:
        """Labels of callers that some rule asks for: only by those are callers of one namespace told apart."""
        selectors = (e.spec.workload_selector for group in self._groups() for e in group)
        return frozenset(label for s in selectors if s is not None for label in s.match_labels.items())

    def find(self, caller: Caller, host: ServiceKey, home: str) -> Treatment | None:
        """Return what is said about a host.

        Args:
            caller: Whose requests.
            host: The Service, or ``("", name)`` for a host that is none.
            home: The namespace that the host is defined in.
        """
        key = (caller, host, home)
        if key not in self._found:
            namespaces = dict.fromkeys((caller.namespace, home))
            found = (self._choose(namespace, caller, host) for namespace in namespaces)
            self._found[key] = next((treatment for treatment in found if treatment), None)
        return self._found[key]

    def _choose(self, namespace: str, caller: Caller, host: ServiceKey) -> Treatment | None:
        for entries in self._candidates(namespace, host):
            seen = [e for e in entries if e.is_for(caller)]
            if chosen := [e for e in seen if e.spec.workload_selector is not None] or seen:
                return _merge(chosen)[0]
        return None

    def _candidates(self, namespace: str, host: ServiceKey) -> Iterator[Sequence[_Entry]]:
        yield self._exact.get((namespace, host), ())
        full = f"{host[1]}.{host[0]}.svc.cluster.local" if host[0] else host[1]
        wildcards = self._wildcards.get(namespace, {})
        for wildcard in sorted((w for w in wildcards if full.endswith(w[1:])), key=lambda w: (-len(w), w)):
            yield wildcards[wildcard]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What the authors should be told."""
        groups = ([e for e in group if e.spec.workload_selector is None] for group in self._groups())
        return tuple(problem for group in groups for problem in _merge(group)[1])

    def _groups(self) -> list[list[_Entry]]:
        return [*self._exact.values(), *(g for found in self._wildcards.values() for g in found.values())]


def _may_eject_all(rule: Rule[DestinationRuleSpec]) -> bool:
    return dict(rule.annotations).get(FULL_EJECTION_ANNOTATION) == "true"


def _merge(entries: Sequence[_Entry]) -> tuple[Treatment | None, list[Problem]]:
    """Return one treatment for all, and what each of the younger ones says in vain."""
    if not entries:
        return None, []
    merged = entries[0].treatment
    problems: list[Problem] = []
    for entry in entries[1:]:
        merged, ignored = _joined(merged, entry.treatment)
        names = " and ".join(r.name for r in merged.refs[:-1])
        problems += [
            Problem(
                entry.rule.ref,
                "Shadowed",
                f"{path}: host {entry.spec.host} has an older DestinationRule, {names}, which says otherwise and is "
                "used: merge the two",
            )
            for path in ignored
        ]
    return merged, problems


def _joined(old: Treatment, young: Treatment) -> tuple[Treatment, list[str]]:
    """Return both as one, and the paths of what the younger says in vain."""
    policy, ignored = _joined_policy(old.policy, young.policy)
    known = {s.name: s for s in old.subsets}
    subsets = list(old.subsets)
    for index, subset in enumerate(young.subsets):
        if subset.name not in known:
            subsets.append(subset)
        elif known[subset.name] != subset:
            ignored.append(f"spec.subsets[{index}]")
    full = old.full_ejection if old.policy and old.policy.outlier_detection else young.full_ejection
    return replace(
        old, refs=(*old.refs, *young.refs), policy=policy, subsets=tuple(subsets), full_ejection=full
    ), ignored


def _joined_policy(old: TrafficPolicy | None, young: TrafficPolicy | None) -> tuple[TrafficPolicy | None, list[str]]:
    if old is None or young is None:
        return old or young, []
    parts, ignored = {}, []
    for name, written in _PARTS.items():
        ours, theirs = getattr(old, name), getattr(young, name)
        parts[name] = theirs if ours is None else ours
        if ours is not None and theirs is not None and ours != theirs:
            ignored.append(f"spec.trafficPolicy.{written}")
    known = {p.port.number: p for p in old.port_level_settings}
    ports = list(old.port_level_settings)
    for index, port in enumerate(young.port_level_settings):
        if port.port.number not in known:
            ports.append(port)
        elif known[port.port.number] != port:
            ignored.append(f"spec.trafficPolicy.portLevelSettings[{index}]")
    return TrafficPolicy(**parts, port_level_settings=tuple(ports)), ignored
