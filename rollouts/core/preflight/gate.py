"""Whether pre-flight lets the release start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollouts.api.preflight import PreflightReason, PreflightResult
from rollouts.core.machine import State

if TYPE_CHECKING:
    from rollouts.api.preflight import PreflightStatus
    from rollouts.core.context import Context

__all__ = ["blocking", "may_start", "unhindered_for", "waiting_words"]


def blocking(c: Context) -> tuple[PreflightStatus, ...]:
    """Return the failed checks that keep the release from starting."""
    if c.notes.state is not State.STARTING or c.problem is not None:
        return ()
    return tuple(x for x in c.status.preflight if x.result is PreflightResult.FAIL)


def may_start(c: Context) -> bool:
    """Return whether all checks were answered, and none failed."""
    return bool(c.status.preflight) and not blocking(c) and not _measuring_begins(c) and c.notes.preflight.complete


def _measuring_begins(c: Context) -> bool:
    skipped = PreflightReason.METRICS_UNREACHABLE in c.spec.preflight.skip
    return c.judged and not skipped and not c.o.measured.answered


def unhindered_for(c: Context) -> float:
    """Return for how long nothing but the pods themselves has kept the canary from being ready, seconds.

    The progress deadline counts this: what pre-flight blocks is mended by people, and takes them their time.
    """
    if c.notes.state is not State.STARTING:
        return c.in_state
    return 0.0 if blocking(c) else c.now - max(c.notes.since, c.notes.preflight.cleared_at or 0.0)


def waiting_words(c: Context) -> str:
    """Return why the release does not start, in words; empty when pre-flight is not the reason."""
    failed = blocking(c)
    if failed:
        more = f" ({len(failed) - 1} more in status.preflight)" if len(failed) > 1 else ""
        return f"no traffic moves before this is mended: {failed[0].reason}: {failed[0].message}{more}"
    if c.status.preflight and _measuring_begins(c):
        return "waits for the first answer of the source of metrics"
    return ""
