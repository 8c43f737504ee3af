"""Guards: they look at every moment of a release."""

from __future__ import annotations

from analysis.model.verdict import Decision
from rollouts.core.context import Context, Signal
from rollouts.core.experiment import baseline_ready
from rollouts.core.machine import Event
from rollouts.core.outliers import beyond_replacing
from rollouts.core.pods import trouble_words
from rollouts.core.preflight.gate import unhindered_for
from rollouts.core.traffic import pods_of_experiment, pods_to_come

__all__ = ["canary_lost", "judged_worse", "not_acknowledged_in_time", "not_ready_in_time", "one_pod_worse"]


def canary_lost(c: Context) -> Signal | None:
    """Do requests go to a canary without a ready pod?"""
    if not c.canary_lost:
        return None
    return Signal(
        Event.ROLL_BACK,
        f"Deployment {c.names.canary_deployment} has no ready pod left while it gets requests: {c.weight_words}",
    )


def judged_worse(c: Context) -> Signal | None:
    """Does the judge say that the canary is worse?"""
    verdict = c.o.measured.verdict
    if c.notes.forced or verdict is None or c.decision is not Decision.ROLL_BACK:
        return None
    return Signal(Event.ROLL_BACK, verdict.summary)


def one_pod_worse(c: Context) -> Signal | None:
    """Does one canary pod carry the whole difference, and replacing it is not asked for or did not help?"""
    why = beyond_replacing(c)
    return Signal(Event.ROLL_BACK, why) if why else None


def not_ready_in_time(c: Context) -> Signal | None:
    """Did the canary's pods take too long to become ready?"""
    deadline = c.spec.progress_deadline_seconds
    if unhindered_for(c) < deadline or (c.canary_can_take and baseline_ready(c)):
        return None
    which = ("canary", c.o.canary, pods_to_come(c))
    if c.canary_can_take and c.step is not None:
        which = ("fresh stable", c.o.fresh.deployment, pods_of_experiment(c, c.step))
    name, d, wanted = which
    return Signal(
        Event.ROLL_BACK,
        f"only {d.ready if d else 0} of {wanted} {name} pods became ready within spec.progressDeadlineSeconds ({deadline} s){trouble_words(c)}",
    )


def not_acknowledged_in_time(c: Context) -> Signal | None:
    """Did the proxies take too long to acknowledge the weight?"""
    deadline = c.spec.progress_deadline_seconds
    if c.in_state < deadline:
        return None
    words = c.o.traffic.message if c.o.traffic else "the split was not written"
    return Signal(
        Event.ROLL_BACK,
        f"weight {c.weight_words} was not acknowledged by every proxy within spec.progressDeadlineSeconds ({deadline} s): {words}",
    )
