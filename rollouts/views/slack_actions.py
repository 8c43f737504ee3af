"""What people may do from Slack, when that makes sense, and what a button carries. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ACTIONS_BLOCK", "DIALOG", "PREFIX", "Action", "Target", "command_value", "commanded_by", "ending_of", "possible", "target_of",
]  # fmt: skip

PREFIX: Final = "coalmine."
"""Of the ``action_id`` of our buttons."""
ACTIONS_BLOCK: Final = "coalmine.actions"
DIALOG: Final = "coalmine.confirm"
"""``callback_id`` of the dialog."""

_OVER: Final = frozenset({"", "Initializing", "Healthy", "RolledBack"})
_ABORTABLE: Final = frozenset(
    {"Starting", "Progressing", "Paused", "AwaitingApproval", "Inconclusive", "Watching", "Stalled"}
)
_PAUSABLE: Final = frozenset({"Starting", "Progressing", "Inconclusive"})


class Action(StrEnum):
    """What a button does."""

    APPROVE = "approve"
    REJECT = "reject"
    PAUSE = "pause"
    RESUME = "resume"
    ROLL_BACK = "rollback"

    @property
    def label(self) -> str:
        """On the button."""
        return _LABELS[self]

    @property
    def decides(self) -> bool:
        """Whether it answers a gate's question, rather than being a command."""
        return self in {Action.APPROVE, Action.REJECT}


_LABELS: Final[Mapping[Action, str]] = MappingProxyType(
    {
        Action.APPROVE: "Approve",
        Action.REJECT: "Reject",
        Action.PAUSE: "Pause",
        Action.RESUME: "Resume",
        Action.ROLL_BACK: "Roll back",
    }
)


@dataclass(frozen=True)
class Target:
    """What a click is about, as it was when the button was made.

    Attributes:
        namespace: The Rollout's.
        name: The Rollout's.
        uid: The Rollout's: a new one of the same name is another one.
        release: When the release began, as ``status.startedAt`` has it.
        gate: The question, where one was asked.
    """

    namespace: str
    name: str
    uid: str
    release: str
    gate: str = ""

    def dump(self) -> str:
        """Return it as a button's value."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def read(cls, value: object) -> Target:
        """Return what a button's value says.

        Raises:
            ValueError: It is not one of ours.
        """
        try:
            raw = json.loads(value) if isinstance(value, str) else None
            if isinstance(raw, dict) and all(isinstance(x, str) for x in raw.values()):
                return cls(**raw)
        except (TypeError, ValueError):
            pass
        msg = "the button's value is none that Coalmine made"
        raise ValueError(msg)


_COMMAND: Final = re.compile(r"\S+ .* ([UW][A-Z0-9]+) in Slack \([^()]*\)(?:: (.*))?", re.DOTALL)


def command_value(at: str, name: str, user: str, view: str, comment: str) -> str:
    """Return the value of a command's annotation that came from Slack: it is new, and says who and why.

    Args:
        at: When (RFC 3339).
        name: Of the person, for people.
        user: Their id.
        view: The dialog's id.
        comment: Why; may be empty.
    """
    return f"{at} {name} {user} in Slack ({view})" + (f": {comment}" if comment else "")


def commanded_by(value: str) -> tuple[str, str] | None:
    """Return the id of who gave a command in Slack, and why; None where it came from elsewhere.

    Args:
        value: Of the command's annotation.
    """
    found = _COMMAND.fullmatch(value)
    return (found[1], found[2] or "") if found else None


def target_of(rollout: Mapping[str, Any]) -> Target:
    """Return what a click on a Rollout's message would be about now.

    Args:
        rollout: Its JSON.
    """
    metadata, status = rollout.get("metadata") or {}, rollout.get("status") or {}
    target = Target(
        namespace=metadata.get("namespace", ""),
        name=metadata.get("name", ""),
        uid=metadata.get("uid", ""),
        release=status.get("startedAt") or "",
    )
    return replace(target, gate=(status.get("approval") or {}).get("gate") or "")


def ending_of(rollout: Mapping[str, Any], release: str) -> Mapping[str, Any] | None:
    """Return the entry of the history with which a release ended; None while it goes on (or nobody knows any more)."""
    history = (rollout.get("status") or {}).get("history") or ()
    return next((entry for entry in reversed(history) if release and entry.get("startedAt") == release), None)


def possible(rollout: Mapping[str, Any]) -> tuple[Action, ...]:
    """Return what makes sense now, whoever asks, in the order of the buttons."""
    target, status = target_of(rollout), rollout.get("status") or {}
    phase = status.get("phase") or ""
    if not target.release or ending_of(rollout, target.release) is not None or phase in _OVER:
        return ()
    found: list[Action] = []
    approval = status.get("approval") or {}
    if approval.get("gate") and not approval.get("expired"):
        found += [Action.APPROVE, Action.REJECT]
    if phase == "Paused":
        if not (rollout.get("spec") or {}).get("paused"):  # that one ends in git, or wherever it was written
            found.append(Action.RESUME)
    elif phase in _PAUSABLE:
        found.append(Action.PAUSE)
    if phase in _ABORTABLE and status.get("canary"):
        found.append(Action.ROLL_BACK)
    return tuple(found)
