"""``spec.watch``: how long it lasts still, and in which words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crds.base import format_duration

if TYPE_CHECKING:
    from rollouts.core.context import Context

__all__ = ["watch_left", "watching_words"]


def watch_left(c: Context) -> float:
    """Return for how many more seconds the new version is watched."""
    return max(0.0, c.spec.watch.duration - c.in_state)


def watching_words(c: Context) -> str:
    """Return what a Rollout says about itself meanwhile."""
    measured = c.o.measured
    if measured.problem:
        found = f"nothing can be measured: {measured.problem}"
    else:
        found = "; ".join(f"{b.objective.name}: {b.evidence.words}" for b in measured.burns) or "the guards stay on"
    left = format_duration(float(round(watch_left(c))))
    return (
        f"revision {c.notes.target} has all requests and is watched for {left} more (spec.watch); the pods of {c.stable} stay"
        f" for a way back in seconds: {found}"
    )
