"""What people do to a release: checks that ask for it at every moment."""

from __future__ import annotations

from rollouts.api.names import (
    ABORT_ANNOTATION,
    PROMOTE_ANNOTATION,
    RETRY_ANNOTATION,
    ROLLOUT_LABEL,
)
from rollouts.core.context import Context, Signal
from rollouts.core.gates import gates_ahead
from rollouts.core.machine import Event, State

__all__ = ["aborted", "deleted", "forced", "overridden", "retried", "reverted", "superseded"]


def deleted(c: Context) -> Signal | None:
    """Is the Rollout being deleted?"""
    return (
        Signal(Event.DELETE, "the Rollout is being deleted: all requests go back to the Deployment")
        if c.o.subject.deleting
        else None
    )


def overridden(c: Context) -> Signal | None:
    """Did somebody resume the Deployment?"""
    if c.paused or c.reverted:
        return None
    known = ROLLOUT_LABEL in c.deployment.labels
    how = "was resumed" if known else "was deleted and made anew, which nothing can hold"
    return Signal(
        Event.OVERRIDE,
        f"Deployment {c.names.workload} {how}: revision {c.revision} is shipped without waiting for the judge",
    )


def reverted(c: Context) -> Signal | None:
    """Does the Deployment ask for the stable template again?"""
    return (
        Signal(Event.REVERT, f"Deployment {c.names.workload} asks for the stable revision {c.stable} again")
        if c.reverted
        else None
    )


def superseded(c: Context) -> Signal | None:
    """Did the template change again?"""
    if c.revision == c.notes.target:
        return None
    return Signal(Event.SUPERSEDE, f"revision {c.revision} replaces {c.notes.target}")


def aborted(c: Context) -> Signal | None:
    """Did somebody ask to take the release back?"""
    return Signal(Event.ABORT, f"aborted: annotation {ABORT_ANNOTATION} was set") if c.asked(ABORT_ANNOTATION) else None


def forced(c: Context) -> Signal | None:
    """Did somebody ask to promote without evidence?"""
    if c.notes.state in {State.FILLING, State.SWITCHING} or not c.asked(PROMOTE_ANNOTATION) or gates_ahead(c):
        return None
    return Signal(Event.PROMOTE, f"promoted without waiting for evidence: annotation {PROMOTE_ANNOTATION} was set")


def retried(c: Context) -> Signal | None:
    """Did somebody ask to run the release again?"""
    return (
        Signal(Event.RETRY, f"revision {c.revision} is tried again: annotation {RETRY_ANNOTATION} was set")
        if c.asked(RETRY_ANNOTATION)
        else None
    )
