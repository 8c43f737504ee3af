"""Adoption, and what ends the rest between two releases."""

from __future__ import annotations

from rollouts.api.names import (
    RETRY_ANNOTATION,
)
from rollouts.core.checks.shortcuts import must_wait
from rollouts.core.context import Context, Signal
from rollouts.core.machine import Event

__all__ = ["changed", "changed_unheld", "refused", "runs_one_revision", "scaled_to_zero"]


def runs_one_revision(c: Context) -> Signal | None:
    """Does the Deployment run one revision completely? What is held does not count: it runs nowhere yet."""
    d = c.deployment
    if not (d.observed and d.running == d.replicas and d.ready >= d.replicas):
        return None
    running = set(c.o.running) if d.replicas else {d.revision}
    held = d.paused and d.revision not in running
    if not held and running != {d.revision}:
        return None
    stable = c.most_run if d.replicas else d.revision
    return Signal(Event.ADOPTED, f"Deployment {d.name} runs revision {stable}; it is the stable one")


def changed_unheld(c: Context) -> Signal | None:
    """Did the template change without being held?"""
    if c.reverted or c.paused:
        return None
    return Signal(
        Event.UNHELD,
        f"Deployment {c.names.workload} rolls out revision {c.revision} by itself: nothing held the change",
    )


def refused(c: Context) -> Signal | None:
    """Is the held template the one that was taken back last?"""
    if c.reverted or c.spec.paused or c.revision != c.status.failed_revision:
        return None
    return Signal(
        Event.REFUSED,
        f"revision {c.revision} was taken back before; set annotation {RETRY_ANNOTATION} on the Rollout to try it again",
    )


def scaled_to_zero(c: Context) -> Signal | None:
    """Is there a held template, and nothing to compare it with?"""
    if c.reverted or c.spec.paused or must_wait(c) or c.deployment.replicas > 0:
        return None
    return Signal(Event.EMPTY, f"Deployment {c.names.workload} is scaled to 0: revision {c.revision} is taken as it is")


def changed(c: Context) -> Signal | None:
    """Is there a held template, and may a release start?"""
    if c.reverted or c.spec.paused or must_wait(c):
        return None
    return Signal(
        Event.CHANGED,
        f"revision {c.revision} ({', '.join(c.deployment.images)}) is released step by step; stable is {c.stable}",
    )
