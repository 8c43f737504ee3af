"""Asking all checks once in a decision: what is written into the status, remembered and announced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rollouts.api.preflight import PreflightResult
from rollouts.core.effects import announce
from rollouts.core.machine import State
from rollouts.core.preflight.checks import examine
from rollouts.core.preflight.notes import PreflightNotes

if TYPE_CHECKING:
    from rollouts.api.preflight import PreflightStatus
    from rollouts.core.context import Context

__all__ = ["PREFLIGHT_PASSED", "review"]

PREFLIGHT_PASSED: Final = "PreflightPassed"
_AT_ONCE: Final = 3
"""So many announcements are made in one decision: of more, the notes would drop the first before they are posted."""


def review(c: Context) -> Context:
    """Return the context with the answers of all checks, where the release waits for them."""
    if c.notes.state is not State.STARTING or c.problem is not None:
        return _at_rest(c)
    if c.o.preflight is None:
        return c.stated(preflight=())
    answers = examine(c, c.o.preflight)
    c = c.stated(preflight=tuple(a.status for a in answers))
    issues = [a.status for a in answers if a.status.result is not PreflightResult.PASS and not a.passing]
    return _tell(c, issues)


def _at_rest(c: Context) -> Context:
    """Forget what blocked a release that has ended."""
    ended = c.notes.state in {State.HEALTHY, State.INITIALIZING}
    failed = any(x.result is PreflightResult.FAIL for x in c.status.preflight)
    return c.stated(preflight=()) if ended and failed else c


def _tell(c: Context, issues: list[PreflightStatus]) -> Context:
    """Announce each issue once for as long as something blocks and it gets no worse; and the end of those that blocked.

    What was read may be some seconds old, so that an issue can be gone for a moment and come back: that is no news.
    """
    before = c.notes.preflight
    standing = {f"{x.reason}/{x.result}": x for x in issues}
    known = {key for key, x in standing.items() if f"{x.reason}/{PreflightResult.FAIL}" in before.told}
    fresh = [key for key in standing if key not in known and key not in before.told]
    for key in fresh[:_AT_ONCE]:
        c = announce(c, "Warning", str(standing[key].reason), standing[key].message)
    blocked = any(x.result is PreflightResult.FAIL for x in issues)
    cleared_at = before.cleared_at
    if before.blocked and not blocked:
        c = announce(c, "Normal", PREFLIGHT_PASSED, "what kept the release from starting is mended: it goes on")
        cleared_at = c.now
    kept = before.told if blocked else (key for key in standing if key in known or key in before.told)
    told = (*kept, *fresh[:_AT_ONCE])
    complete = len(fresh) <= _AT_ONCE
    return c.noted(preflight=PreflightNotes(told=told, blocked=blocked, cleared_at=cleared_at, complete=complete))
