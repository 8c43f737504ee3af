"""Whom a resource of ``security.istio.io`` is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mesh.resolve.peers import ROOT_NAMESPACES
from mesh.resolve.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.api.security import TargetReference, WorkloadSelector
    from mesh.ir.services import Service, ServiceKey, Workload
    from mesh.resolve.problems import Ref

__all__ = ["Selection", "selection"]

Labels = frozenset[tuple[str, str]]


class _Targeted(Protocol):
    @property
    def selector(self) -> WorkloadSelector | None: ...
    @property
    def targets(self) -> tuple[TargetReference, ...]: ...


@dataclass(frozen=True, slots=True)
class Selection:
    """Pods by namespace and labels.

    Attributes:
        namespace: Their namespace; None means every one.
        alternatives: One of these sets of labels must all be there; nothing matches where there is none.
    """

    namespace: str | None
    alternatives: tuple[Labels, ...] = (frozenset(),)

    def chooses(self, workload: Workload) -> bool:
        """Say whether the resource is for a pod."""
        if self.namespace is not None and self.namespace != workload.namespace:
            return False
        return any(labels.issubset(workload.labels) for labels in self.alternatives)


def selection(
    spec: _Targeted, ref: Ref, services: Mapping[ServiceKey, Service]
) -> tuple[Selection, tuple[Problem, ...]]:
    """Return whom a resource is for, and what of its targets is not implemented.

    Args:
        spec: The resource.
        ref: Where it is.
        services: All Services.
    """
    namespace = None if ref.namespace in ROOT_NAMESPACES else ref.namespace
    if not spec.targets:
        labels = spec.selector.match_labels if spec.selector else {}
        return Selection(namespace, (frozenset(labels.items()),)), ()
    found: list[Labels] = []
    problems: list[Problem] = []
    for target in spec.targets:
        service = services.get((ref.namespace, target.name))
        if not target.is_service:
            text = f"spec.targetRefs: kind {target.kind} is not implemented and chooses no pod: name a Service"
            problems.append(Problem(ref, "NotImplemented", text))
        elif service is None:
            text = f"spec.targetRefs: there is no Service {target.name} in namespace {ref.namespace}: create it"
            problems.append(Problem(ref, "NotApplied", text))
        elif service.selector:
            found.append(frozenset(service.selector))
    return Selection(ref.namespace, tuple(found)), tuple(problems)
