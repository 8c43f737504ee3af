"""Hooks of a release: when their runs begin and end, and what is told of them. Pure.

A run is noted first and done then, by the engine and beside everything else. Its result comes back in the observation
and is noted with the next decision. Whatever is lost in between is done again with the same key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rollouts.api.hooks import Hook, Point
from rollouts.core.checks.hooks import (
    awaited,
    in_judged_step,
    is_present,
    place_of,
    run_of,
    wanted_at,
    weight_told,
)
from rollouts.core.effects import announce
from rollouts.core.hook_runs import CanceledRun, EndHook, HookOrder, HookRun, RunHook, job_name, key_of
from rollouts.core.machine import PHASES, RELEASE, State
from rollouts.core.observed import stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollouts.core.context import Context, Signal

__all__ = ["end_of_release", "hook_actions", "plan_hooks", "take_results"]

MOST_RUNS: Final = 64
"""More than these are not remembered; the oldest go."""
_SETTLING: Final = frozenset({State.RETURNING, State.DRAINING})
_LEAVING: Final = frozenset({State.RESTORING, State.GONE})


def take_results(c: Context) -> Context:
    """Return the context with the results that came in, each failure announced once."""
    for run in c.notes.hooks.runs:
        result = _result(c, run)
        if result is None:
            continue
        passed, words = result
        c = _replaced(c, run, run.closed(c.now, passed=passed, words=words))
        if not passed:
            hook = _hook(c, run)
            then = "the release is taken back" if hook and hook.takes_back and is_present(c, run) else "nothing follows"
            c = announce(c, "Warning", "HookFailed", f"hook {run.name} ({run.at}) failed; {then}: {words}")
    return c


def _result(c: Context, run: HookRun) -> tuple[bool, str] | None:
    known = c.o.hooks.progress.get(run.key)
    if run.ended is not None or known is None:
        return None
    if known.passed is not None:
        return known.passed, known.words
    deadline = c.spec.progress_deadline_seconds
    if known.problem and c.now - known.problem_at >= deadline:
        return False, f"it could not be run within spec.progressDeadlineSeconds ({deadline} s): {known.problem}"
    return None


def _replaced(c: Context, old: HookRun, new: HookRun) -> Context:
    return _with_runs(c, (new if run is old else run for run in c.notes.hooks.runs))


def _with_runs(c: Context, runs: Iterator[HookRun] | tuple[HookRun, ...]) -> Context:
    return c.noted(hooks=c.notes.hooks.model_copy(update={"runs": tuple(runs)[-MOST_RUNS:]}))


def _hook(c: Context, run: HookRun) -> Hook | None:
    return next((h for h in c.spec.hooks if h.name == run.name and h.at is run.at), None)


def end_of_release(c: Context) -> Context:
    """Note the runs that follow the transition that was just made: the release was promoted, or is taken back."""
    if c.notes.state is State.RETURNING:
        return _begun(c, wanted_at(c, Point.AFTER_PROMOTION), "end")
    if c.notes.state is State.ROLLING_BACK and c.notes.open:
        return _begun(c, wanted_at(c, Point.ON_ROLLBACK), "end")
    return c


def plan_hooks(c: Context, held: Signal | None) -> Context:
    """Return the context with the runs that are due, and without those that nobody waits for any more.

    Args:
        c: The decision, after its last transition.
        held: What hooks keep the release from.
    """
    if c.o.subject.spec is None:  # whoever corrects the spec finds the runs as they were
        return c
    c = _tidied(c)
    if c.problem is not None or c.notes.forced:
        return c
    if in_judged_step(c) and not c.held:
        c = _begun(c, wanted_at(c, Point.DURING_STEP), place_of(c))
    return _begun(c, awaited(c, held), place_of(c)) if held else c


def _begun(c: Context, hooks: tuple[Hook, ...], place: str) -> Context:
    known = {run.key for run in c.notes.hooks.runs}
    fresh = [_new_run(c, hook, place) for hook in hooks if run_of(c, hook) is None]
    return _with_runs(c, (*c.notes.hooks.runs, *(run for run in fresh if run.key not in known)))


def _new_run(c: Context, hook: Hook, place: str) -> HookRun:
    subject, notes = c.o.subject, c.notes
    key = key_of(subject.uid, notes.target, notes.began, place, hook.name)
    return HookRun(
        key=key,
        name=hook.name,
        at=hook.at,
        place=place,
        began=notes.began,
        since=c.now,
        job=job_name(subject.name, hook.name, key) if hook.job else "",
        revision=notes.target,
        images=notes.target_images,
        stable=c.status.stable,
        step=c.index + 1,
        weight=weight_told(c, hook.at),
        phase=PHASES[notes.state].value,
        why=notes.reason,
    )


def _tidied(c: Context) -> Context:
    """Keep what somebody waits for, and what follows a release until it has ended; cancel the rest."""
    runs, stopped = c.notes.hooks.runs, c.o.hooks.stopped
    kept = tuple(run for run in runs if _has_reason(c, run))
    gone = (run for run in runs if run not in kept and run.ended is None and run.job)
    canceled = (
        *(one for one in c.notes.hooks.canceled if one.key not in stopped),
        *(CanceledRun(key=run.key, job=run.job) for run in gone),
    )
    if kept == runs and canceled == c.notes.hooks.canceled:
        return c
    return _with_runs(c.noted(hooks=c.notes.hooks.model_copy(update={"canceled": canceled})), kept)


def _has_reason(c: Context, run: HookRun) -> bool:
    if _hook(c, run) is None or c.notes.state in _LEAVING:
        return False
    if not run.gates:
        return run.ended is None
    return c.notes.state in RELEASE and not c.notes.forced and is_present(c, run)


def hook_actions(c: Context) -> Iterator[RunHook | EndHook]:
    """Return what is missing: runs that this process does not do yet, and what it does for nobody."""
    memory, facts = c.notes.hooks, c.o.hooks
    wanted = {run.key: run for run in memory.runs if run.ended is None}
    for key, run in wanted.items():
        hook, known = _hook(c, run), facts.progress.get(key)
        early = run.at is Point.AFTER_PROMOTION and c.notes.state in _SETTLING
        if hook is not None and not early and (known is None or known.hook != hook):
            yield RunHook(HookOrder(run, hook, _event(c, run, hook)))
    jobs = {one.key: one.job for one in memory.canceled}
    for key, job in jobs.items():
        if key not in facts.stopped:
            yield EndHook(key, job)
    for key in facts.progress:
        if key not in wanted and key not in jobs:
            yield EndHook(key)


def _event(c: Context, run: HookRun, hook: Hook) -> dict[str, Any]:
    """Return what a hook is told. Nothing in it changes between two tries."""
    stable = run.stable
    return {
        "type": run.at.value,
        "timestamp": stamp(run.since),
        "hook": run.name,
        "name": c.o.subject.name,
        "namespace": c.o.subject.namespace,
        "uid": c.o.subject.uid,
        "phase": run.phase,
        "checksum": run.revision,
        "revision": run.revision,
        "images": list(run.images),
        "stable": {"revision": stable.revision, "images": list(stable.images)} if stable else None,
        "step": run.step,
        "weight": run.weight,
        "canaryWeight": run.weight,
        "service": c.names.host,
        "canaryService": c.names.canary_service,
        "reason": run.why,
        "metadata": dict(hook.metadata),
    }
