"""Sidecar resources: which hosts a caller's proxy knows, and what it does with the others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from mesh.resolve.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mesh.api.sidecar import SidecarSpec
    from mesh.resolve.clauses import Caller
    from mesh.resolve.rules import Rule

__all__ = ["EVERYTHING", "EgressScope", "Sidecars"]


@dataclass(frozen=True, slots=True)
class EgressScope:
    """What a caller's proxy knows.

    Attributes:
        patterns: Namespace (``*`` for any) and full name (``*`` for any, ``*.domain``) of hosts; None for all hosts.
        unknown: What becomes of requests to hosts that are not known; None leaves it to how requests are captured.
    """

    patterns: tuple[tuple[str, str], ...] | None = None
    unknown: Literal["ALLOW_ANY", "REGISTRY_ONLY"] | None = None

    def knows(self, home: str, host: str) -> bool:
        """Say whether a host is known.

        Args:
            home: The namespace that it is defined in.
            host: Its full name.
        """
        if self.patterns is None:
            return True
        return any(of in {"*", home} and _fits(host, pattern) for of, pattern in self.patterns)


EVERYTHING = EgressScope()


def _fits(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*") else host == pattern


class Sidecars:
    """An index of all Sidecars.

    Args:
        rules: All of them; those that are not valid are passed over.
    """

    def __init__(self, rules: Iterable[Rule[SidecarSpec]]) -> None:
        self._rules: dict[str, list[tuple[Rule[SidecarSpec], SidecarSpec]]] = {}
        for rule in sorted(rules, key=lambda r: (r.created, r.ref)):
            if rule.spec is not None:
                self._rules.setdefault(rule.ref.namespace, []).append((rule, rule.spec))

    @cached_property
    def asked_labels(self) -> frozenset[tuple[str, str]]:
        """Labels of callers that some Sidecar asks for."""
        selectors = (spec.workload_selector for rules in self._rules.values() for _, spec in rules)
        return frozenset(label for s in selectors if s is not None for label in s.labels.items())

    def scope(self, caller: Caller) -> EgressScope:
        """Return what a caller knows: by the Sidecar that selects it, or else by that for its whole namespace."""
        specs = [spec for _, spec in self._rules.get(caller.namespace, ())]
        selecting = (s for s in specs if s.workload_selector and _selects(s, caller))
        general = (s for s in specs if s.workload_selector is None)
        spec = next(selecting, None) or next(general, None)
        return EVERYTHING if spec is None else _scope(spec, caller.namespace)

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """What the authors should be told."""
        found = []
        for rules in self._rules.values():
            first: dict[frozenset[tuple[str, str]] | None, str] = {}
            for rule, spec in rules:
                selector = spec.workload_selector
                key = frozenset(selector.labels.items()) if selector else None
                older = first.setdefault(key, rule.ref.name)
                if older != rule.ref.name:
                    text = f"spec.workloadSelector: the older Sidecar {older} is for the same pods and is used: merge the two"
                    found.append(Problem(rule.ref, "Shadowed", text))
        return tuple(found)


def _selects(spec: SidecarSpec, caller: Caller) -> bool:
    selector = spec.workload_selector
    return selector is not None and caller.labels.issuperset(selector.labels.items())


def _scope(spec: SidecarSpec, namespace: str) -> EgressScope:
    patterns = None
    if spec.egress:
        pairs = [host.split("/", 1) for egress in spec.egress for host in egress.hosts]
        patterns = tuple((namespace if of == "." else of, name.lower()) for of, name in pairs if of != "~")
    policy = spec.outbound_traffic_policy
    return EgressScope(patterns, policy.mode if policy else None)
