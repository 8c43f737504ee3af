"""Microsoft Teams: an Adaptive Card for a workflow "When a Teams webhook request is received".

The workflow answers 202 and says nothing of what it posted, nor can it be asked: an interrupted message is not told again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rollouts.notify.files import read_secret
from rollouts.notify.http import ask
from rollouts.notify.message import cut, message_of
from rollouts.notify.place import JSON, PlaceSink, as_json, not_again

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.api.notifications import Teams
    from rollouts.notify.base import Transition
    from rollouts.notify.message import Message

__all__ = ["TeamsSink", "card_of"]

_MOST_TEXT: Final = 6000
"""A message has at most 28 KB."""


def card_of(message: Message) -> dict[str, Any]:
    """Return the request's body."""
    body: list[dict[str, Any]] = [
        {
            "type": "TextBlock",
            "text": cut(message.title, 500),
            "size": "Medium",
            "weight": "Bolder",
            "wrap": True,
            "color": "Attention" if message.warns else "Default",
        },
        {"type": "TextBlock", "text": cut(message.text, _MOST_TEXT), "wrap": True},
    ]
    if message.facts:
        facts = [{"title": name, "value": cut(value, 1000)} for name, value in message.facts]
        body.append({"type": "FactSet", "facts": facts})
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
    }
    if message.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Watch the release", "url": message.link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


class TeamsSink(PlaceSink):
    """One channel."""

    _place: Teams

    async def send(self, transition: Transition, memory: Mapping[str, str], *, doubtful: bool) -> Mapping[str, str]:
        """Post the card. See ``Sink``."""
        if doubtful:
            raise not_again("Teams")
        place = self._place
        message = message_of(transition, link=self._link, title=place.template.title, text=place.template.text)
        setting = f"{self._field}.urlFile"
        reply = await ask(
            self._session,
            "POST",
            read_secret(place.url_file, setting),
            body=as_json(card_of(message)),
            headers=JSON,
            seconds=place.timeout_seconds,
        )
        reply.or_refused(f"{setting}: write the address that the workflow shows")
        return memory
