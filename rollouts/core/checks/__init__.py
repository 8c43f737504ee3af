"""When which event happens: for each state an ordered list of one-question checks. The first that answers wins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from rollouts.core.checks.approvals import approved, out_of_time, rejected
from rollouts.core.checks.endings import (
    canary_drained,
    old_canary_gone,
    quietly_ended,
    refused_again,
    replaced_while_rolling,
    restored,
    rolled_out,
    stable_is_back,
    traffic_is_back,
)
from rollouts.core.checks.guards import (
    canary_lost,
    judged_worse,
    not_acknowledged_in_time,
    not_ready_in_time,
    one_pod_worse,
)
from rollouts.core.checks.hooks import awaited, hook_failed
from rollouts.core.checks.people import aborted, deleted, forced, overridden, retried, reverted, superseded
from rollouts.core.checks.rest import changed, changed_unheld, refused, runs_one_revision, scaled_to_zero
from rollouts.core.checks.shortcuts import recently_good, skipped
from rollouts.core.checks.slos import objective_missed, switched, watched
from rollouts.core.checks.steps import acknowledged, canary_started, passed, pause_over, scaled, undecided
from rollouts.core.context import Context, Signal
from rollouts.core.machine import RELEASE, State

__all__ = ["CHECKS", "GUARDS", "Check", "first_signal", "held_signal"]

Check = Callable[[Context], Signal | None]

PEOPLE: Final[tuple[Check, ...]] = (deleted, reverted, overridden, superseded, aborted)
GUARDS: Final[tuple[Check, ...]] = (canary_lost, judged_worse, one_pod_worse, objective_missed, hook_failed)
_RELEASE: Final[tuple[Check, ...]] = (*PEOPLE, *GUARDS, forced)

CHECKS: Final[Mapping[State, tuple[Check, ...]]] = MappingProxyType(
    {
        State.INITIALIZING: (deleted, runs_one_revision),
        State.HEALTHY: (deleted, changed_unheld, refused, scaled_to_zero, changed),
        State.STARTING: (*_RELEASE, recently_good, canary_started, not_ready_in_time),
        State.SCALING: (*_RELEASE, scaled, not_ready_in_time),
        State.WEIGHTING: (*_RELEASE, acknowledged, not_acknowledged_in_time),
        State.JUDGING: (*_RELEASE, skipped, passed, undecided),
        State.PAUSED: (*_RELEASE, skipped, pause_over),
        State.AWAITING_APPROVAL: (*_RELEASE, rejected, skipped, approved, out_of_time),
        State.AWAITING_PROMOTION: (*_RELEASE, rejected, skipped, approved, out_of_time),
        State.INCONCLUSIVE: (*_RELEASE, skipped, passed),
        State.FILLING: (*_RELEASE, scaled, not_ready_in_time),
        State.SWITCHING: (*_RELEASE, switched, not_acknowledged_in_time),
        State.WATCHING: (*PEOPLE, *GUARDS, watched),
        State.ROLLING: (deleted, replaced_while_rolling, rolled_out),
        State.RETURNING: (deleted, stable_is_back),
        State.DRAINING: (deleted, canary_drained),
        State.ROLLING_BACK: (deleted, reverted, overridden, superseded, traffic_is_back),
        State.ROLLED_BACK: (deleted, reverted, overridden, superseded, retried),
        State.SUPERSEDING: (deleted, reverted, overridden, refused_again, old_canary_gone),
        State.REVERTING: (deleted, quietly_ended),
        State.RESTORING: (restored,),
        State.GONE: (),
    }
)
"""What is asked in each state, in this order."""


def first_signal(c: Context) -> Signal | None:
    """Return the first check's signal in the present state; None while hooks have to end before it."""
    signal = _signal(c)
    return None if signal is None or awaited(c, signal) else signal


def held_signal(c: Context) -> Signal | None:
    """Return the signal that only waits for hooks; None when there is none."""
    signal = _signal(c)
    return signal if signal is not None and awaited(c, signal) else None


def _signal(c: Context) -> Signal | None:
    """Return the first check's signal, whatever hooks say.

    While there is a problem with the input nothing goes on; deletion and, in a release, the guards stay on.
    """
    checks = CHECKS[c.notes.state]
    if c.problem is not None and c.notes.state not in {State.RESTORING, State.GONE}:
        checks = (deleted, *GUARDS) if c.notes.state in RELEASE and c.o.deployment is not None else (deleted,)
    return next((signal for check in checks if (signal := check(c))), None)
