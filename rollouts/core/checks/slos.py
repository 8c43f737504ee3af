"""Objectives: the guard that looks at the new version alone, and the time in which it is watched with all requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollouts.api.names import PROMOTE_ANNOTATION, SKIP_ANNOTATION
from rollouts.core.checks.steps import acknowledged
from rollouts.core.context import Context, Signal
from rollouts.core.machine import Event, State
from rollouts.core.slos import watch_left

if TYPE_CHECKING:
    from analysis.model.objective import Burn

__all__ = ["objective_missed", "switched", "watched"]


def objective_missed(c: Context) -> Signal | None:
    """Is one of ``spec.slos`` shown to be missed?"""
    burn = _missed(c)
    if burn is None:
        return None
    shared = ". Stable burns as well, so the cause may be one that both share" if burn.stable_too else ""
    return Signal(Event.ROLL_BACK, f"spec.slos: {burn.objective.name} is missed: {burn.evidence.words}{shared}")


def switched(c: Context) -> Signal | None:
    """Has the canary all requests at every proxy?"""
    signal = acknowledged(c)
    if signal is None or not c.spec.watch.duration:
        return signal
    return Signal(Event.WATCH, f"{signal.why}; spec.watch begins")


def watched(c: Context) -> Signal | None:
    """Was the new version watched for long enough?"""
    for annotation in (SKIP_ANNOTATION, PROMOTE_ANNOTATION):
        if c.asked(annotation):
            return Signal(Event.WATCHED, f"the watch is ended: annotation {annotation} was set")
    if c.held or watch_left(c) > 0:
        return None
    blind = f", but {c.o.measured.problem}" if c.o.measured.problem else ""
    return Signal(Event.WATCHED, f"nothing was found while spec.watch lasted{blind}")


def _missed(c: Context) -> Burn | None:
    """Return the first objective that is shown to be missed, where that takes the release back.

    Whoever forces a promotion wants it now: until all requests are on the new version nothing is judged, and from then on
    only ``spec.slos`` are, while ``spec.watch`` lasts. A pod that is being replaced because it alone is worse, as the judge
    or the objective found, is no fault of the release: its requests are forgotten at the next look.
    """
    if c.notes.forced and c.notes.state is not State.WATCHING:
        return None
    replaced = c.notes.replaced
    going = replaced.name if replaced is not None and c.now < replaced.until else ""
    return next((burn for burn in c.o.measured.burns if burn.missed and going not in burn.pods), None)
