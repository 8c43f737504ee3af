"""What Slack shows to the one who clicked: the dialog that asks once more, and why something was not done. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rollouts.api.approval import MOST_COMMENT
from rollouts.views.slack_actions import DIALOG, Action, Target
from rollouts.views.slack_text import bold, escape, section
from rollouts.views.words import images_words, short

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COMMENT", "Ask", "comment_of", "dialog", "nothing_done"]

COMMENT: Final = "comment"
_WORDS: Final = 600
_EFFECTS: Final[dict[Action, str]] = {
    Action.APPROVE: "Your approval is recorded with your name.",
    Action.REJECT: "One rejection takes the release back: all requests go to the stable version at once.",
    Action.PAUSE: "The release stays where it is until somebody resumes it. The guards stay on.",
    Action.RESUME: "The release goes on.",
    Action.ROLL_BACK: "All requests go to the stable version at once.",
}


@dataclass(frozen=True)
class Ask:
    """What a dialog is about.

    Attributes:
        action: What shall be done.
        target: To what.
        channel: Where the button was.
    """

    action: Action
    target: Target
    channel: str

    def dump(self) -> str:
        """Return it as a dialog's private metadata."""
        return json.dumps({"action": self.action, "target": self.target.dump(), "channel": self.channel})

    @classmethod
    def read(cls, text: object) -> Ask:
        """Return what a dialog's private metadata says.

        Raises:
            ValueError: It is not one of ours.
        """
        try:
            raw = json.loads(text) if isinstance(text, str) else {}
            return cls(Action(raw["action"]), Target.read(raw["target"]), str(raw["channel"]))
        except (KeyError, TypeError, ValueError):
            msg = "the dialog is none that Coalmine made"
            raise ValueError(msg) from None


def dialog(ask: Ask, rollout: Mapping[str, Any]) -> dict[str, Any]:
    """Return the view that asks whether it is meant, and why.

    Args:
        ask: What was clicked.
        rollout: The Rollout's JSON.
    """
    status = rollout.get("status") or {}
    canary = status.get("canary") or {}
    version = images_words(canary.get("images") or ()) or canary.get("revision", "")
    lines = [f"{bold(f'{ask.target.namespace}/{ask.target.name}')} {escape(version)}"]
    approval = status.get("approval") or {}
    if ask.action.decides and approval.get("message"):
        lines.append(f"“{escape(approval['message'])}”")
    lines += [_EFFECTS[ask.action], escape(short(status.get("message") or "", _WORDS))]
    return {
        "type": "modal",
        "callback_id": DIALOG,
        "private_metadata": ask.dump(),
        "title": _plain(f"{ask.action.label}?"),
        "submit": _plain(ask.action.label),
        "close": _plain("Cancel"),
        "blocks": [
            section("\n".join(line for line in lines if line)),
            {
                "type": "input",
                "block_id": COMMENT,
                "optional": True,
                "label": _plain("Comment"),
                "element": {
                    "type": "plain_text_input",
                    "action_id": COMMENT,
                    "multiline": True,
                    "max_length": MOST_COMMENT,
                },
            },
        ],
    }


def comment_of(view: Mapping[str, Any]) -> str:
    """Return what somebody wrote into a dialog."""
    values = (view.get("state") or {}).get("values") or {}
    written = ((values.get(COMMENT) or {}).get(COMMENT) or {}).get("value")
    return str(written or "").strip()[:MOST_COMMENT]


def nothing_done(target: Target, action: Action, why: str) -> str:
    """Return what somebody is told whose click did nothing."""
    where = bold(f"{target.namespace}/{target.name}")
    return f"🚫 {action.label} of {where} was not done: {escape(why)}"


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": True}
