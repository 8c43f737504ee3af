"""PeerAuthentications: which mode a port of a pod has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mesh.resolve.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesh.api.peerauthentication import MutualTls, PeerAuthenticationSpec
    from mesh.ir.identity import MtlsMode
    from mesh.ir.services import Workload
    from mesh.resolve.problems import Ref
    from mesh.resolve.rules import Rule

__all__ = ["ROOT_NAMESPACES", "PeerModes", "index_peers"]

ROOT_NAMESPACES: Final = ("coalmine-system", "istio-system")
"""A PeerAuthentication without a selector in one of these is about the whole mesh."""
_DEFAULT: Final[MtlsMode] = "PERMISSIVE"


@dataclass(frozen=True, slots=True)
class PeerModes:
    """The rules, the oldest of each kind first.

    Attributes:
        mesh: For the whole mesh.
        namespaces: By namespace.
        selecting: With a selector, by namespace.
        problems: What authors should be told.
    """

    mesh: Rule[PeerAuthenticationSpec] | None = None
    namespaces: Mapping[str, Rule[PeerAuthenticationSpec]] = field(default_factory=dict)
    selecting: Mapping[str, tuple[Rule[PeerAuthenticationSpec], ...]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def mode(self, workload: Workload, port: int) -> MtlsMode:
        """Return what a container port of a pod takes."""
        own = next(iter(self._of(workload)), None)
        wanted = [own.spec.port_level_mtls.get(str(port)) if own and own.spec else None]
        wanted += [rule.spec.mtls if rule and rule.spec else None for rule in (own, self._wide(workload), self.mesh)]
        return next((mode for mode in map(_mode, wanted) if mode is not None), _DEFAULT)

    def rule(self, workload: Workload) -> Rule[PeerAuthenticationSpec] | None:
        """Return the narrowest rule that is about a pod."""
        return next(iter(self._of(workload)), None) or self._wide(workload) or self.mesh

    def shadowed(self, workloads: Iterable[Workload]) -> tuple[Problem, ...]:
        """Return a problem for each rule that chooses a pod that an older one has already."""
        found: dict[Ref, Problem] = {}
        for workload in workloads:
            first, *others = self._of(workload) or (None,)
            for rule in others:
                if rule is not None and first is not None:
                    text = (
                        f"spec.selector: pod {workload.name} is chosen by an older PeerAuthentication, {first.ref.name}, "
                        "which is used: merge the two"
                    )
                    found.setdefault(rule.ref, Problem(rule.ref, "Shadowed", text))
        return tuple(found.values())

    def _of(self, workload: Workload) -> tuple[Rule[PeerAuthenticationSpec], ...]:
        labels = set(workload.labels)
        rules = self.selecting.get(workload.namespace, ())
        return tuple(
            r for r in rules if r.spec and r.spec.selector and labels.issuperset(r.spec.selector.match_labels.items())
        )

    def _wide(self, workload: Workload) -> Rule[PeerAuthenticationSpec] | None:
        return self.namespaces.get(workload.namespace)


def index_peers(rules: Iterable[Rule[PeerAuthenticationSpec]], roots: tuple[str, ...] = ROOT_NAMESPACES) -> PeerModes:
    """Return the rules by what they are about; of two about the same the older is used, and the other is told.

    Args:
        rules: All PeerAuthentications.
        roots: Root namespaces.
    """
    mesh: Rule[PeerAuthenticationSpec] | None = None
    namespaces: dict[str, Rule[PeerAuthenticationSpec]] = {}
    selecting: dict[str, list[Rule[PeerAuthenticationSpec]]] = {}
    problems: list[Problem] = []
    for rule in sorted(rules, key=lambda r: (r.created, r.ref)):
        if rule.spec is None:
            continue
        namespace = rule.ref.namespace
        if rule.spec.selector and rule.spec.selector.match_labels:
            selecting.setdefault(namespace, []).append(rule)
            continue
        if rule.spec.port_level_mtls:
            text = "spec.portLevelMtls has no effect without spec.selector.matchLabels: add the labels of the pods"
            problems.append(Problem(rule.ref, "NoEffect", text))
        if namespace in roots:
            first = mesh = mesh or rule
        else:
            first = namespaces.setdefault(namespace, rule)
        if first is not rule:
            where = "the mesh" if namespace in roots else f"namespace {namespace}"
            text = f"{where} has an older PeerAuthentication, {first.ref.name}, which is used: merge the two"
            problems.append(Problem(rule.ref, "Shadowed", text))
    found = {namespace: tuple(rules) for namespace, rules in selecting.items()}
    return PeerModes(mesh, namespaces, found, tuple(problems))


def _mode(tls: MutualTls | None) -> MtlsMode | None:
    return None if tls is None or tls.mode == "UNSET" else tls.mode
