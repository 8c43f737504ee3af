"""What a Rollout says about the release that is recorded. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rollouts.core.machine import RELEASE, Event
from rollouts.core.naming import names_of
from rollouts.core.notes import Notes
from rollouts.core.observed import stamp

if TYPE_CHECKING:
    from rollouts.api.analysis import Analysis
    from rollouts.api.status import HistoryEntry
    from rollouts.core.naming import Names
    from rollouts.core.observed import Subject

__all__ = ["Release", "release_of"]

_LEAVING: Final = frozenset(
    str(event.value)
    for event in (
        Event.ROLL_BACK,
        Event.ABORT,
        Event.SUPERSEDE,
        Event.REVERT,
        Event.OVERRIDE,
        Event.REFUSED,
        Event.DELETE,
        Event.ROLLED,
    )
)
"""After one of these the stable Service's pods are no baseline any more, or nothing is judged."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release as a Rollout's status tells of it. Times are Unix seconds.

    Attributes:
        names: The Rollout's objects.
        title: What is released, for people.
        began: When it began.
        step_starts: When the canary's share changed: every proxy had acknowledged it.
        weight: The canary's weight that is asked for now, percent.
        ended: When its judging ended; None while it goes on.
        outcome: How it ended, in words; empty while it goes on.
        analysis: How it is judged; None where that cannot be read, or nothing is judged.
        replaced: The canary's pod that was replaced because it alone was worse; empty for none.
    """

    names: Names
    title: str
    began: float
    step_starts: tuple[float, ...]
    weight: int
    ended: float | None
    outcome: str
    analysis: Analysis | None = None
    replaced: str = ""


def release_of(subject: Subject) -> Release | None:
    """Return the release that goes on, or the one that ended last; None where there was none yet.

    Raises:
        ValidationError: The controller's notes are of another version.
    """
    notes = Notes.read(subject.status.internal)
    names = names_of(subject.spec, notes)
    if names is None or not notes.began:
        return None
    ended = None if notes.state in RELEASE else _ended(subject, notes)
    return Release(
        names=names,
        title=f"{subject.namespace}/{subject.name}: {', '.join(notes.target_images) or notes.target}",
        began=notes.began,
        step_starts=notes.step_starts,
        weight=notes.weight,
        ended=ended,
        outcome="" if ended is None else _outcome(subject, notes),
        analysis=subject.spec.analysis if subject.spec and subject.spec.analysis.counts else None,
        replaced=notes.replaced.name if notes.replaced else "",
    )


def _ended(subject: Subject, notes: Notes) -> float:
    """Return when the release left the states in which it is judged: the notes have the time of a later state only."""
    last = max((notes.began, *notes.step_starts))
    for entry in notes.announcements:
        # The last acknowledgement, all requests to the canary before stable rolls, begins no step.
        switched = entry.reason == Event.ACKNOWLEDGED and entry.at > last
        if entry.at >= last and (entry.reason in _LEAVING or switched):
            return entry.at
    written = _history(subject, notes)
    return notes.since if written is None else min(notes.since, dt.datetime.fromisoformat(written.ended_at).timestamp())


def _outcome(subject: Subject, notes: Notes) -> str:
    entry = _history(subject, notes)
    if entry is not None:
        return f"{entry.outcome}: {entry.reason}"
    return f"{notes.outcome}: {notes.reason}" if notes.outcome else "it is judged no more"


def _history(subject: Subject, notes: Notes) -> HistoryEntry | None:
    began = stamp(notes.began)
    return next((entry for entry in reversed(subject.status.history) if entry.started_at == began), None)
