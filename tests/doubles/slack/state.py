"""A workspace: its channels, messages, people, user groups and open dialogs, and what each method does to them."""

from __future__ import annotations

import copy
import itertools
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from doubles.slack.blocks import InvalidError, check_blocks, check_metadata, check_view

if TYPE_CHECKING:
    from collections.abc import Callable

SCOPES = {
    "chat.postMessage": {"chat:write"},
    "chat.update": {"chat:write"},
    "chat.postEphemeral": {"chat:write"},
    "conversations.history": {"channels:history"},
    "conversations.replies": {"channels:history"},
    "usergroups.users.list": {"usergroups:read"},
    "views.open": set(),
    "auth.test": set(),
}
"""What a bot's token needs for each method (docs.slack.dev/reference/methods)."""
_METHODS = {
    "chat.postMessage": "_post_message",
    "chat.update": "_update",
    "chat.postEphemeral": "_post_ephemeral",
    "conversations.history": "_history",
    "conversations.replies": "_replies",
    "usergroups.users.list": "_members",
    "views.open": "_open",
    "auth.test": "_test",
}
TRIGGER_SECONDS = 3.0


class SlackError(Exception):
    """``ok: false`` with this error."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.error = error
        self.more = more


@dataclass
class Message:
    """One message, as the workspace holds it."""

    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]]
    metadata: dict[str, Any] | None = None
    thread_ts: str = ""
    broadcast: bool = False
    edits: int = 0

    def seen(self, *, metadata: bool) -> dict[str, Any]:
        """Return it as conversations.history does."""
        body: dict[str, Any] = {
            "type": "message",
            "ts": self.ts,
            "text": self.text,
            "blocks": self.blocks,
            "bot_id": "B01",
        }
        if self.thread_ts:
            body["thread_ts"] = self.thread_ts
        if metadata and self.metadata:
            body["metadata"] = self.metadata
        return body


@dataclass
class Workspace:
    """What Slack keeps. ``clock`` gives Unix seconds."""

    clock: Callable[[], float]
    channels: set[str] = field(default_factory=lambda: {"C0RELEASES"})
    archived: set[str] = field(default_factory=set)
    without_app: set[str] = field(default_factory=set)
    groups: dict[str, list[str]] = field(default_factory=dict)
    messages: dict[str, list[Message]] = field(default_factory=lambda: defaultdict(list))
    told: list[tuple[str, str, str]] = field(default_factory=list)
    """Ephemeral messages: channel, user, text."""
    views: list[dict[str, Any]] = field(default_factory=list)
    triggers: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Trigger: whose click, and until when."""

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._ids = itertools.count(1)
        self._by_ts: dict[tuple[str, str], Message] = {}
        self._threads: dict[tuple[str, str], list[Message]] = defaultdict(list)

    def find(self, channel: str, ts: str) -> Message:
        if (channel, ts) not in self._by_ts:
            raise SlackError("message_not_found")
        return self._by_ts[channel, ts]

    def delete(self, message: Message) -> None:
        """What somebody does who does not want to see it."""
        del self._by_ts[message.channel, message.ts]
        self.messages[message.channel].remove(message)

    def top(self, channel: str = "C0RELEASES") -> list[Message]:
        """Return what is in the channel itself, oldest first."""
        return [m for m in self.messages[channel] if not m.thread_ts]

    def thread(self, message: Message) -> list[Message]:
        """Return a message's thread without itself, oldest first."""
        return list(self._threads[message.channel, message.ts])

    def new_trigger(self, user: str) -> str:
        trigger = f"{next(self._ids)}.{user}.trigger"
        self.triggers[trigger] = (user, self.clock() + TRIGGER_SECONDS)
        return trigger

    def call(self, method: str, args: dict[str, Any]) -> dict[str, Any]:
        """Do what a method does, and return what it answers besides ``ok``.

        Raises:
            SlackError: It is refused.
        """
        try:
            return getattr(self, _METHODS[method])(**args)  # type: ignore[no-any-return]
        except InvalidError as error:
            kind = "invalid_arguments" if method == "views.open" or "metadata" in str(error) else "invalid_blocks"
            raise SlackError(kind, response_metadata={"messages": [str(error)]}) from None
        except TypeError as error:  # an argument that the method does not have, or lacks
            raise SlackError("invalid_arguments", response_metadata={"messages": [str(error)]}) from None

    def _test(self) -> dict[str, Any]:
        return {"team": "Shop", "team_id": "T01", "user": "coalmine", "user_id": "U0BOT", "bot_id": "B01"}

    def _post_message(
        self,
        *,
        channel: str,
        text: str = "",
        blocks: Any = None,
        metadata: Any = None,
        thread_ts: str = "",
        reply_broadcast: bool = False,
        unfurl_links: bool = True,
        unfurl_media: bool = True,
    ) -> dict[str, Any]:
        self._may_write(channel)
        if not text and not blocks:
            raise SlackError("no_text")
        check_blocks(blocks or [])
        if metadata is not None:
            check_metadata(metadata)
        seconds = int(self.clock())
        made = Message(
            channel,
            f"{seconds}.{next(self._numbers):06d}",
            text,
            copy.deepcopy(blocks or []),
            copy.deepcopy(metadata),
            thread_ts,
            broadcast=bool(thread_ts and reply_broadcast),
        )
        self.messages[channel].append(made)
        self._by_ts[channel, made.ts] = made
        if thread_ts:
            self._threads[channel, thread_ts].append(made)
        return {"channel": channel, "ts": made.ts, "message": made.seen(metadata=True)}

    def _update(
        self, *, channel: str, ts: str, text: str = "", blocks: Any = None, metadata: Any = None
    ) -> dict[str, Any]:
        self._may_write(channel)
        message = self.find(channel, ts)
        check_blocks(blocks or [])
        if metadata is not None:
            check_metadata(metadata)
            message.metadata = copy.deepcopy(metadata)
        message.text, message.blocks = text, copy.deepcopy(blocks or [])
        message.edits += 1
        return {"channel": channel, "ts": ts, "text": text}

    def _post_ephemeral(self, *, channel: str, user: str, text: str) -> dict[str, Any]:
        self._may_write(channel)
        self.told.append((channel, user, text))
        return {"message_ts": f"{int(self.clock())}.000000"}

    def _history(
        self, *, channel: str, limit: Any = 100, oldest: Any = 0, cursor: str = "", include_all_metadata: Any = False
    ) -> dict[str, Any]:
        self._known(channel)
        seen = [m for m in self.messages[channel] if not m.thread_ts or m.broadcast]
        return _page([m for m in reversed(seen) if float(m.ts) > float(oldest)], limit, cursor, include_all_metadata)

    def _replies(
        self, *, channel: str, ts: str, limit: Any = 1000, cursor: str = "", include_all_metadata: Any = False
    ) -> dict[str, Any]:
        self._known(channel)
        if (channel, ts) not in self._by_ts:
            raise SlackError("thread_not_found")
        return _page([self._by_ts[channel, ts], *self._threads[channel, ts]], limit, cursor, include_all_metadata)

    def _members(self, *, usergroup: str) -> dict[str, Any]:
        if usergroup not in self.groups:
            raise SlackError("no_such_subteam")
        return {"users": list(self.groups[usergroup])}

    def _open(self, *, trigger_id: str, view: Any) -> dict[str, Any]:
        check_view(view)
        user, until = self.triggers.pop(trigger_id, ("", 0.0))
        if not user:
            raise SlackError("exchanged_trigger_id")
        if self.clock() > until:
            raise SlackError("expired_trigger_id")
        made = {**copy.deepcopy(view), "id": f"V{next(self._ids):08d}", "user": user, "state": {"values": {}}}
        self.views.append(made)
        return {"view": {k: v for k, v in made.items() if k != "user"}}

    def _known(self, channel: str) -> None:
        if channel not in self.channels:
            raise SlackError("channel_not_found")
        if channel in self.without_app:
            raise SlackError("not_in_channel")

    def _may_write(self, channel: str) -> None:
        self._known(channel)
        if channel in self.archived:
            raise SlackError("is_archived")


def _page(messages: list[Message], limit: Any, cursor: str, metadata: Any) -> dict[str, Any]:
    begin, most = int(cursor or 0), int(limit)
    shown = [m.seen(metadata=str(metadata).lower() in {"true", "1"}) for m in messages[begin : begin + most]]
    following = str(begin + most) if begin + most < len(messages) else ""
    return {"messages": shown, "has_more": bool(following), "response_metadata": {"next_cursor": following}}
