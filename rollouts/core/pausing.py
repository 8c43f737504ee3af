"""A release that people stop where it is and let go on again, without a change of what git holds. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rollouts.api.names import PAUSE_ANNOTATION, RESUME_ANNOTATION
from rollouts.core.effects import announce
from rollouts.core.machine import RELEASE, State

if TYPE_CHECKING:
    from rollouts.core.context import Context

__all__ = ["PAUSABLE", "follow_pause"]

PAUSABLE: Final = RELEASE - {State.SWITCHING}
"""States in which a release can be stopped where it is: not while the last weight is on its way to the proxies."""


def follow_pause(c: Context) -> Context:
    """Note that somebody stopped the release, or let it go on.

    Where both are asked for at once, which was first cannot be known: it stays where it is. One ``resume`` ends everything that
    is a pause: this one, and the pause step if the release is in one (``rollouts.core.checks.steps.pause_over``).
    """
    if c.problem is not None or c.notes.state not in PAUSABLE:
        return c
    if c.asked(PAUSE_ANNOTATION):
        return _stopped(c)
    if c.asked(RESUME_ANNOTATION) and c.notes.on_hold:
        return _let_go(c)
    return c


def _stopped(c: Context) -> Context:
    for annotation in (PAUSE_ANNOTATION, RESUME_ANNOTATION):
        if c.asked(annotation):
            c = _handled(c, annotation)
    if c.notes.on_hold:
        return c
    c = announce(
        c,
        "Normal",
        "ReleasePaused",
        f"stays at {c.weight_words}: annotation {PAUSE_ANNOTATION} was set; the guards stay on",
    )
    return c.noted(on_hold=True)


def _let_go(c: Context) -> Context:
    if c.notes.state is not State.PAUSED:
        c = _handled(c, RESUME_ANNOTATION)
    c = announce(c, "Normal", "ReleaseResumed", f"goes on: annotation {RESUME_ANNOTATION} was set")
    return c.noted(on_hold=False)


def _handled(c: Context, annotation: str) -> Context:
    return replace(c, handled={**c.handled, annotation: c.o.subject.annotations[annotation]})
