"""Discord: an embed by a channel's webhook.

A webhook's messages cannot be looked for without their id, and there is no key against a second one: an interrupted
message is not told again.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from rollouts.notify.files import read_secret
from rollouts.notify.http import ask
from rollouts.notify.message import cut, message_of
from rollouts.notify.place import JSON, PlaceSink, as_json, not_again

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.api.notifications import Discord
    from rollouts.notify.base import Transition
    from rollouts.notify.message import Message

__all__ = ["DiscordSink", "embed_of"]

_RED: Final = 0xD1242F
_BLUE: Final = 0x0969DA


def embed_of(message: Message) -> dict[str, Any]:
    """Return the request's body. What it says never calls anybody (``@everyone``)."""
    embed: dict[str, Any] = {
        "title": cut(message.title, 256),
        "description": cut(message.text, 2500),
        "color": _RED if message.warns else _BLUE,
        "timestamp": dt.datetime.fromtimestamp(message.at, dt.UTC).isoformat(),
        "fields": [{"name": cut(name, 256), "value": cut(value, 400)} for name, value in message.facts[:8]],
    }
    if message.link:
        embed["url"] = message.link
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}


class DiscordSink(PlaceSink):
    """One channel."""

    _place: Discord

    async def send(self, transition: Transition, memory: Mapping[str, str], *, doubtful: bool) -> Mapping[str, str]:
        """Post the embed, and wait until it is stored. See ``Sink``."""
        if doubtful:
            raise not_again("Discord")
        place = self._place
        message = message_of(transition, link=self._link, title=place.template.title, text=place.template.text)
        setting = f"{self._field}.urlFile"
        url = read_secret(place.url_file, setting)
        reply = await ask(
            self._session,
            "POST",
            f"{url}{'&' if '?' in url else '?'}wait=true",
            body=as_json(embed_of(message)),
            headers=JSON,
            seconds=place.timeout_seconds,
        )
        reply.or_refused(f"{setting}: write the address that Discord shows under Integrations, Webhooks")
        return memory
