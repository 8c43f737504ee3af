"""Endings: promotion, rollback, supersession, deletion."""

from __future__ import annotations

from rollouts.api.names import (
    ROLLOUT_LABEL,
)
from rollouts.core.checks.people import superseded
from rollouts.core.checks.rest import refused
from rollouts.core.checks.shortcuts import must_wait
from rollouts.core.context import ACK_PATIENCE, Context, Signal
from rollouts.core.machine import Event
from rollouts.core.scaling import returned_for

__all__ = [
    "canary_drained",
    "old_canary_gone",
    "quietly_ended",
    "refused_again",
    "replaced_while_rolling",
    "restored",
    "rolled_out",
    "stable_is_back",
    "traffic_is_back",
]


def replaced_while_rolling(c: Context) -> Signal | None:
    """Was the template changed, and held, while stable rolls?"""
    return superseded(c) if c.paused and c.stable_can_take else None


def rolled_out(c: Context) -> Signal | None:
    """Does the Deployment run the new revision completely?"""
    d = c.deployment
    if d.paused or not d.complete:
        return None
    return Signal(Event.ROLLED, f"Deployment {d.name} runs revision {d.revision} completely")


def stable_is_back(c: Context) -> Signal | None:
    """Has stable all requests?"""
    return Signal(Event.RETURNED, f"Service {c.names.host} has all requests again") if c.in_force else None


def canary_drained(c: Context) -> Signal | None:
    """Are the canary's last answers given?"""
    return Signal(Event.DRAINED, "the canary's last answers are given; it is removed") if c.drained else None


def quietly_ended(c: Context) -> Signal | None:
    """Is the canary drained and the Deployment no longer held?"""
    return canary_drained(c) if not (c.paused and c.reverted) else None


def traffic_is_back(c: Context) -> Signal | None:
    """Does the canary get nothing any more?"""
    if not c.written or c.notes.weight:
        return None
    if c.in_force:
        return Signal(Event.MARKED, c.notes.reason)
    if returned_for(c) < ACK_PATIENCE:
        return None
    missing = c.o.traffic.message if c.o.traffic else ""
    return Signal(Event.MARKED, f"{c.notes.reason} (not every proxy has confirmed weight 0: {missing})")


def refused_again(c: Context) -> Signal | None:
    """Is what comes next the revision that was taken back last?"""
    return refused(c) if c.drained else None


def old_canary_gone(c: Context) -> Signal | None:
    """Is the old canary gone, and may a release start?"""
    if not (c.drained and c.canary_gone) or c.spec.paused or must_wait(c):
        return None
    return Signal(Event.CLEARED, f"revision {c.revision} starts from the first step")


def restored(c: Context) -> Signal | None:
    """Is a plain Deployment all that is left?"""
    labelled = c.o.deployment is not None and c.o.deployment.labels.get(ROLLOUT_LABEL) == c.o.subject.name
    if not c.canary_gone or c.o.traffic is not None or labelled or c.o.strays or c.must_unpause:
        return None
    return Signal(Event.RESTORED, f"Deployment {c.names.workload} is a plain Deployment again")
