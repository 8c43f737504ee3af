"""When following a Rollout ends, and with which exit code. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from rollouts.views.release import release_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Ending", "Follower", "Goal"]


class Goal(Enum):
    """What whoever follows wants."""

    PROMOTED = "promoted"
    """The new version."""
    TAKEN_BACK = "taken back"
    """The old one, after an abort."""
    AT_REST = "at rest"
    """Whatever the Deployment asks for, stable."""


@dataclass(frozen=True)
class Ending:
    """How it ended: exit code, and in words."""

    code: int
    words: str


class Follower:
    """Looks at one Rollout again and again, until its release has ended."""

    def __init__(self, goal: Goal = Goal.PROMOTED) -> None:
        self._goal = goal
        self._moved = False

    def look(self, rollout: Mapping[str, Any] | None, *, held: bool, asked: str = "") -> Ending | None:
        """Return the end; None while it is under way.

        Args:
            rollout: As it is now; None when it is gone.
            held: Whether its Deployment holds a change (``spec.paused``): then a release comes, though none is seen yet.
            asked: The revision that the Deployment asks for; empty where nobody knows. Another one than the Rollout
                speaks of was pushed a moment ago.
        """
        if rollout is None:
            return Ending(1, "the Rollout was deleted")
        r = release_of(rollout)
        if not r.current or (r.phase not in {"Healthy", "RolledBack"}):
            self._moved = self._moved or r.under_way
            return None
        known = r.canary.revision if r.phase == "RolledBack" else r.stable.revision
        if asked and known and asked != known:
            return None
        if r.phase == "RolledBack":
            return self._taken_back(r.canary.words, r.message)
        if held:
            return None
        return self._healthy(r.stable.words, r.history[-1] if r.history else {})

    def _taken_back(self, version: str, message: str) -> Ending | None:
        if self._goal is Goal.AT_REST:
            return None
        if self._goal is Goal.TAKEN_BACK:
            return Ending(0, f"{version} was taken back")
        return Ending(1, message)

    def _healthy(self, stable: str, last: Mapping[str, Any]) -> Ending:
        if not self._moved:
            return Ending(0, f"{stable} is stable; no release is under way")
        outcome = str(last.get("outcome", ""))
        if outcome in {"Promoted", "Overridden"}:
            code = 0 if self._goal is not Goal.TAKEN_BACK else 1
            return Ending(code, f"{stable} was promoted and is stable: {last.get('reason', '')}")
        code = 1 if self._goal is Goal.PROMOTED else 0
        return Ending(
            code, f"the release ended ({outcome.lower() or 'unknown'}): {last.get('reason', '')}; {stable} is stable"
        )
