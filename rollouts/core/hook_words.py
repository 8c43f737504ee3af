"""What a Rollout says about the hooks that are under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crds.base import format_duration

if TYPE_CHECKING:
    from rollouts.core.context import Context
    from rollouts.core.hook_runs import HookRun, Progress

__all__ = ["with_hooks"]

_TEENS = range(11, 14)


def with_hooks(c: Context, text: str) -> str:
    """Return what a Rollout says with what it waits for before it, and with what nobody waits for after it."""
    under_way = [run for run in c.notes.hooks.runs if run.ended is None]
    waits = ", ".join(_words(c, run) for run in under_way if run.gates)
    beside = ", ".join(_words(c, run) for run in under_way if not run.gates)
    before = f"waits for {waits}; the guards stay on. " if waits else ""
    after = f". Under way: {beside}" if beside else ""
    return f"{before}{text.rstrip('.') if after else text}{after}"


def _words(c: Context, run: HookRun) -> str:
    known = c.o.hooks.progress.get(run.key)
    name = f"hook {run.name}"
    if known is None:
        return name
    if known.problem:
        return f"{name} (it cannot be run: {known.problem})"
    if run.job:
        return f"{name} (Job {run.job})"
    said = f": {known.words}" if known.words else ""
    return f"{name} ({_tries(known)}{said})"


def _tries(known: Progress) -> str:
    tries = max(1, known.tries)
    http = known.hook.http
    if http and http.poll_interval is not None:
        return f"asked {tries} times, again every {format_duration(http.poll_interval)}"
    return f"{_ordinal(tries)} try of {http.retries + 1 if http else 1}"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in _TEENS else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
