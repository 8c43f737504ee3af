"""Tells transitions in Slack: the first of a release is the release's own message, the others are told in its thread.

Each call makes exactly one message, and it is the last thing that the call does; everything else may be repeated. The
message's metadata holds the Rollout's uid and the transition's number: by that an interrupted try is found again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from rollouts.api.slack import CHANNEL_ANNOTATION, Slack, is_channel
from rollouts.notify.base import RefusedError
from rollouts.notify.slack_client import GoneError, SlackClient
from rollouts.notify.slack_messages import Look, is_over, release_message
from rollouts.notify.slack_transitions import metadata_of, transition_message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollouts.notify.base import Transition
    from rollouts.views.slack_text import Content

__all__ = ["SlackSink"]

_LOG = logging.getLogger(__name__)
_SKEW_SECONDS: Final = 600.0
"""How far Slack's clock and ours may be apart."""
_BROADCAST: Final = frozenset({"RollbackStarted"})
"""Shown in the channel as well: nobody looks at a message of an hour ago by himself."""
_MOST_SHOWN: Final = 4096


class SlackSink:
    """A ``Sink`` (``rollouts.notify.base``), and what keeps the messages' numbers up to date."""

    def __init__(
        self,
        client: SlackClient,
        settings: Slack,
        current: Callable[[str, str], Mapping[str, Any] | None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make one.

        Args:
            client: The Web API.
            settings: The configuration.
            current: Returns a Rollout as it is now, with its Deployment's annotations; None where there is none.
            clock: Unix seconds.
        """
        self._client = client
        self._settings = settings
        self._current = current
        self._clock = clock
        self._look = Look(settings.links, gates=settings.hears, commands=settings.hears and bool(settings.commands))
        self._shown: dict[tuple[str, str], Content] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def name(self) -> str:
        """Its name among the sinks."""
        return "slack"

    def wants(self, transition: Transition) -> bool:
        """Return whether the Rollout has a channel, and it is about a release or somebody should look."""
        matters = transition.status.get("startedAt") or transition.type == "Warning"
        return bool(matters and self._settings.channel_of(transition.namespace, dict(transition.annotations)))

    async def send(self, transition: Transition, memory: Mapping[str, str], *, doubtful: bool) -> Mapping[str, str]:
        """Tell a transition. See ``rollouts.notify.base.Sink``."""
        release = str(transition.status.get("startedAt") or "")
        rollout = self._rollout(transition)
        async with self._lock(transition.uid):
            if memory.get("ts") and memory.get("release") == release:
                try:
                    await self._show(memory, transition.uid, rollout)
                except GoneError:
                    _LOG.info("%s/%s: the release's message was deleted", transition.namespace, transition.name)
                else:
                    await self._reply(transition, memory, doubtful=doubtful)
                    return memory
            else:
                await self._close(memory, transition.uid, rollout)
            return await self._begin(transition, rollout, release, doubtful=doubtful)

    async def refresh(self, namespace: str, name: str, uid: str, memory: Mapping[str, str]) -> bool:
        """Bring a release's message up to date, now or not at all.

        Args:
            namespace: The Rollout's.
            name: The Rollout's.
            uid: The Rollout's.
            memory: What the last ``send`` returned.

        Returns:
            Whether Slack was asked.

        Raises:
            LaterError: Slack wants to be left alone, or cannot be reached.
        """
        rollout = self._current(namespace, name)
        lock = self._lock(uid)
        if rollout is None or rollout["metadata"].get("uid") != uid or not memory.get("ts") or lock.locked():
            return False
        if is_over(rollout, memory.get("release", "")):
            return False  # its last transition says all
        async with lock:
            try:
                return await self._show(memory, uid, rollout)
            except (GoneError, RefusedError) as error:
                _LOG.debug("%s/%s: the message is not brought up to date: %s", namespace, name, error)
                return True

    def _rollout(self, transition: Transition) -> Mapping[str, Any]:
        """Return the newest that is known of the Rollout: the transition's own status, or a later one."""
        now = self._current(transition.namespace, transition.name) or {}
        if (now.get("metadata") or {}).get("uid") != transition.uid:
            now = {}
        status = now.get("status") or {}
        told = int((status.get("internal") or {}).get("number", 0))
        same = status.get("startedAt") == transition.status.get("startedAt")
        metadata = {
            **(now.get("metadata") or {}),
            "namespace": transition.namespace,
            "name": transition.name,
            "uid": transition.uid,
            "annotations": dict(transition.annotations),
        }
        newest = status if same and told >= transition.number else transition.status
        return {**now, "metadata": metadata, "status": newest}

    async def _begin(
        self, transition: Transition, rollout: Mapping[str, Any], release: str, *, doubtful: bool
    ) -> Mapping[str, str]:
        """Post the release's message, which tells of the transition as well."""
        channel = self._channel(transition)
        metadata = metadata_of(transition.uid, transition.number)
        content = release_message(rollout, release, self._look)
        ts = await self._client.find(channel, transition.at - _SKEW_SECONDS, metadata) if doubtful else ""
        if not ts:
            channel, ts = await self._client.post(channel, content, metadata)
            self._remember(channel, ts, content)
        return {"channel": channel, "ts": ts, "release": release, "number": str(transition.number)}

    async def _reply(self, transition: Transition, memory: Mapping[str, str], *, doubtful: bool) -> None:
        channel, ts = memory["channel"], memory["ts"]
        metadata = metadata_of(transition.uid, transition.number)
        if doubtful and await self._client.find(channel, transition.at - _SKEW_SECONDS, metadata, thread=ts):
            return
        loud = transition.reason in _BROADCAST
        await self._client.post(channel, transition_message(transition), metadata, thread=ts, broadcast=loud)

    async def _show(self, memory: Mapping[str, str], uid: str, rollout: Mapping[str, Any]) -> bool:
        """Make the release's message say what is known; return whether Slack was asked."""
        channel, ts, release = memory["channel"], memory["ts"], memory.get("release", "")
        content = release_message(rollout, release, self._look)
        if self._shown.get((channel, ts)) == content:
            return False
        await self._client.update(channel, ts, content, metadata_of(uid, int(memory.get("number", 0))))
        self._remember(channel, ts, content)
        return True

    async def _close(self, memory: Mapping[str, str], uid: str, rollout: Mapping[str, Any]) -> None:
        """Let the message of the release before say how that ended."""
        if memory.get("ts") and is_over(rollout, memory.get("release", "")):
            try:
                await self._show(memory, uid, rollout)
            except (GoneError, RefusedError) as error:
                _LOG.debug("the message of the release before is left as it is: %s", error)

    def _channel(self, transition: Transition) -> str:
        channel = self._settings.channel_of(transition.namespace, dict(transition.annotations))
        if not is_channel(channel):
            msg = (
                f"annotation {CHANNEL_ANNOTATION} is {channel!r}: write a channel's id (C0123ABCD; it stands at the bottom "
                "of the channel's details), not its name"
            )
            raise RefusedError(msg)
        return channel

    def _remember(self, channel: str, ts: str, content: Content) -> None:
        self._shown.pop((channel, ts), None)
        self._shown[channel, ts] = content
        if len(self._shown) > _MOST_SHOWN:
            del self._shown[next(iter(self._shown))]

    def _lock(self, uid: str) -> asyncio.Lock:
        if len(self._locks) > _MOST_SHOWN:
            self._locks = {k: lock for k, lock in self._locks.items() if lock.locked()}
        return self._locks.setdefault(uid, asyncio.Lock())
