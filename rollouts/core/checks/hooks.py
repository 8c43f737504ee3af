"""Hooks: which of them something waits for, and what their failure does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollouts.api.hooks import Hook, Point
from rollouts.api.names import RESUME_ANNOTATION, SKIP_ANNOTATION
from rollouts.core.context import FULL, Context, Signal
from rollouts.core.machine import SKIPPABLE, STEP_ENDS, Event, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollouts.core.hook_runs import HookRun

__all__ = [
    "awaited",
    "hook_failed",
    "in_judged_step",
    "is_present",
    "kept_command",
    "place_of",
    "run_of",
    "wanted_at",
    "weight_told",
]

_COMMANDS = {
    State.PAUSED: {RESUME_ANNOTATION, SKIP_ANNOTATION},
    State.AWAITING_APPROVAL: {SKIP_ANNOTATION},
    State.AWAITING_PROMOTION: {SKIP_ANNOTATION},
    State.JUDGING: {SKIP_ANNOTATION},
    State.INCONCLUSIVE: {SKIP_ANNOTATION},
}


def hook_failed(c: Context) -> Signal | None:
    """Did a hook fail that the release depends on?"""
    if c.notes.forced:
        return None
    takes_back = {hook.name for hook in c.spec.hooks if hook.takes_back}
    for run in c.notes.hooks.runs:
        if run.gates and run.ended is not None and not run.passed and run.name in takes_back and is_present(c, run):
            return Signal(Event.ROLL_BACK, f"hook {run.name} ({run.at}) failed: {run.words}")
    return None


def awaited(c: Context, signal: Signal) -> tuple[Hook, ...]:
    """Return the hooks that must end before a signal is followed: those of the first point that is not done."""
    if c.notes.forced:
        return ()
    for point in _points(c, signal):
        missing = tuple(hook for hook in wanted_at(c, point) if not _has_ended(run_of(c, hook)))
        if missing:
            return missing
    return ()


def kept_command(c: Context, annotation: str) -> bool:
    """Return whether a command waits for hooks together with what it asked for."""
    return annotation in _COMMANDS.get(c.notes.state, ())


def _points(c: Context, signal: Signal) -> Iterator[Point]:
    """Return the points that lie before a signal, in order."""
    state, event = c.notes.state, signal.event
    if state is State.STARTING and event in STEP_ENDS:
        yield Point.BEFORE_ROLLOUT
    if event is Event.SCALED and _goes_up(c):
        yield Point.BEFORE_TRAFFIC_INCREASE
    skipped = state in SKIPPABLE and c.asked(SKIP_ANNOTATION)
    if in_judged_step(c) and event in STEP_ENDS and not skipped:
        yield Point.DURING_STEP
    if event is Event.FINISHED:
        yield Point.BEFORE_PROMOTION


def in_judged_step(c: Context) -> bool:
    """Return whether a judged step is in force and not passed yet."""
    judging = c.notes.state in {State.JUDGING, State.INCONCLUSIVE}
    return (judging and (c.step is None or c.step.judged)) or c.undecided


def wanted_at(c: Context, point: Point) -> tuple[Hook, ...]:
    """Return the hooks of a point at the present weight."""
    asked = FULL if c.notes.state is State.FILLING else c.step_weight
    return tuple(h for h in c.spec.hooks if h.at is point and (not h.weights or asked in h.weights))


def weight_told(c: Context, point: Point) -> int:
    """Return the weight that a hook is told: the one to come where it is asked about that."""
    if point is not Point.BEFORE_TRAFFIC_INCREASE:
        return c.notes.weight
    return FULL if c.notes.state is State.FILLING else c.share_to_come


def _goes_up(c: Context) -> bool:
    return weight_told(c, Point.BEFORE_TRAFFIC_INCREASE) > c.notes.weight


def place_of(c: Context) -> str:
    """Return where in the release it is: one hook runs once at each place."""
    if c.notes.state is State.STARTING:
        return "start"
    if c.notes.state in {State.FILLING, State.SWITCHING}:
        return "promotion"
    return str(c.index + 1)


def is_present(c: Context, run: HookRun) -> bool:
    """Return whether a run is about the place where the release is."""
    return (run.revision, run.began, run.place) == (c.notes.target, c.notes.began, place_of(c))


def run_of(c: Context, hook: Hook) -> HookRun | None:
    """Return a hook's run at the present place."""
    return next((r for r in c.notes.hooks.runs if r.name == hook.name and is_present(c, r)), None)


def _has_ended(run: HookRun | None) -> bool:
    return run is not None and run.ended is not None
