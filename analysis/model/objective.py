"""Service level objectives: what share of the requests has to be good, and how fast the rest may be spent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.model.verdict import Evidence

__all__ = ["Burn", "Objective"]


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective.

    Attributes:
        name: Unique in a release.
        share: Share of the requests that has to be good, below 1.
        burn_rate: How many times as fast as allowed the error budget may be spent.
        threshold_ms: A request is bad when it takes longer than this; None where failed requests are the bad ones.
        warm_up: Seconds of a pod's life that do not count.
    """

    name: str
    share: float
    burn_rate: float
    threshold_ms: float | None = None
    warm_up: float = 0.0

    @property
    def budget(self) -> float:
        """Share of the requests that may be bad."""
        return 1.0 - self.share

    @property
    def limit(self) -> float:
        """Share of bad requests beyond which the objective is missed."""
        return self.burn_rate * self.budget


@dataclass(frozen=True, slots=True)
class Burn:
    """How an objective fares at one look.

    Attributes:
        objective: Which.
        missed: Whether the new version is shown to burn faster than it may.
        rate: How many times as fast as allowed the new version spends the budget; None without requests.
        stable_too: Whether the old version is shown to do the same.
        evidence: The same in numbers and words; its ``rollback_e`` is against "burns no faster than it may".
        problem: Why it cannot be judged at all, and the fix; empty when it can.
        pods: The canary pods, fewer than half of them, that alone make it missed, the worst first; none where all do.
    """

    objective: Objective
    missed: bool
    rate: float | None
    stable_too: bool
    evidence: Evidence
    problem: str = ""
    pods: tuple[str, ...] = ()
