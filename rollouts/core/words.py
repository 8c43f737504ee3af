"""What a Rollout says about itself: one sentence for each state, with what it waits for and about how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crds.base import format_duration
from rollouts.core.context import DRAIN_SECONDS, Context
from rollouts.core.experiment import baseline_ready
from rollouts.core.gates import asking_words
from rollouts.core.hook_words import with_hooks
from rollouts.core.machine import RELEASE, State
from rollouts.core.observed import stamp
from rollouts.core.pods import trouble_words
from rollouts.core.preflight.gate import waiting_words
from rollouts.core.scaling import return_words
from rollouts.core.slos import watching_words
from rollouts.core.strategies import step_words
from rollouts.core.traffic import pods_of_experiment, pods_to_come

if TYPE_CHECKING:
    from rollouts.core.schedule import Closed

__all__ = ["estimate", "evidence_words", "message", "need"]


def _about(seconds: float) -> str:
    return format_duration(max(0.0, float(round(seconds))))


def need(c: Context) -> str:
    """Return what promotion still needs, in words; empty when nothing is missing or nobody can tell."""
    verdict = c.o.measured.verdict
    if verdict is None or verdict.need is None:
        return ""
    parts = []
    if verdict.need.attempts is not None:
        parts.append(f"about {verdict.need.attempts:,} more canary requests")
    if verdict.need.seconds is not None:
        parts.append(f"about {_about(verdict.need.seconds)} at the present rate")
    return ", ".join(parts)


def evidence_words(c: Context) -> str:
    """Return the judge's answer with the evidence of each metric; the gross guards only ever speak against."""
    verdict = c.o.measured.verdict
    if verdict is None:
        return ""
    shown = [f"{e.metric}: {e.words}" for e in verdict.evidence if not e.metric.startswith("gross-")]
    summary = f"{verdict.summary.rstrip('.')} at {c.notes.weight} %"
    return f"{summary} ({'; '.join(shown)})" if shown else summary


def estimate(c: Context) -> str:
    """Return the countdown of a judged step."""
    minimum = c.spec.analysis.min_step_duration - c.in_step
    if c.step is not None and c.step.duration is not None:
        return f"at most {_about(c.step.duration - c.in_step)} more"
    verdict = c.o.measured.verdict
    wanted = verdict.need.seconds if verdict and verdict.need and verdict.need.seconds is not None else 0.0
    limit = c.spec.analysis.max_step_duration - c.in_step
    rest = max(minimum, wanted)
    if rest > limit > 0:
        return f"no decision is expected before spec.analysis.maxStepDuration, in {_about(limit)}"
    return f"about {_about(rest)} more" if rest > 0 else "any moment now"


def message(c: Context) -> str:
    """Return ``status.message``."""
    if c.problem is not None and c.notes.state not in {State.RESTORING, State.GONE}:
        return c.problem.message
    text = with_hooks(c, _MESSAGES[c.notes.state](c))
    if c.held and c.notes.state in RELEASE:
        by = "spec.paused" if c.spec.paused else "annotation coalmine.dev/pause until coalmine.dev/resume is set"
        text = f"paused by {by}; the guards stay on. {text}"
    return text


def _initializing(c: Context) -> str:
    d = c.deployment
    if d.paused and len(c.o.running) > 1:
        return f"Deployment {d.name} is paused half-way between two revisions; resume it: kubectl rollout resume deployment/{d.name}"
    return f"waits for Deployment {d.name} to be complete: {d.ready} of {d.replicas} pods are ready"


def _healthy(c: Context) -> str:
    if not c.reverted and c.paused and c.spec.paused:
        return f"revision {c.revision} waits: spec.paused is true"
    if not c.reverted and c.paused and c.closed is not None:
        return _closed(c, c.closed)
    return f"revision {c.stable} is stable and has all requests"


def _closed(c: Context, closed: Closed) -> str:
    when = f"; it starts at {stamp(closed.opens)}" if closed.opens is not None else ""
    ship = f"kubectl rollout resume deployment/{c.names.workload} ships it now"
    return f"revision {c.revision} waits: {closed.why}{when}. {ship}"


def _starting(c: Context) -> str:
    return waiting_words(c) or f"starts the canary: {_pods(c)}"


def _pods(c: Context) -> str:
    have = c.o.canary.ready if c.o.canary and c.canary_is_target else 0
    words = f"{have} of {pods_to_come(c)} canary pods are ready{trouble_words(c)}"
    if c.step is None or c.step.experiment is None or baseline_ready(c):
        return words
    fresh = c.o.fresh.deployment.ready if c.o.fresh.deployment else 0
    return f"{words}, {fresh} of {pods_of_experiment(c, c.step)} fresh stable pods"


def _scaling(c: Context) -> str:
    what = step_words(c.step) if c.step else f"{c.step_weight} %"
    return f"scales the canary for {what}: {_pods(c)}"


def _weighting(c: Context) -> str:
    t = c.o.traffic
    if t is None or not c.written:
        return f"sends {c.weight_words} of the requests to the canary"
    words = f": {t.message}" if t.message else ""
    return f"waits until every proxy holds {c.weight_words} ({t.proxies or '0/0'}){words}"


def _judging(c: Context) -> str:
    if not c.judged:
        timed = c.step.duration if c.step else None
        least = c.spec.analysis.min_step_duration if timed is None else timed
        return f"at {c.weight_words} for {format_duration(least)}; spec.analysis judges nothing"
    measured = c.o.measured
    why = measured.problem or (measured.verdict.summary if measured.verdict else "nothing was measured yet")
    if not c.has_baseline:
        carried = "the evidence of the earlier steps carries" if c.notes.proven else "no earlier step was judged"
        why = f"no concurrent baseline at 100 %: {carried}, only the absolute guards (SLO, gross) judge. {why}"
    return f"judges {c.weight_words}; {estimate(c)}: {why}{_wrong(c)}{_replaced(c)}"


def _wrong(c: Context) -> str:
    problems = c.o.measured.problems
    more = f" (and {len(problems) - 1} more in status.problems)" if len(problems) > 1 else ""
    return f" Not measured: {problems[0]}{more}." if problems else ""


def _replaced(c: Context) -> str:
    pod = c.notes.replaced
    return f" Canary pod {c.pod_words(pod.name)} was replaced; its requests are left out." if pod else ""


def _paused(c: Context) -> str:
    pause = c.step.pause if c.step else None
    if pause is None or pause.duration is None:
        return f"pauses at {c.weight_words} until annotation coalmine.dev/resume is set; the guards stay on"
    return f"pauses at {c.weight_words}, {_about(pause.duration - c.in_state)} more; the guards stay on"


def _awaiting(c: Context) -> str:
    if c.undecided:
        verdict = c.o.measured.verdict
        why = c.o.measured.problem or (verdict.summary if verdict else "nothing was measured")
        return (
            f"no decision at {c.weight_words}: {why} Waits for a person: annotation coalmine.dev/approve passes the step, "
            "coalmine.dev/promote promotes, coalmine.dev/abort takes it back; the guards stay on"
        )
    return asking_words(c)


def _inconclusive(c: Context) -> str:
    verdict = c.o.measured.verdict
    missing = need(c)
    why = c.o.measured.problem or (verdict.summary if verdict else "nothing was measured")
    return f"no decision at {c.weight_words}: {why}{'; needs ' + missing if missing else ''}. Waits for evidence, or for annotation coalmine.dev/promote or coalmine.dev/abort"


def _filling(c: Context) -> str:
    return f"promotes: the canary grows to full capacity, {_pods(c)}"


def _rolling(c: Context) -> str:
    d = c.deployment
    served = f"the canary serves {c.notes.weight} % meanwhile" if c.notes.weight else "stable serves everything"
    return f"Deployment {d.name} rolls out revision {c.notes.target}: {d.available} of {d.replicas} pods are available; {served}"


def _returning(c: Context) -> str:
    words = f" ({c.o.traffic.message})" if c.o.traffic and c.o.traffic.message else ""
    return f"revision {c.stable} is stable; waits until every proxy sends all requests to it{words}"


def _draining(c: Context) -> str:
    return (
        f"revision {c.stable} is stable; the canary ends its last answers, {_about(DRAIN_SECONDS - c.quiet_for)} more"
    )


def _rolling_back(c: Context) -> str:
    words = f" ({c.o.traffic.message})" if c.o.traffic and c.o.traffic.message else ""
    return f"takes all requests back to stable{words}: {c.notes.reason}{return_words(c)}"


def _rolled_back(c: Context) -> str:
    return f"revision {c.notes.target} was taken back: {c.notes.reason}. Revert it, change it, or set annotation coalmine.dev/retry"


def _superseding(c: Context) -> str:
    if c.canary_gone and c.closed is not None:
        return _closed(c, c.closed)
    return f"removes the old canary; then revision {c.revision} starts from the first step{return_words(c)}"


def _reverting(c: Context) -> str:
    return f"goes back to the stable revision {c.stable}{return_words(c)}"


def _restoring(c: Context) -> str:
    return f"restores a plain Deployment {c.names.workload} with all requests on it{return_words(c)}"


_MESSAGES = {
    State.INITIALIZING: _initializing,
    State.HEALTHY: _healthy,
    State.STARTING: _starting,
    State.SCALING: _scaling,
    State.WEIGHTING: _weighting,
    State.JUDGING: _judging,
    State.PAUSED: _paused,
    State.AWAITING_APPROVAL: _awaiting,
    State.AWAITING_PROMOTION: asking_words,
    State.INCONCLUSIVE: _inconclusive,
    State.FILLING: _filling,
    State.SWITCHING: _weighting,
    State.WATCHING: watching_words,
    State.ROLLING: _rolling,
    State.RETURNING: _returning,
    State.DRAINING: _draining,
    State.ROLLING_BACK: _rolling_back,
    State.ROLLED_BACK: _rolled_back,
    State.SUPERSEDING: _superseding,
    State.REVERTING: _reverting,
    State.RESTORING: _restoring,
    State.GONE: _restoring,
}
