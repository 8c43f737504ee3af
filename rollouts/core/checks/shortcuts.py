"""Ways around the steps: somebody skips one, or the revision is known to be good."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from rollouts.api.names import SKIP_ANNOTATION
from rollouts.core.checks.steps import next_step
from rollouts.core.context import Signal
from rollouts.core.gates import asked_of
from rollouts.core.machine import Event
from rollouts.core.preflight.gate import may_start

if TYPE_CHECKING:
    from rollouts.api.rollout import HistoryEntry
    from rollouts.core.context import Context

__all__ = ["must_wait", "recently_good", "skipped"]


def skipped(c: Context) -> Signal | None:
    """Did somebody ask to go on to the next step whatever this one says?"""
    asked = asked_of(c)
    if not c.asked(SKIP_ANNOTATION) or (asked is not None and asked.restricted):
        return None
    return next_step(c, f"skipped: annotation {SKIP_ANNOTATION} was set")


def recently_good(c: Context) -> Signal | None:
    """Was the revision stable a short while ago, and nothing said against it since?"""
    if c.spec.rollback_window is None or c.held or not may_start(c):
        return None
    entry = _replacement_of(c, c.notes.target)
    if entry is None:
        return None
    words = f"revision {entry.stable} was stable until {entry.ended_at}: no steps (spec.rollbackWindow)"
    return Signal(Event.PROMOTE, words)


def must_wait(c: Context) -> bool:
    """Return whether a release of what the Deployment asks for may not start now; going back to what was good may always."""
    return c.closed is not None and _replacement_of(c, c.revision) is None


def _replacement_of(c: Context, revision: str) -> HistoryEntry | None:
    """Return the release that replaced a revision, where that was stable lately."""
    window = c.spec.rollback_window
    if window is None:
        return None
    replaced: dict[str, HistoryEntry] = {}
    for entry in c.status.history:
        if entry.outcome in {"RolledBack", "Aborted"}:
            replaced.pop(entry.revision, None)
        elif entry.outcome in {"Promoted", "Overridden"}:
            replaced.pop(entry.stable, None)
            replaced[entry.stable] = entry
    good = [e for stable, e in replaced.items() if stable not in {"", c.stable}]
    found = next((e for e in good[-window.revisions :] if e.stable == revision), None)
    if found is None or window.duration is None:
        return found
    age = c.now - dt.datetime.fromisoformat(found.ended_at).timestamp()
    return found if age <= window.duration else None
