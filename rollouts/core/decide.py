"""The decision: what was observed in, what to do out. Pure, and the same after a restart: all memory is in the status."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mesh.api.trafficsplit import Condition, OutlierDetection
from rollouts.api.names import (
    ABORT_ANNOTATION,
    APPROVE_ANNOTATION,
    FINALIZER,
    PAUSE_ANNOTATION,
    PROMOTE_ANNOTATION,
    REJECT_ANNOTATION,
    RESUME_ANNOTATION,
    RETRY_ANNOTATION,
    SKIP_ANNOTATION,
)
from rollouts.api.rollout import Phase, RolloutSpec, WorkloadRef
from rollouts.core.actions import Plan, RemoveFinalizer
from rollouts.core.checks import first_signal, held_signal
from rollouts.core.checks.hooks import kept_command
from rollouts.core.configuration import config_looked_at, with_config
from rollouts.core.context import Context, Signal
from rollouts.core.decisions import take_decisions
from rollouts.core.desired import missing_actions, wants_canary
from rollouts.core.effects import announce, settle, transition
from rollouts.core.gates import why_ignored
from rollouts.core.hooks import end_of_release, hook_actions, plan_hooks, take_results
from rollouts.core.machine import State
from rollouts.core.naming import Names, names_of
from rollouts.core.observed import Observed, stamp
from rollouts.core.outliers import replace_once
from rollouts.core.pausing import follow_pause
from rollouts.core.preflight.review import review
from rollouts.core.problems import first_problem
from rollouts.core.report import report
from rollouts.core.scaling import floor_ends, with_floor
from rollouts.core.writeback import note_of, write_back_actions

if TYPE_CHECKING:
    from rollouts.core.notes import Notes

__all__ = ["COMMANDS", "decide"]

COMMANDS: Final = (
    ABORT_ANNOTATION,
    APPROVE_ANNOTATION,
    PAUSE_ANNOTATION,
    PROMOTE_ANNOTATION,
    REJECT_ANNOTATION,
    RESUME_ANNOTATION,
    RETRY_ANNOTATION,
    SKIP_ANNOTATION,
)
LOOK_SECONDS: Final = 1.0
STALLED_SECONDS: Final = 5.0
_MOST_TRANSITIONS: Final = 8


def decide(observed: Observed, now: float) -> Plan:
    """Return what the Rollout's status becomes and what is to be done.

    Args:
        observed: The cluster as it was seen.
        now: Unix seconds.

    Raises:
        IllegalEventError: A check sent an event that the state machine's table does not know: a defect.
    """
    subject = observed.subject
    notes = subject.notes
    names = names_of(subject.spec, notes)
    if names is None:
        return _unreadable(observed, now)
    c = Context(
        o=observed,
        now=now,
        names=names,
        spec=subject.spec or _fallback(observed, names),
        status=subject.status,
        notes=notes,
        problem=first_problem(observed, names),
        handled=_handled_before(observed, notes),
    )
    c = with_config(with_floor(_run(take_decisions(note_of(take_results(c))))))
    judged = c.notes.step_starts == notes.step_starts  # the judge has not looked at a step that began just now
    held = held_signal(c) if judged else None
    c = plan_hooks(_ignore_the_rest(c, held), held)
    actions = (*missing_actions(c), *hook_actions(c), *write_back_actions(c))
    return Plan(status=report(c), actions=actions, wake_at=_wake_at(c), events=c.notes.announcements)


def _run(c: Context) -> Context:
    """Follow the machine as far as the observation carries."""
    c = follow_pause(review(replace_once(settle(c))))
    for _ in range(_MOST_TRANSITIONS):
        signal = first_signal(c)
        if signal is None:
            break
        c = end_of_release(settle(transition(c, signal)))
        if c.notes.state is State.JUDGING and (c.step is None or c.step.judged):
            break  # the judge has not looked at this step yet
    return c


def _handled_before(o: Observed, notes: Notes) -> dict[str, str]:
    """Return the commands that were acted on. Those that came with a new Rollout are old: they are nobody's wish now."""
    if notes.state is State.INITIALIZING and not notes.workload:
        return {a: o.subject.annotations[a] for a in COMMANDS if a in o.subject.annotations}
    return dict(o.subject.status.handled)


def _ignore_the_rest(c: Context, held: Signal | None) -> Context:
    """Say of each command that nothing waited for, once, that it does nothing."""
    if c.problem is not None:
        return c
    for annotation in COMMANDS:
        if c.asked(annotation) and not (held and kept_command(c, annotation)):
            value = c.o.subject.annotations[annotation]
            c = replace(c, handled={**c.handled, annotation: value})
            c = announce(
                c,
                "Warning",
                "CommandIgnored",
                f"annotation {annotation} does nothing in phase {c.notes.state}: {why_ignored(c, annotation)}",
            )
    return c


def _wake_at(c: Context) -> float | None:
    state = c.notes.state
    if c.problem is not None:
        return c.now + STALLED_SECONDS if state in {State.INITIALIZING, State.HEALTHY} else c.now + LOOK_SECONDS
    if state in {State.HEALTHY, State.GONE}:
        return c.now + LOOK_SECONDS if not c.canary_gone else _first(_opening(c), floor_ends(c), config_looked_at(c))
    if state is State.ROLLED_BACK:
        return (
            c.now + LOOK_SECONDS if wants_canary(c) or not c.canary_gone else _first(floor_ends(c), config_looked_at(c))
        )
    return c.now + LOOK_SECONDS


def _first(*times: float | None) -> float | None:
    return min((t for t in times if t is not None), default=None)


def _opening(c: Context) -> float | None:
    """Return when to look whether a change that waits may start."""
    waits = c.notes.state is State.HEALTHY and c.paused and not c.reverted
    if not waits or c.closed is None:
        return None
    return c.now + STALLED_SECONDS if c.closed.opens is None else c.closed.opens


def _fallback(o: Observed, names: Names) -> RolloutSpec:
    """Stand in for a spec that cannot be read: what was adopted, with nothing to be judged and nothing to go on to."""
    outlier_detection = o.traffic.outlier_detection if o.traffic else OutlierDetection()
    return RolloutSpec(
        workload_ref=WorkloadRef(name=names.workload),
        service=names.host,
        outlier_detection=outlier_detection,
        paused=True,
    )


def _unreadable(o: Observed, now: float) -> Plan:
    """Answer a Rollout whose spec cannot be read and that adopted nothing."""
    time = stamp(now)
    generation = o.subject.generation
    before = {x.type: x for x in o.subject.status.conditions}

    def say(kind: str, *, holds: bool) -> Condition:
        status = "True" if holds else "False"
        old = before.get(kind)
        since = old.last_transition_time if old and old.status == status else time
        return Condition(
            type=kind, status=status, reason="InvalidSpec", message=o.subject.spec_error, observed_generation=generation, last_transition_time=since
        )  # fmt: skip

    status = o.subject.status.model_copy(
        update={
            "observed_generation": generation,
            "phase": Phase.STALLED,
            "message": o.subject.spec_error,
            "conditions": (say("Ready", holds=False), say("Reconciling", holds=False), say("Stalled", holds=True)),
        }
    )
    actions = (RemoveFinalizer(),) if o.subject.deleting and FINALIZER in o.subject.finalizers else ()
    return Plan(status=status, actions=actions, wake_at=None, events=())
