"""What a decision asks to be done. Every action is idempotent; doing it twice, or after a crash, changes nothing more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rollouts.core.configuration import AnnotateConfig
from rollouts.core.fresh import StartBaseline
from rollouts.core.hook_runs import EndHook, RunHook
from rollouts.core.reverts import WriteBack
from rollouts.core.scaling import SetBudget
from rollouts.core.shape import PLAIN, Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.api.trafficsplit import OutlierDetection
    from rollouts.api.rollout import RolloutStatus
    from rollouts.core.notes import Announcement

__all__ = [
    "Action", "AddFinalizer", "Adopt", "AnnotateConfig", "Apply", "ClearFailed", "Delete", "EndHook", "Evict", "MarkFailed", "Plan", "Release", "RemoveFinalizer", "RunHook", "SetBudget", "SetTraffic", "StartBaseline",
    "StopTraffic", "Unpause", "WriteBack",
]  # fmt: skip


@dataclass(frozen=True)
class AddFinalizer:
    """Make sure that deletion waits for us."""


@dataclass(frozen=True)
class RemoveFinalizer:
    """Everything is restored: let the Rollout go."""


@dataclass(frozen=True)
class Adopt:
    """Label the Deployment, so that admission holds its changes."""

    deployment: str
    uid: str


@dataclass(frozen=True)
class Release:
    """Take the label off a Deployment."""

    deployment: str
    uid: str


@dataclass(frozen=True)
class Apply:
    """Server-side apply one of our own objects."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class Delete:
    """Delete one of our own objects. With a ``uid`` only that very one."""

    api_version: str
    kind: str
    name: str
    uid: str = ""


@dataclass(frozen=True)
class Evict:
    """Evict one pod of the canary, so that another takes its place."""

    pod: str
    uid: str


@dataclass(frozen=True)
class SetTraffic:
    """Split the host's requests.

    Attributes:
        host: The Service whose requests are split.
        weights: Percent by backend.
        outlier_detection: When a pod is taken out of load balancing.
        shape: Header routes, the mirror, session affinity.
    """

    host: str
    weights: Mapping[str, int]
    outlier_detection: OutlierDetection
    shape: Shape = PLAIN


@dataclass(frozen=True)
class StopTraffic:
    """Remove the split."""


@dataclass(frozen=True)
class Unpause:
    """Let the Deployment roll out what it asks for. Refused by the API server if it changed since it was seen."""

    deployment: str
    resource_version: str


@dataclass(frozen=True)
class MarkFailed:
    """Make ``kubectl rollout status`` of the Deployment fail."""

    deployment: str
    resource_version: str
    message: str


@dataclass(frozen=True)
class ClearFailed:
    """Take that mark off again, for a new release.

    Meant for the object rather than the version that was seen: the deployment controller writes the status at the same
    moment, and whoever asks `kubectl rollout status` now does not wait for a second try.
    """

    deployment: str
    uid: str
    message: str


Action = (
    AddFinalizer
    | RemoveFinalizer
    | Adopt
    | Release
    | Apply
    | Delete
    | Evict
    | SetTraffic
    | StartBaseline
    | StopTraffic
    | Unpause
    | MarkFailed
    | ClearFailed
    | RunHook
    | EndHook
    | SetBudget
    | AnnotateConfig
    | WriteBack
)


@dataclass(frozen=True)
class Plan:
    """A decision.

    Attributes:
        status: The Rollout's status to be written, before anything else is done.
        actions: In this order.
        wake_at: Unix seconds at which to decide again though nothing changed; None to wait for a change.
        events: Kubernetes Events to be posted; their names make posting them again harmless.
    """

    status: RolloutStatus
    actions: tuple[Action, ...]
    wake_at: float | None
    events: tuple[Announcement, ...]
