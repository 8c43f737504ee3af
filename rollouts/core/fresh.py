"""An experiment's fresh baseline as it is seen, and the action that starts it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.core.observed import Service, Workload

__all__ = ["Fresh", "StartBaseline"]


@dataclass(frozen=True)
class Fresh:
    """What there is of an experiment's fresh baseline.

    Attributes:
        deployment: The fresh pods' Deployment, if it is this Rollout's.
        service: Their Service, likewise.
        replica_set: The stable ReplicaSet, whose template they get; empty where it is not known.
    """

    deployment: Workload | None = None
    service: Service | None = None
    replica_set: str = ""

    @property
    def ready(self) -> int:
        """Ready pods that requests can be sent to."""
        return self.deployment.ready if self.deployment is not None and self.service is not None else 0

    @property
    def gone(self) -> bool:
        """Whether nothing of it is left."""
        return self.deployment is None and self.service is None


@dataclass(frozen=True)
class StartBaseline:
    """Apply the fresh baseline's Deployment, with the template of the stable ReplicaSet.

    Attributes:
        replica_set: Its name.
        manifest: The Deployment without a template.
        selector: The stable Deployment's ``spec.selector``.
        service_selector: The Service's.
    """

    replica_set: str
    manifest: Mapping[str, Any]
    selector: Mapping[str, Any] = field(default_factory=dict)
    service_selector: Mapping[str, str] = field(default_factory=dict)
