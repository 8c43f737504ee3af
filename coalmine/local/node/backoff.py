"""How long a container that ended waits until it is started again. Pure; the time is handed in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

__all__ = ["CrashBackoff", "should_restart"]

_INITIAL_SECONDS: Final = 10.0
_MAX_SECONDS: Final = 300.0
_RESET_SECONDS: Final = 600.0


@dataclass(frozen=True)
class CrashBackoff:
    """A kubelet's crash-loop back-off: at once, then 10 s, doubled to at most 5 min; forgotten after 10 min of running.

    Attributes:
        seconds: The wait that was last handed out.
    """

    seconds: float = 0.0

    def after_exit(self, *, ran_seconds: float, first: bool) -> CrashBackoff:
        """Return the back-off after a container ended.

        Args:
            ran_seconds: How long it had been running.
            first: Whether it was never restarted before; that restart does not wait.
        """
        if first or ran_seconds >= _RESET_SECONDS:
            return replace(self, seconds=0.0)
        return replace(self, seconds=min(_MAX_SECONDS, max(_INITIAL_SECONDS, self.seconds * 2)))

    @staticmethod
    def after_restarts(count: int) -> CrashBackoff:
        """Return the back-off of a container that was restarted that many times, for an agent that was not there."""
        if count <= 1:
            return CrashBackoff(0.0)
        return CrashBackoff(min(_MAX_SECONDS, _INITIAL_SECONDS * 2.0 ** min(count - 2, 10)))


def should_restart(policy: str, exit_code: int) -> bool:
    """Say whether a container that ended is started again.

    Args:
        policy: restartPolicy: Always, OnFailure or Never.
        exit_code: How it ended.

    Raises:
        ValueError: The policy is unknown.
    """
    if policy == "Always":
        return True
    if policy == "OnFailure":
        return exit_code != 0
    if policy == "Never":
        return False
    raise ValueError(f"restartPolicy: {policy!r} is not Always, OnFailure or Never")
