"""What people may ask of a Rollout: when each makes sense, and the patch that it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rollouts.api import names

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COMMANDS", "Command", "choices", "patch_of", "refusal", "verbs_of"]


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        name: In the API.
        label: On the button.
        confirm: What a person is asked before; empty for nothing.
        verb: What the API server is asked for, besides ``patch``.
    """

    name: str
    label: str
    confirm: str = ""
    verb: str = "patch"


COMMANDS: Final[Mapping[str, Command]] = {
    c.name: c
    for c in (
        Command(
            "promote",
            "Promote now",
            "Promote without waiting for evidence? From then on nothing takes it back by itself.",
        ),
        Command("approve", "Approve", verb="approve"),
        Command("reject", "Reject", "Reject, and take this release back?", verb="approve"),
        Command("abort", "Roll back", "Take this release back? All requests go to the stable version at once."),
        Command("retry", "Retry", "Run the release that was taken back again?"),
        Command("pause", "Pause"),
        Command("resume", "Resume"),
        Command("skip", "Skip step", "End this step without waiting for what it waits for, and begin the next?"),
    )
}
_RUNNING: Final = frozenset(
    {"Starting", "Progressing", "Paused", "AwaitingApproval", "Inconclusive", "Promoting", "Watching"}
)
_STEPPING: Final = frozenset({"Progressing", "Paused", "AwaitingApproval", "Inconclusive"})
_ANNOTATIONS: Final = {
    "promote": names.PROMOTE_ANNOTATION,
    "approve": names.APPROVE_ANNOTATION,
    "reject": names.REJECT_ANNOTATION,
    "abort": names.ABORT_ANNOTATION,
    "retry": names.RETRY_ANNOTATION,
    "pause": names.PAUSE_ANNOTATION,
    "resume": names.RESUME_ANNOTATION,
    "skip": names.SKIP_ANNOTATION,
}
_COMMENTED: Final = frozenset({"approve", "reject"})


def choices(rollout: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return all commands, and why those that cannot be given now cannot."""
    return [
        {
            "action": c.name,
            "label": c.label,
            "enabled": not (reason := refusal(rollout, c.name)),
            "reason": reason,
            "confirm": c.confirm,
            "verb": c.verb,
        }
        for c in COMMANDS.values()
    ]


def refusal(rollout: Mapping[str, Any], command: str) -> str:
    """Return why a command makes no sense now; empty where it does."""
    status = rollout.get("status") or {}
    phase = status.get("phase") or ""
    by_spec = bool((rollout.get("spec") or {}).get("paused"))
    stuck = phase == "Stalled" and bool((status.get("internal") or {}).get("open"))
    now = f"the phase is {phase or 'not known yet'}"
    match command:
        case "approve" | "reject":
            fine, why = phase == "AwaitingApproval" or bool(status.get("approval")), "nothing waits for approval"
        case "retry":
            fine, why = phase == "RolledBack", "nothing was taken back"
        case "pause" if by_spec or phase == "Paused":
            fine, why = False, "it is paused already"
        case "resume" if by_spec:
            fine, why = False, "spec.paused is true, which whoever set it takes away, in git or with kubectl"
        case "resume":
            fine, why = phase == "Paused", "it is not paused"
        case "skip":
            fine, why = phase in _STEPPING, "no step waits"
        case _:
            fine, why = phase in _RUNNING or (stuck and command != "pause"), "no release is under way"
    return "" if fine else f"{why}: {now}"


def verbs_of(rollout: Mapping[str, Any], command: str) -> tuple[str, ...]:
    """Return what the API server's authorizer is asked for; approving takes a verb of its own where it matters who does."""
    asked = (rollout.get("status") or {}).get("approval") or {}
    return ("patch", "approve") if COMMANDS[command].verb == "approve" and asked.get("restricted") else ("patch",)


def patch_of(command: str, value: str, comment: str = "") -> dict[str, Any]:
    """Return the merge patch that gives a command.

    Args:
        command: One of ``COMMANDS``.
        value: A value that no command had before.
        comment: Why, for approvals.
    """
    annotations = {_ANNOTATIONS[command]: value}
    if command in _COMMENTED:
        annotations[names.COMMENT_ANNOTATION] = comment
    return {"metadata": {"annotations": annotations}}
