"""What monitoring is told of each Rollout: from the objects as the API server stores them to numbers. Pure.

Every number follows from the Rollout alone, so a restart or another leader tells the same. Labels are bounded: names of
objects that exist, and words that the controller itself has chosen.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rollouts.core.machine import ASKING, RELEASE, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["GAUGES", "Gauge", "Sample", "samples"]

_FULL: Final = 100.0
_MOST_METRICS: Final = 24
"""Of a release: what a Rollout's templates name beyond this is not told."""
_RELEASE: Final = frozenset(map(str, RELEASE))


@dataclass(frozen=True, slots=True)
class Gauge:
    """A metric.

    Attributes:
        name: Its name.
        help: What it says.
        labels: Its labels besides ``namespace`` and ``rollout``.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """A number.

    Attributes:
        gauge: Name of the metric.
        labels: Namespace, name of the Rollout, and the values of the metric's own labels.
        value: The number.
    """

    gauge: str
    labels: tuple[str, ...]
    value: float


INFO: Final = "coalmine_rollout_info"
PHASE: Final = "coalmine_rollout_phase"
STEP: Final = "coalmine_rollout_step"
STEPS: Final = "coalmine_rollout_steps"
WEIGHT: Final = "coalmine_rollout_weight_ratio"
PROXIES: Final = "coalmine_rollout_proxies"
VERDICT: Final = "coalmine_rollout_verdict"
E_VALUE: Final = "coalmine_rollout_evidence_e_value"
THRESHOLD: Final = "coalmine_rollout_evidence_threshold"
REQUESTS: Final = "coalmine_rollout_judged_requests"
PROBLEMS: Final = "coalmine_rollout_measurement_problems"
SINCE: Final = "coalmine_rollout_state_start_timestamp_seconds"
BEGAN: Final = "coalmine_rollout_release_start_timestamp_seconds"
DECIDED: Final = "coalmine_rollout_last_decision_timestamp_seconds"
ENDED: Final = "coalmine_rollout_last_release_end_timestamp_seconds"
GATE: Final = "coalmine_rollout_gate_waiting_seconds"
HOOKS: Final = "coalmine_rollout_hooks_running"

GAUGES: Final = (
    Gauge(INFO, "Always 1: what a Rollout releases, and which revisions.", ("workload", "stable", "canary")),
    Gauge(PHASE, "1 for the phase and state in which a Rollout is; others have no series.", ("phase", "state")),
    Gauge(STEP, "The present step from 1; 0 where no step is under way."),
    Gauge(STEPS, "How many steps the present release has."),
    Gauge(WEIGHT, "The canary's share of the requests: configured, acknowledged by every proxy, actual.", ("kind",)),
    Gauge(PROXIES, "Proxies that the present weight concerns, and those that acknowledged it.", ("state",)),
    Gauge(VERDICT, "1 for the judge's last answer in a release; others have no series.", ("verdict",)),
    Gauge(E_VALUE, "Evidence for a rollback and for promotion, by metric.", ("metric", "side")),
    Gauge(THRESHOLD, "The evidence at which it is decided.", ("metric", "side")),
    Gauge(REQUESTS, "Requests of a release that were judged.", ("version",)),
    Gauge(PROBLEMS, "Measurements of a release that could not be used (status.problems)."),
    Gauge(SINCE, "When a Rollout got into its present state."),
    Gauge(BEGAN, "When the present release began; no series without one."),
    Gauge(DECIDED, "When a Rollout's last transition was decided."),
    Gauge(ENDED, "When a Rollout's last release ended.", ("outcome",)),
    Gauge(GATE, "For how long a release has waited for people; no series where none does."),
    Gauge(HOOKS, "Hooks of a release that have not ended."),
)


def samples(rollouts: Iterable[Mapping[str, Any]], now: float) -> Iterator[Sample]:
    """Yield what there is to say of all Rollouts.

    Args:
        rollouts: As the API server stores them.
        now: Unix seconds.
    """
    for body in rollouts:
        yield from _of_one(body, now)


def _of_one(body: Mapping[str, Any], now: float) -> Iterator[Sample]:
    who = (str(body["metadata"].get("namespace", "")), str(body["metadata"]["name"]))
    spec, status = body.get("spec") or {}, body.get("status") or {}
    notes: Mapping[str, Any] = status.get("internal") or {}
    state = str(notes.get("state") or State.INITIALIZING)
    workload = str((spec.get("workloadRef") or {}).get("name", ""))
    yield Sample(INFO, (*who, workload, _revision(status, "stable"), _revision(status, "canary")), 1)
    yield Sample(PHASE, (*who, str(status.get("phase") or "Initializing"), state), 1)
    yield from _times(who, status, notes)
    if state in ASKING:
        yield Sample(GATE, who, max(0.0, now - _number(notes.get("since"))))
    if notes.get("open"):
        yield Sample(BEGAN, who, _number(notes.get("began")))
        yield Sample(HOOKS, who, sum(1 for r in (notes.get("hooks") or {}).get("runs") or () if not r.get("ended")))
    yield from _weights(who, status)
    if state in _RELEASE:
        yield from _steps(who, status)
        yield from _evidence(who, status)
    else:
        yield Sample(STEP, who, 0)


def _times(who: tuple[str, str], status: Mapping[str, Any], notes: Mapping[str, Any]) -> Iterator[Sample]:
    if since := notes.get("since"):
        yield Sample(SINCE, who, _number(since))
    if told := notes.get("announcements"):
        yield Sample(DECIDED, who, _number(told[-1].get("at")))
    if history := status.get("history"):
        last = history[-1]
        if (at := _time(last.get("endedAt"))) is not None:
            yield Sample(ENDED, (*who, str(last.get("outcome", ""))), at)


def _weights(who: tuple[str, str], status: Mapping[str, Any]) -> Iterator[Sample]:
    weight: Mapping[str, Any] = status.get("weight") or {}
    yield Sample(WEIGHT, (*who, "configured"), _number(weight.get("configured")) / _FULL)
    for kind in ("acknowledged", "actual"):
        if weight.get(kind) is not None:
            yield Sample(WEIGHT, (*who, kind), _number(weight[kind]) / _FULL)
    acknowledged, slash, affected = str(weight.get("proxies") or "").partition("/")
    if slash and acknowledged.isdecimal() and affected.isdecimal():
        yield Sample(PROXIES, (*who, "acknowledged"), float(acknowledged))
        yield Sample(PROXIES, (*who, "affected"), float(affected))


def _steps(who: tuple[str, str], status: Mapping[str, Any]) -> Iterator[Sample]:
    number, slash, of = str(status.get("step") or "").partition("/")
    known = bool(slash) and number.isdecimal() and of.isdecimal()
    yield Sample(STEP, who, float(number) if known else 0)
    if known:
        yield Sample(STEPS, who, float(of))


def _evidence(who: tuple[str, str], status: Mapping[str, Any]) -> Iterator[Sample]:
    yield Sample(PROBLEMS, who, len(status.get("problems") or ()))
    if verdict := status.get("verdict"):
        yield Sample(VERDICT, (*who, str(verdict)), 1)
    found = list(status.get("evidence") or ())[:_MOST_METRICS]
    for one in found:
        metric = str(one.get("metric", ""))
        for side in ("rollback", "promote"):
            threshold = _number(one.get(f"{side}At"))
            if threshold > 0:  # without one this side decides nothing
                yield Sample(E_VALUE, (*who, metric, side), _number(one.get(f"{side}E", 1)))
                yield Sample(THRESHOLD, (*who, metric, side), threshold)
    # Every metric counts the same requests, some of them after a warm-up only.
    for version in ("canary", "baseline") if found else ():
        yield Sample(REQUESTS, (*who, version), max(_number(one.get(f"{version}Count")) for one in found))


def _revision(status: Mapping[str, Any], version: str) -> str:
    return str((status.get(version) or {}).get("revision", ""))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _time(text: Any) -> float | None:
    try:
        return dt.datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None
