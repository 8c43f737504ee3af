"""A Rollout as the dashboard shows it: a row of the list, and all of it. Pure; docs/dashboard-api.md is the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from rollouts.api.names import GROUP
from rollouts.dashboard.commands import choices
from rollouts.dashboard.evidence import Scales, evidence_entry
from rollouts.views.looks import StepState, Tone, Waits
from rollouts.views.release import Release, release_of
from rollouts.views.words import unix

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GOOD_OUTCOMES", "detail_of", "history_of", "row_of"]

GOOD_OUTCOMES: Final = frozenset({"Promoted", "Overridden"})
_LINK: Final = f"{GROUP}/link-"
_COMMIT_URL: Final = f"{GROUP}/commit-url"
_STATES: Final = {
    StepState.DONE: "done",
    StepState.NOW: "current",
    StepState.FAILED: "failed",
    StepState.TO_COME: "todo",
}
_ATTENTION: Final = frozenset({"AwaitingApproval", "Inconclusive", "Stalled"})


def row_of(rollout: Mapping[str, Any]) -> dict[str, Any]:
    """Return a Rollout's row."""
    return _row(rollout, release_of(rollout))


def _row(rollout: Mapping[str, Any], release: Release) -> dict[str, Any]:
    metadata, status = rollout.get("metadata") or {}, rollout.get("status") or {}
    weights = release.weights
    return {
        "namespace": release.namespace,
        "name": release.name,
        "uid": metadata.get("uid", ""),
        "phase": release.phase,
        "tone": _tone(release),
        "attention": release.phase in _ATTENTION or (release.waits is Waits.PEOPLE and release.under_way),
        "message": release.message,
        "step": release.step,
        "stepIndex": status.get("stepIndex"),
        "steps": len(release.steps),
        "weight": {
            "configured": weights.configured,
            "heldBack": weights.held_back,
            "acknowledged": weights.acknowledged,
            "actual": weights.actual,
            "proxies": weights.proxies,
            "message": weights.message,
        },
        "verdict": release.verdict,
        "stable": _version(status.get("stable")),
        "canary": _version(status.get("canary")),
        "startedAt": release.started if (status.get("internal") or {}).get("open") else None,
        "createdAt": release.created,
        "last": _entry(release, release.history[-1]) if release.history else None,
        "paused": release.paused,
    }


def detail_of(rollout: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that is shown of a Rollout besides its past."""
    release = release_of(rollout)
    status, spec = rollout.get("status") or {}, rollout.get("spec") or {}
    scales = Scales.of(spec)
    strategy = spec.get("strategy") or {}
    return {
        **_row(rollout, release),
        "workload": release.workload,
        "host": release.service,
        "strategy": next((name for name in ("blueGreen", "abTest") if strategy.get(name) is not None), "canary"),
        "plan": _plan(release),
        "stepStartedAt": release.step_started,
        "summary": release.summary,
        "need": release.need,
        "problems": list(release.problems),
        "evidence": [evidence_entry(e.raw, scales) for e in release.evidence],
        "preflight": [
            {"check": p.get("check", ""), "result": p.get("result", ""), "message": p.get("message", "")}
            for p in status.get("preflight") or ()
        ],
        "conditions": [
            {
                "type": c.get("type", ""),
                "status": c.get("status", ""),
                "reason": c.get("reason", ""),
                "message": c.get("message", ""),
                "at": unix(c.get("lastTransitionTime")),
            }
            for c in status.get("conditions") or ()
        ],
        "approval": _approval(release),
        "actions": choices(rollout),
        "history": history_of(rollout),
        "links": _links((rollout.get("metadata") or {}).get("annotations") or {}),
    }


def history_of(rollout: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a Rollout's releases that ended, the newest first."""
    release = release_of(rollout)
    return [_entry(release, entry) for entry in reversed(release.history)]


def _entry(release: Release, entry: Mapping[str, Any]) -> dict[str, Any]:
    started, ended = unix(entry.get("startedAt")), unix(entry.get("endedAt"))
    return {
        "namespace": release.namespace,
        "name": release.name,
        "revision": entry.get("revision", ""),
        "images": list(entry.get("images") or ()),
        "stable": entry.get("stable", ""),
        "outcome": entry.get("outcome", ""),
        "reason": entry.get("reason", ""),
        "good": entry.get("outcome") in GOOD_OUTCOMES,
        "startedAt": started,
        "endedAt": ended,
        "seconds": None if started is None or ended is None else ended - started,
    }


def _tone(release: Release) -> str:
    return str(Tone.WAITING) if release.paused and release.under_way else str(release.look.tone)


def _version(raw: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return {"revision": raw.get("revision", ""), "images": list(raw.get("images") or ())} if raw else None


def _plan(release: Release) -> list[dict[str, Any]]:
    plan, weight = [], 0
    for view in release.steps:
        weight = weight if view.step.weight is None else view.step.weight
        plan.append(
            {
                "index": view.number - 1,
                "kind": view.step.kind,
                "label": view.step.label,
                "weight": weight,
                "state": _STATES[view.state],
            }
        )
    return plan


def _approval(release: Release) -> dict[str, Any] | None:
    asked = release.approval
    if asked is None:
        return None
    return {
        **asked.raw,
        "gate": asked.gate,
        "message": asked.message,
        "required": asked.required,
        "until": asked.until,
        "decisions": list(asked.decisions),
    }


def _links(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return links that people put there; anything but http(s) could run in the page."""
    named = {name.removeprefix(_LINK): url for name, url in annotations.items() if name.startswith(_LINK)}
    if url := annotations.get(_COMMIT_URL):
        named["commit"] = url
    return {name: url for name, url in sorted(named.items()) if urlsplit(url).scheme in {"http", "https"}}
