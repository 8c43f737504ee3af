"""Slack's messages in a release's thread, one for each transition. Pure: Block Kit as dictionaries."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from rollouts.api.names import ABORT_ANNOTATION, PAUSE_ANNOTATION, RESUME_ANNOTATION
from rollouts.views.slack_actions import commanded_by
from rollouts.views.slack_text import Content, asked, bold, context, date, escape, section
from rollouts.views.words import short

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.notify.base import Transition

__all__ = ["EVENT_TYPE", "metadata_of", "transition_message"]

EVENT_TYPE: Final = "coalmine_transition"
_WORDS: Final = 400
_NOTE: Final = 2000

_NEWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ReleaseStarted": "🚀",
        "CanaryReplaced": "🚀",
        "PauseStarted": "⏸️",
        "ApprovalRequested": "✋",
        "DecisionRequested": "✋",
        "Promoted": "✅",
        "RollbackStarted": "⏪",
        "Aborted": "⏪",
        "ReleasePaused": "⏸️",
        "RolledBack": "❌",
        "Superseded": "⏭️",
        "Reverted": "↩️",
    }
)
_COMMANDS: Final[Mapping[str, str]] = MappingProxyType(
    {"Aborted": ABORT_ANNOTATION, "ReleasePaused": PAUSE_ANNOTATION, "ReleaseResumed": RESUME_ANNOTATION}
)


def metadata_of(uid: str, number: int) -> dict[str, Any]:
    """Return the metadata by which the message that tells of a transition is found again.

    Args:
        uid: The Rollout's.
        number: The transition's.
    """
    return {"event_type": EVENT_TYPE, "event_payload": {"uid": uid, "number": number}}


def transition_message(transition: Transition) -> Content:
    """Return what is told in the thread. Whoever is asked to decide is mentioned, and so notified."""
    icon = _NEWS.get(transition.reason, "❗" if transition.type == "Warning" else "•")
    words = f"{icon} {bold(transition.reason)}: {escape(short(transition.note, _NOTE))}"
    if transition.reason in {"ApprovalRequested", "DecisionRequested"} and (people := _people(transition.status)):
        words += f"\n{people}"
    if by := _commanded(transition):
        words += f"\n{by}"
    text = f"{transition.namespace}/{transition.name}: {transition.reason}: {short(transition.note, _WORDS)}"
    return Content(escape(text), [section(words), context(date(transition.at, "{date_short_pretty} {time_secs}"))])


def _people(status: Mapping[str, Any]) -> str:
    return asked((status.get("approval") or {}).get("approvers") or {})


def _commanded(transition: Transition) -> str:
    """Return who gave the command in Slack that a transition follows."""
    annotation = _COMMANDS.get(transition.reason)
    found = commanded_by(transition.annotations.get(annotation, "")) if annotation else None
    if found is None:
        return ""
    user, comment = found
    return f"by <@{user}>{': ' + escape(comment) if comment else ''}"
