"""What each event changes in the controller's memory. Pure."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from analysis.model.verdict import Decision
from rollouts.api.names import (
    ABORT_ANNOTATION,
    PROMOTE_ANNOTATION,
    RESUME_ANNOTATION,
    RETRY_ANNOTATION,
    SKIP_ANNOTATION,
)
from rollouts.api.rollout import HistoryEntry, Version, WeightStatus
from rollouts.core.context import ACK_PATIENCE, FULL, Context, Signal
from rollouts.core.experiment import baseline_settled
from rollouts.core.gates import fresh_release, turned
from rollouts.core.machine import RELEASE, SKIPPABLE, Event, State, advance
from rollouts.core.notes import Announcement
from rollouts.core.observed import stamp
from rollouts.core.preflight.notes import PreflightNotes
from rollouts.core.scaling import at_first_share, returned_for, weight_on_return
from rollouts.core.traffic import exposed
from rollouts.core.words import evidence_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["announce", "settle", "transition"]

_HISTORY: Final = 10
_ANNOUNCEMENTS: Final = 16
"""More than one decision makes, so that what was not told of the one before is still there."""
_NOTE_LENGTH: Final = 1000
"""events.k8s.io takes at most 1,024 bytes."""

_WARNINGS: Final = frozenset(
    {
        Event.ROLL_BACK,
        Event.ABORT,
        Event.REJECT,
        Event.MARKED,
        Event.REFUSED,
        Event.UNHELD,
        Event.UNDECIDED,
        Event.ASK,
        Event.OVERRIDE,
        Event.PROMOTE,
    }
)

_COMMANDS: Final[Mapping[Event, str]] = MappingProxyType(
    {Event.ABORT: ABORT_ANNOTATION, Event.PROMOTE: PROMOTE_ANNOTATION, Event.RETRY: RETRY_ANNOTATION}
)


def announce(c: Context, kind: Literal["Normal", "Warning"], reason: str, note: str) -> Context:
    """Return the context with one more Kubernetes Event to be posted."""
    number = c.notes.number + 1
    entry = Announcement(number=number, at=c.now, type=kind, reason=reason, note=note[:_NOTE_LENGTH])
    return c.noted(number=number, announcements=(*c.notes.announcements, entry)[-_ANNOUNCEMENTS:])


def transition(c: Context, signal: Signal) -> Context:
    """Return the context after a signal: the machine's next state, the memory changed, the event announced.

    Raises:
        IllegalEventError: The state machine's table does not know the event in the present state.
    """
    before = c.notes.state
    after = advance(before, signal.event)
    c = _handle(c, before, signal.event)
    c = announce(c, "Warning" if signal.event in _WARNINGS else "Normal", signal.event.value, signal.why)
    effect = _EFFECTS.get(signal.event)
    if effect is not None:
        c = effect(c, signal)
    return turned(c.noted(state=after, since=c.now), before)


def settle(c: Context) -> Context:
    """Return the context with what time and the proxies have changed, apart from any event."""
    state = c.notes.state
    if (weight := weight_on_return(c)) != c.notes.weight:
        scaling = c.notes.scaling.model_copy(update={"returned_at": c.now})
        c = c.noted(weight=weight, scaling=scaling)
    c = baseline_settled(c)
    if exposed(c):
        return c.noted(quiet_since=None)
    waited = state is State.RESTORING and returned_for(c) >= ACK_PATIENCE
    if c.notes.quiet_since is None and (c.o.traffic is None or c.in_force or waited):
        c = c.noted(quiet_since=c.now)
    return c


def _handle(c: Context, before: State, event: Event) -> Context:
    """Remember that a command annotation was acted on."""
    annotation = _COMMANDS.get(event)
    if annotation is None and before in SKIPPABLE and c.asked(SKIP_ANNOTATION):
        annotation = SKIP_ANNOTATION
    elif event is Event.WATCHED:
        annotation = PROMOTE_ANNOTATION
    elif before is State.PAUSED and annotation is None:
        annotation = RESUME_ANNOTATION
    value = c.o.subject.annotations.get(annotation) if annotation else None
    if (
        annotation is None
        or value is None
        or event in {Event.DELETE, Event.ROLL_BACK, Event.REJECT, Event.SUPERSEDE, Event.REVERT, Event.OVERRIDE}
    ):
        return c
    return replace(c, handled={**c.handled, annotation: value})


def _close(c: Context, fallback: str, why: str) -> Context:
    """Write the release's end into the history, once."""
    if not c.notes.open:
        return c
    if c.notes.state in RELEASE:
        c = c.noted(outcome="", reason="")  # all its steps may have passed: it ends otherwise now
    entry = HistoryEntry(
        revision=c.notes.target,
        images=c.notes.target_images,
        stable=c.stable,
        outcome=c.notes.outcome or fallback,
        reason=c.notes.reason or why,
        started_at=stamp(c.notes.began),
        ended_at=stamp(c.now),
        approvals=c.notes.approval.record,
    )
    return c.stated(history=(*c.status.history, entry)[-_HISTORY:]).noted(open=False)


def _adopted(c: Context, _signal: Signal) -> Context:
    revision = c.most_run if c.deployment.replicas else c.revision
    images = c.deployment.images if revision == c.revision else c.o.images.get(revision, ())
    c = c.stated(stable=Version(revision=revision, images=images), canary=None)
    return c.noted(workload=c.names.workload, host=c.names.host)


def _begun(c: Context, _signal: Signal) -> Context:
    c = c.stated(
        canary=Version(revision=c.revision, images=c.deployment.images),
        started_at=stamp(c.now),
        step_index=None,
        step="",
        step_started_at=None,
        weight=WeightStatus(),
        verdict="",
        summary="",
        evidence=(),
        need="",
        preflight=(),
    )
    return c.noted(
        workload=c.names.workload,
        host=c.names.host,
        open=True,
        target=c.revision,
        target_images=c.deployment.images,
        began=c.now,
        weight=0,
        step_starts=(),
        on_hold=False,
        forced=False,
        proven="",
        replaced=None,
        preflight=PreflightNotes(),
        approval=fresh_release(c.notes.approval),
        outcome="",
        reason="",
    )


def _refused(c: Context, signal: Signal) -> Context:
    return _begun(c, signal).noted(open=False, outcome="RolledBack", reason=signal.why)


def _nothing_to_judge(c: Context, signal: Signal) -> Context:
    return _begun(c, signal).noted(outcome="Promoted", reason=signal.why)


def _next_step(c: Context, signal: Signal) -> Context:
    index = c.index + 1
    started = None if signal.event is Event.NEXT_WEIGHT else stamp(c.now)
    c = _proven(c, signal)
    return c.stated(step_index=index, step=f"{index + 1}/{len(c.steps)}", step_started_at=started)


def _proven(c: Context, _signal: Signal) -> Context:
    judged = c.notes.state in {State.JUDGING, State.INCONCLUSIVE} and c.decision is Decision.PROMOTE
    return c.noted(proven=evidence_words(c)) if judged else c


def _finished(c: Context, signal: Signal) -> Context:
    return c.noted(outcome="Promoted", reason=signal.why)


def _forced(c: Context, signal: Signal) -> Context:
    return c.noted(outcome="Promoted", reason=signal.why, forced=True, on_hold=False)


def _scaled(c: Context, _signal: Signal) -> Context:
    weight = FULL if c.notes.state is State.FILLING else c.share_to_come
    return c.noted(weight=weight, scaling=at_first_share(c), quiet_since=None)


def _acknowledged(c: Context, _signal: Signal) -> Context:
    if c.notes.state is State.SWITCHING:
        return c
    return c.stated(step_started_at=stamp(c.now)).noted(step_starts=(*c.notes.step_starts, c.now))


def _watched_from_now(c: Context, _signal: Signal) -> Context:
    return c.stated(step_started_at=stamp(c.now)).noted(step_starts=(*c.notes.step_starts, c.now))


def _rolling_back(c: Context, signal: Signal) -> Context:
    outcome = "RolledBack" if signal.event is Event.ROLL_BACK else "Aborted"
    c = c.stated(failed_revision=c.notes.target)
    return c.noted(outcome=outcome, reason=signal.why)


def _superseded(c: Context, signal: Signal) -> Context:
    rolls = c.notes.state is State.ROLLING and c.o.running.get(c.notes.target)
    c = _close(c, "Superseded", signal.why)
    if rolls:
        c = c.stated(stable=Version(revision=c.notes.target, images=c.notes.target_images), failed_revision=None)
    return c.noted(target=c.revision, target_images=c.deployment.images)


def _reverted(c: Context, signal: Signal) -> Context:
    return _close(c, "Reverted", signal.why)


def _overridden(c: Context, signal: Signal) -> Context:
    if not c.notes.open:
        c = c.noted(open=True, began=c.now)
    return c.noted(outcome="Overridden", reason=signal.why, target=c.revision, target_images=c.deployment.images)


def _rolled(c: Context, signal: Signal) -> Context:
    c = _close(c, "Promoted", signal.why)
    c = c.stated(stable=Version(revision=c.revision, images=c.deployment.images), failed_revision=None)
    return c.noted(weight=0)


def _marked(c: Context, signal: Signal) -> Context:
    return _close(c.noted(reason=signal.why), "RolledBack", signal.why)


def _drained(c: Context, _signal: Signal) -> Context:
    return c.stated(canary=None, step_index=None, step="", step_started_at=None)


def _retried(c: Context, _signal: Signal) -> Context:
    return c.stated(failed_revision=None).noted(weight=0)


_EFFECTS: Final[Mapping[Event, Callable[[Context, Signal], Context]]] = MappingProxyType(
    {
        Event.ADOPTED: _adopted,
        Event.CHANGED: _begun,
        Event.CLEARED: _begun,
        Event.REFUSED: _refused,
        Event.EMPTY: _nothing_to_judge,
        Event.NEXT_WEIGHT: _next_step,
        Event.NEXT_PAUSE: _next_step,
        Event.NEXT_APPROVAL: _next_step,
        Event.ASK_PROMOTION: _proven,
        Event.FINISHED: _finished,
        Event.PROMOTE: _forced,
        Event.SCALED: _scaled,
        Event.ACKNOWLEDGED: _acknowledged,
        Event.WATCH: _watched_from_now,
        Event.ROLL_BACK: _rolling_back,
        Event.ABORT: _rolling_back,
        Event.REJECT: _rolling_back,
        Event.SUPERSEDE: _superseded,
        Event.REVERT: _reverted,
        Event.OVERRIDE: _overridden,
        Event.ROLLED: _rolled,
        Event.MARKED: _marked,
        Event.DRAINED: _drained,
        Event.RETRY: _retried,
    }
)
