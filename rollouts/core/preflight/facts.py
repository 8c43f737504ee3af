"""What the checks look at beside what every decision sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rollouts.api.preflight import PreflightResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Facts", "Finding", "Kind", "PodFact", "fails", "listed", "warns"]

_NAMED = 3


class Kind(StrEnum):
    """What is read for them, in the Rollout's namespace where nothing else is said."""

    QUOTAS = "resourcequotas"
    BUDGETS = "poddisruptionbudgets"
    AUTOSCALERS = "horizontalpodautoscalers"
    FLAGGER = "canaries.flagger.app"
    ARGO = "rollouts.argoproj.io"
    HTTP_ROUTES = "httproutes"
    VIRTUAL_SERVICES = "virtualservices"
    DESTINATION_RULES = "destinationrules"
    PEERS = "peerauthentications"
    MESH_PEERS = "peerauthentications of the mesh's root namespace"


@dataclass(frozen=True)
class PodFact:
    """A pod that is not being deleted.

    Attributes:
        name: Its name.
        sidecar: Whether it has the mesh's proxy.
        unscheduled: The scheduler's words about why it has no node; empty where it has one or was not looked at yet.
        unscheduled_at: When the scheduler said so first, Unix seconds.
    """

    name: str
    sidecar: bool = True
    unscheduled: str = ""
    unscheduled_at: float = 0.0


@dataclass(frozen=True)
class Facts:
    """What was found.

    Attributes:
        stable_pods: The Deployment's pods.
        canary_pods: The canary's.
        other_pods: The namespace's other pods: callers may be among them.
        splits: Other TrafficSplits of the namespace, as they are stored.
        namespace_labels: The namespace's labels; None where nobody may read them.
        objects: What was read of each kind, as it is stored.
        unread: Why a kind could not be read, in words.
        counted: How many canary pods there were when the quotas were read.
    """

    stable_pods: tuple[PodFact, ...] = ()
    canary_pods: tuple[PodFact, ...] = ()
    other_pods: tuple[PodFact, ...] = ()
    splits: tuple[Mapping[str, Any], ...] = ()
    namespace_labels: Mapping[str, str] | None = None
    objects: Mapping[Kind, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    unread: Mapping[Kind, str] = field(default_factory=dict)
    counted: int = 0

    def of(self, *kinds: Kind) -> Iterator[Mapping[str, Any]]:
        """Return the objects of some kinds."""
        for kind in kinds:
            yield from self.objects.get(kind, ())


@dataclass(frozen=True)
class Finding:
    """What a check found, where it did not pass.

    Attributes:
        result: Fail keeps the release from starting.
        message: What is wrong, and what to do.
        passing: Whether it is only not known yet, which is waited for and not announced.
    """

    result: PreflightResult
    message: str
    passing: bool = False


def fails(message: str) -> Finding:
    """Return what blocks."""
    return Finding(PreflightResult.FAIL, message)


def warns(message: str) -> Finding:
    """Return what is told and does not block."""
    return Finding(PreflightResult.WARN, message)


def listed(names: Iterable[str]) -> str:
    """Return some names as people read them: the first few of many."""
    found = sorted(names)
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more
