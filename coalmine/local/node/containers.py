"""What is known of a container: its states, as the Pod's status shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

__all__ = [
    "LOST",
    "ContainerRole",
    "ContainerState",
    "ContainerView",
    "Running",
    "Terminated",
    "Waiting",
    "parse_time",
    "timestamp",
]

ContainerRole = Literal["init", "sidecar", "main"]

LOST: Final = 137
"""Exit code of a container whose end nobody saw, as a kubelet reports it."""


def timestamp(moment: datetime) -> str:
    """Format a time as the Kubernetes API does: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """Read a time of the Kubernetes API."""
    return datetime.fromisoformat(text)


@dataclass(frozen=True)
class Waiting:
    """Not running, and not ended for good."""

    reason: str
    message: str = ""

    def to_status(self) -> dict[str, Any]:
        """Return the API's form."""
        return {"waiting": {"reason": self.reason} | ({"message": self.message} if self.message else {})}


@dataclass(frozen=True)
class Running:
    """A process runs."""

    started_at: datetime

    def to_status(self) -> dict[str, Any]:
        """Return the API's form."""
        return {"running": {"startedAt": timestamp(self.started_at)}}


@dataclass(frozen=True)
class Terminated:
    """The process ended."""

    exit_code: int
    reason: str
    started_at: datetime
    finished_at: datetime
    container_id: str
    message: str = ""

    def to_status(self) -> dict[str, Any]:
        """Return the API's form."""
        known: dict[str, Any] = {
            "exitCode": self.exit_code,
            "reason": self.reason,
            "startedAt": timestamp(self.started_at),
            "finishedAt": timestamp(self.finished_at),
            "containerID": self.container_id,
        }
        return {"terminated": known | ({"message": self.message} if self.message else {})}

    @classmethod
    def lost(cls, started_at: datetime, finished_at: datetime, container_id: str) -> Terminated:
        """Return the state of a container that ended while no agent was there to see how."""
        return cls(
            exit_code=LOST,
            reason="ContainerStatusUnknown",
            started_at=started_at,
            finished_at=finished_at,
            container_id=container_id,
            message="the container ended while the node agent was not running: how is not known",
        )


ContainerState = Waiting | Running | Terminated


@dataclass(frozen=True, kw_only=True)
class ContainerView:
    """One container of a pod at a moment.

    Attributes:
        name: Its name.
        role: Init container, native sidecar or ordinary container.
        image: As the pod writes it.
        state: Its state now.
        last: How it ended before.
        restart_count: Times it was started again.
        ready: Whether it takes part in the pod's readiness as ready.
        started: Whether its startup probe (or its mere start, without one) has succeeded.
        container_id: ``local://<id>``, empty before the first start.
    """

    name: str
    role: ContainerRole
    image: str
    state: ContainerState
    last: Terminated | None = None
    restart_count: int = 0
    ready: bool = False
    started: bool = False
    container_id: str = ""
