"""Slack's message of a release, as it is now. Pure: Block Kit as dictionaries."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from rollouts.api.slack import SlackLinks, filled
from rollouts.api.writeback import COMMIT_ANNOTATION
from rollouts.views.release import Release, release_of, step_bar, weight_words
from rollouts.views.slack_actions import ACTIONS_BLOCK, PREFIX, Action, ending_of, possible, target_of
from rollouts.views.slack_text import (
    Content,
    asked,
    bold,
    button,
    code,
    context,
    date,
    escape,
    fields,
    header,
    link,
    section,
)
from rollouts.views.words import duration_words, percent, short, unix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.views.release import EvidenceView, VersionView

__all__ = ["Look", "is_over", "release_message"]

_MOST_EVIDENCE: Final = 8
_WORDS: Final = 400

_EMOJI: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Initializing": "🔵",
        "Healthy": "✅",
        "Starting": "🚀",
        "Progressing": "🔵",
        "Paused": "⏸️",
        "AwaitingApproval": "✋",
        "Inconclusive": "⚖️",
        "Promoting": "🔵",
        "Watching": "👀",
        "RollingBack": "⏪",
        "RolledBack": "❌",
        "Stalled": "⚠️",
    }
)
_ENDINGS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "Promoted": ("✅", "promoted"),
        "Overridden": ("✅", "shipped without waiting"),
        "RolledBack": ("❌", "rolled back"),
        "Aborted": ("❌", "aborted"),
        "Superseded": ("⏭️", "superseded by a newer change"),
        "Reverted": ("↩️", "reverted in git"),
    }
)
_STYLES: Final[Mapping[Action, str]] = MappingProxyType(
    {Action.APPROVE: "primary", Action.REJECT: "danger", Action.ROLL_BACK: "danger"}
)


@dataclass(frozen=True)
class Look:
    """What the configuration says about messages.

    Attributes:
        links: Addresses.
        gates: Whether clicks on gates come in at all.
        commands: Whether somebody may pause, resume and roll back from Slack.
    """

    links: SlackLinks = field(default_factory=SlackLinks)
    gates: bool = False
    commands: bool = False


def is_over(rollout: Mapping[str, Any], release: str) -> bool:
    """Return whether nothing can change in a release's message any more."""
    entry = ending_of(rollout, release)
    if entry is None:
        return False
    status = rollout.get("status") or {}
    mine = status.get("startedAt") == release
    return not mine or status.get("phase") in {"Healthy", "RolledBack"}


def release_message(rollout: Mapping[str, Any], release: str, look: Look) -> Content:
    """Return the message of a release.

    Args:
        rollout: The Rollout's JSON. Without ``spec`` the steps are unknown; annotations are the Deployment's as well.
        release: When the release began; of an earlier one than the present one only its end is known.
        look: What the configuration says.
    """
    entry = ending_of(rollout, release)
    status = rollout.get("status") or {}
    if entry is not None and status.get("startedAt") != release:
        return _ended_before(rollout, entry, look)
    view = release_of(rollout)
    if entry is not None:  # what was promoted is the stable version by now, and the status has no canary any more
        view = _with_versions(view, entry)
    title, text = _title(view, entry)
    blocks = [header(title), section(_where(view, entry))]
    if entry is None:
        blocks.append(section(_now(view)))
    blocks += _numbers(view)
    blocks += _question(rollout, view)
    if links := _links(rollout, view, look.links):
        blocks.append(context(links))
    if buttons := _buttons(rollout, look):
        blocks.append({"type": "actions", "block_id": ACTIONS_BLOCK, "elements": buttons})
    return Content(text, blocks)


def _title(view: Release, entry: Mapping[str, Any] | None) -> tuple[str, str]:
    version = view.canary.words or view.stable.words
    if entry is None:
        emoji, state = _EMOJI.get(view.phase, "•"), view.look.title.lower()
    else:
        emoji, state = _ENDINGS.get(entry.get("outcome", ""), ("•", str(entry.get("outcome", "")).lower()))
    words = f"{view.name} {short(version, 60)}: {state}"
    return f"{emoji} {words}", escape(f"{view.namespace}/{words}")


def _with_versions(view: Release, entry: Mapping[str, Any]) -> Release:
    new = replace(view.canary, revision=entry.get("revision", ""), images=tuple(entry.get("images") or ()))
    before = entry.get("stable") or ""
    old = view.stable if view.stable.revision == before else replace(view.stable, revision=before, images=())
    return replace(view, canary=new, stable=old)


def _where(view: Release, entry: Mapping[str, Any] | None) -> str:
    lines = [f"{bold(view.namespace)} · {_versions(view, entry)}"]
    if entry is not None:
        lines.append(_lasted(entry))
        lines.append(escape(short(str(entry.get("reason", "")), _WORDS)))
        return "\n".join(line for line in lines if line)
    if view.steps:
        lines.append(code(step_bar(view)))
    elif view.step:
        lines.append(f"step {escape(view.step)}")
    lines.append(escape(weight_words(view.weights)))
    return "\n".join(lines)


def _versions(view: Release, entry: Mapping[str, Any] | None) -> str:
    new = f"{code(view.canary.words)} (revision {escape(view.canary.revision)})" if view.canary.revision else ""
    if entry is not None and entry.get("outcome") in {"Promoted", "Overridden"}:
        return new
    old = code(view.stable.words)
    return f"{old} → {new}" if old and new else new or old


def _lasted(entry: Mapping[str, Any]) -> str:
    began, ended = unix(entry.get("startedAt")), unix(entry.get("endedAt"))
    if began is None or ended is None:
        return ""
    return f"ended {date(ended, '{date_short_pretty} {time}')} after {duration_words(ended - began)}"


def _now(view: Release) -> str:
    since = f"since {date(view.started, '{date_short_pretty} {time}')}" if view.started else ""
    words = escape(short(view.message, _WORDS))
    return "\n".join(line for line in (words, since) if line)


def _numbers(view: Release) -> list[dict[str, Any]]:
    found = {e.metric: e for e in view.evidence}
    shown = [e for e in view.evidence if not e.guard][:_MOST_EVIDENCE]
    if not shown:
        return []
    blocks = [fields(_version("Stable", view.stable, "baseline", found), _version("New", view.canary, "canary", found))]
    lines = [f"{_mark(e)} {bold(e.metric)}: {escape(short(e.words, _WORDS))}" for e in shown]
    verdict = escape(short(view.summary, _WORDS))
    blocks.append(section("\n".join(line for line in (verdict, *lines) if line)))
    return blocks


def _mark(e: EvidenceView) -> str:
    return {"good": "✔", "bad": "✖"}.get(e.tone.value, "…")


def _version(title: str, version: VersionView, side: str, found: Mapping[str, EvidenceView]) -> str:
    lines = [f"{bold(title)} {code(version.words)}"]
    if (errors := found.get("errors")) is not None:
        share, count = errors.raw.get(side), errors.raw.get(f"{side}Count", 0)
        lines.append(f"errors {percent(None if share is None else float(f'{100 * share:.3g}'))} of {count:,} requests")
    if (latency := found.get("latency")) is not None:
        ms = latency.raw.get(side)
        lines.append("p99 –" if ms is None else f"p99 {float(ms):.3g} ms")
    return "\n".join(lines)


def _question(rollout: Mapping[str, Any], view: Release) -> list[dict[str, Any]]:
    approval = (rollout.get("status") or {}).get("approval") or {}
    if not approval.get("gate"):
        return []
    words = approval.get("message") or (view.approval.message if view.approval else "") or "Shall it go on?"
    lines = [f"✋ {bold(approval.get('place') or 'approval')}: {escape(words)}"]
    required, missing = approval.get("required", 1), approval.get("missing", 1)
    if required > 1:
        lines.append(f"{required - missing} of {required} approvals")
    lines += [_decision(d) for d in approval.get("decisions") or ()]
    if people := asked(approval.get("approvers") or {}):
        lines.append(people)
    if approval.get("until"):
        over = "was until" if approval.get("expired") else "until"
        lines.append(f"{over} {date(approval['until'], '{date_short_pretty} {time}')}")
    return [section("\n".join(lines))]


def _decision(d: Mapping[str, Any]) -> str:
    who = f"<@{d['by']}>" if d.get("via") == "Slack" and d.get("by") else escape(d.get("by") or "somebody")
    verb = "approved" if d.get("verdict") == "Approve" else "rejected"
    comment = f": {escape(d['comment'])}" if d.get("comment") else ""
    return f"{'✔' if verb == 'approved' else '✖'} {who} {verb} ({escape(str(d.get('via', '')))}){comment}"


def _links(rollout: Mapping[str, Any], view: Release, links: SlackLinks) -> str:
    annotations = (rollout.get("metadata") or {}).get("annotations") or {}
    commit = str(annotations.get(COMMIT_ANNOTATION, "")).rpartition(":")[2]
    values = {
        "namespace": view.namespace,
        "name": view.name,
        "revision": view.canary.revision or view.stable.revision,
        "stable": view.stable.revision,
        "commit": commit,
    }
    made = []
    for template, words in (
        (links.commit, f"commit {commit[:10]}"),
        (links.dashboard, "dashboard"),
        (links.logs, "logs"),
    ):
        if template and (url := filled(template, values)):
            made.append(link(url, words))
    if commit and not links.commit:
        made.insert(0, f"commit {code(commit[:10])}")
    return "  ·  ".join(made)


def _buttons(rollout: Mapping[str, Any], look: Look) -> list[dict[str, Any]]:
    approvers = ((rollout.get("status") or {}).get("approval") or {}).get("approvers") or {}
    # Where nobody is named it is left to those who may command from here (rollouts.gates.slack_clicks).
    named = approvers.get("slackUsers") or approvers.get("slackGroups")
    gates = look.gates and (named or (look.commands and not any(approvers.values())))
    value = target_of(rollout).dump()
    return [
        button(f"{PREFIX}{action}", action.label, value, _STYLES.get(action, ""))
        for action in possible(rollout)
        if (gates if action.decides else look.commands)
    ]


def _ended_before(rollout: Mapping[str, Any], entry: Mapping[str, Any], look: Look) -> Content:
    """Return what is left of a release that another one has followed."""
    view = _with_versions(release_of({**rollout, "status": {}}), entry)
    title, text = _title(view, entry)
    blocks = [header(title), section(_where(view, entry))]
    if links := _links({}, view, look.links):  # the annotations are those of the one that followed
        blocks.append(context(links))
    return Content(text, blocks)
