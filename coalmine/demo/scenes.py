"""What the live view shows at one moment, as plain data; and which settings the demo shortens. No I/O."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from crds.base import format_duration
from rollouts.api.rollout import EvidenceStatus, Phase, RolloutSpec, RolloutStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coalmine.demo.records import Traffic
    from coalmine.demo.releases import Outcome, Release

__all__ = ["Commit", "Mark", "ReleaseLine", "Scene", "clock", "evidence_words", "judged", "shortened"]


class Mark(StrEnum):
    """How far a release is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class ReleaseLine:
    """One release in the list at the top."""

    release: Release
    mark: Mark = Mark.WAITING
    outcome: Outcome | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """One line of the git log."""

    short_hash: str
    subject: str
    applied: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything on the screen.

    Attributes:
        elapsed: Seconds since the first commit.
        activity: What the demo itself is doing.
        releases: The list at the top.
        spec: The Rollout's spec, for its steps.
        rollout: The Rollout's status.
        weight_set: The canary's share in percent that the controller asked for.
        weight_acknowledged: The share that every proxy has.
        weight_actual: The measured share of the last seconds, in percent; None without requests.
        proxies: Acknowledged of affected, e.g. 6/6.
        stable: The stable version's tag.
        canary: The canary's tag; empty when there is none.
        traffic: The last seconds by version.
        failed_by_us: Failures so far that the shop did not make on purpose.
        requests: Requests so far.
        kubectl: The last line of ``kubectl rollout status``.
        commits: The git log, newest first.
        events: What happened, oldest first.
        shortened: What the demo shortens.
    """

    elapsed: float = 0.0
    activity: str = ""
    releases: tuple[ReleaseLine, ...] = ()
    spec: RolloutSpec | None = None
    rollout: RolloutStatus = field(default_factory=RolloutStatus)
    weight_set: int = 0
    weight_acknowledged: int = 0
    weight_actual: float | None = None
    proxies: str = ""
    stable: str = ""
    canary: str = ""
    traffic: dict[str, Traffic] = field(default_factory=dict)
    failed_by_us: int = 0
    requests: int = 0
    kubectl: str = ""
    commits: tuple[Commit, ...] = ()
    events: tuple[str, ...] = ()
    shortened: tuple[str, ...] = ()


def clock(unix: float) -> str:
    """Return the local time of day, to the second."""
    return time.strftime("%H:%M:%S", time.localtime(unix))


def evidence_words(scene: Scene) -> str:
    """Return how the evidence stands in one line; empty without a canary that is judged."""
    shown = judged(scene.rollout.evidence)
    if scene.rollout.phase is not Phase.PROGRESSING or not shown:
        return ""
    parts = [
        f"{e.metric} {e.rollback_e:.3g}/{e.rollback_at:.0f} against, {e.promote_e:.3g}/{e.promote_at:.0f} for it"
        for e in shown
    ]
    return f"evidence: {'; '.join(parts)}" + (f"; still needed: {scene.rollout.need}" if scene.rollout.need else "")


def judged(evidence: Sequence[EvidenceStatus]) -> tuple[EvidenceStatus, ...]:
    """Leave out the guards against gross regressions, unless it was they who decided."""
    return tuple(e for e in evidence if not e.metric.startswith("gross") or e.rollback_e >= e.rollback_at > 0)


def shortened(spec: RolloutSpec) -> tuple[str, ...]:
    """Return in which analysis settings the spec differs from the defaults, one text for each."""
    defaults = RolloutSpec(workload_ref=spec.workload_ref).analysis
    return tuple(_differences("", defaults.model_dump(), spec.analysis.model_dump()))


_SECONDS = ("_duration", "warm_up")


def _differences(path: str, default: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for name, value in actual.items():
        words = f"{path}{name.removesuffix('_percent').replace('_', ' ')}"
        if isinstance(value, dict):
            found += _differences(f"{words} ", default[name], value)
        elif value != default[name]:
            found.append(f"{words} {_show(name, value)} instead of {_show(name, default[name])}")
    return found


def _show(name: str, value: Any) -> str:
    if isinstance(value, float) and name.endswith(_SECONDS):
        return format_duration(value)
    if name.endswith("_percent"):
        return f"{value:g} point{'s' * (value != 1)}" if value is not None else "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
