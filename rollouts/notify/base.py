"""What a transition is to those who tell of it, and what they promise. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DoubtfulError", "LaterError", "RefusedError", "Sink", "Transition", "UnclearError"]


@dataclass(frozen=True)
class Transition:
    """One numbered announcement of a Rollout, with what was known when it was made.

    Attributes:
        namespace: The Rollout's.
        name: The Rollout's.
        uid: The Rollout's: one that is deleted and made anew counts from 1 again.
        number: Of the announcement; each comes once, in order.
        at: Unix seconds.
        type: ``Warning`` where somebody should look.
        reason: As of the Kubernetes Event, e.g. ``RolledBack`` (``rollouts.core.machine.Event``).
        note: In words.
        status: The Rollout's status at that time, as the API server stores it, without ``internal``.
        annotations: The Rollout's and its Deployment's (which win), e.g. ``coalmine.dev/git-commit``.
        labels: The Rollout's.
    """

    namespace: str
    name: str
    uid: str
    number: int
    at: float
    type: Literal["Normal", "Warning"]
    reason: str
    note: str
    status: Mapping[str, Any] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


class LaterError(Exception):
    """It was surely not delivered, and may be tried again.

    Attributes:
        seconds: Not before this many (``Retry-After``); None where the service said nothing.
    """

    def __init__(self, message: str, seconds: float | None = None) -> None:
        super().__init__(message)
        self.seconds = seconds


class RefusedError(Exception):
    """It will never be taken: whoever set this up has to mend it. The message names the setting and the fix."""


class DoubtfulError(RefusedError):
    """An earlier try may have been delivered and the service has no means to find out: it is not told again."""


class UnclearError(Exception):
    """It may have been delivered: the connection broke, or the time was over, between sending and the answer."""


class Sink(Protocol):
    """A place where transitions are told. One transition of a Rollout at a time, in order."""

    @property
    def name(self) -> str:
        """Unique among the sinks, stable across restarts: it is the key of the memory."""

    def wants(self, transition: Transition) -> bool:
        """Return whether this transition is told there."""

    async def send(self, transition: Transition, memory: Mapping[str, str], *, doubtful: bool) -> Mapping[str, str]:
        """Tell it.

        Args:
            transition: What to tell.
            memory: What the last call for this Rollout returned, e.g. the message that is updated; stored in the
                cluster together with the mark that this transition was told.
            doubtful: Whether an earlier try may have been delivered (the controller ended, or the connection broke,
                between sending and the answer): then look first, or use the service's own means against twice.

        Returns:
            The memory from now on.

        Raises:
            LaterError: It was not delivered now.
            RefusedError: It never will be.
            DoubtfulError: ``doubtful``, and nothing tells whether it was delivered.
            UnclearError: It may have been delivered; it is called again, with ``doubtful``. So does any other error,
                a few times.
        """
