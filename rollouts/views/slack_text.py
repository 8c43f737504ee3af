"""Slack's own markup: text that people wrote never becomes a link, a mention or formatting of ours. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rollouts.views.words import short, unix

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Content",
    "asked",
    "bold",
    "button",
    "code",
    "context",
    "date",
    "divider",
    "escape",
    "fields",
    "header",
    "link",
    "section",
]

_MOST_PEOPLE: Final = 20
_MOST_TEXT: Final = 2900
_MOST_FIELD: Final = 1900
_MOST_HEADER: Final = 150


@dataclass(frozen=True)
class Content:
    """A message.

    Attributes:
        text: For notifications and screen readers.
        blocks: Block Kit.
    """

    text: str
    blocks: list[dict[str, Any]]


def asked(approvers: Mapping[str, Any]) -> str:
    """Return mentions of the Slack people who may decide; empty where a gate names none.

    Args:
        approvers: ``status.approval.approvers``.
    """
    users, groups = approvers.get("slackUsers") or (), approvers.get("slackGroups") or ()
    people = [*(f"<@{u}>" for u in users), *(f"<!subteam^{g}>" for g in groups)]
    return f"asked: {' '.join(people[:_MOST_PEOPLE])}" if people else ""


def escape(text: str) -> str:
    """Return a text in which nothing is markup that calls or leads somewhere."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def bold(text: str) -> str:
    """Return a text in bold; an asterisk in it would end that."""
    return f"*{escape(text).replace('*', '∗')}*" if text else ""  # noqa: RUF001 - an asterisk that is no markup


def code(text: str) -> str:
    """Return a text as it is."""
    return f"`{escape(text).replace('`', chr(0x2CB))}`" if text else ""


def link(url: str, text: str) -> str:
    """Return a link. The address is one of ours, filled in with quoted values."""
    return f"<{escape(url).replace('|', '%7C')}|{escape(text).replace('|', '∣')}>"  # noqa: RUF001 - no separator


def date(moment: float | str | None, form: str = "{time_secs}") -> str:
    """Return a time that Slack shows in each reader's own zone."""
    at = unix(moment) if isinstance(moment, str) else moment
    if at is None:
        return ""
    plain = dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"<!date^{int(at)}^{form}|{plain}>"


def header(text: str) -> dict[str, Any]:
    """Return a header block."""
    return {"type": "header", "text": {"type": "plain_text", "text": short(text, _MOST_HEADER), "emoji": True}}


def section(markup: str) -> dict[str, Any]:
    """Return a section of markup."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": _cut(markup, _MOST_TEXT)}}


def fields(*markups: str) -> dict[str, Any]:
    """Return a section of two columns."""
    return {"type": "section", "fields": [{"type": "mrkdwn", "text": _cut(m, _MOST_FIELD)} for m in markups]}


def context(*markups: str) -> dict[str, Any]:
    """Return a block of small print."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": _cut(m, _MOST_FIELD)} for m in markups]}


def divider() -> dict[str, Any]:
    """Return a line."""
    return {"type": "divider"}


def button(action_id: str, title: str, value: str, style: str = "") -> dict[str, Any]:
    """Return a button.

    Args:
        action_id: Which one it is.
        title: What is on it.
        value: What a click brings back.
        style: ``primary``, ``danger`` or nothing.
    """
    made: dict[str, Any] = {
        "type": "button",
        "action_id": action_id,
        "text": {"type": "plain_text", "text": title, "emoji": True},
        "value": value,
    }
    return {**made, "style": style} if style else made


def _cut(markup: str, most: int) -> str:
    """Return markup that Slack takes: never empty, never too long, and cut between two lines where it can be."""
    if len(markup) <= most:
        return markup or " "
    head, _, _ = markup[:most].rpartition("\n")
    return f"{head or markup[: most - 1]}…"
