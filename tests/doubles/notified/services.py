"""Receivers of events and messages: generic ones, Teams, Discord, PagerDuty. Each refuses what the real one refuses."""

from __future__ import annotations

import itertools
import json
from typing import Any

from aiohttp import web
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from doubles.notified.socket import HttpDouble


class EventsDouble(HttpDouble):
    """Takes CloudEvents; an id that came before is the same event."""

    def __init__(self) -> None:
        super().__init__()
        self.events: dict[str, Any] = {}
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []

    async def answer(self, request: web.Request, body: bytes) -> web.Response:
        headers = {key.lower(): value for key, value in request.headers.items()}
        event = from_http_event(HTTPMessage(headers, body))
        self.headers.append(headers)
        self.bodies.append(body)
        self.events.setdefault(str(event.get_id()), event)
        return web.Response(status=202)

    @property
    def reasons(self) -> list[str]:
        return [event.get_data()["reason"] for event in self.events.values()]


class TeamsDouble(HttpDouble):
    """A workflow that posts cards to a channel (Power Automate): 202, and a limit of 28 KB."""

    def __init__(self) -> None:
        super().__init__()
        self.cards: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"{self.root}/workflows/4a5b/triggers/manual/paths/invoke?api-version=2016-06-01&sig=SECRET"

    async def answer(self, request: web.Request, body: bytes) -> web.Response:
        if request.query.get("sig") != "SECRET":
            return web.json_response({"error": {"code": "Unauthorized", "message": "wrong signature"}}, status=401)
        message = json.loads(body)
        (attachment,) = message["attachments"]
        card = attachment["content"]
        fine = (
            message["type"] == "message"
            and attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
            and card["type"] == "AdaptiveCard"
            and all(block["type"] in {"TextBlock", "FactSet"} for block in card["body"])
        )
        if not fine or len(body) > 28 * 1024:
            return web.json_response({"error": {"message": "not a card"}}, status=400)
        self.cards.append(card)
        return web.Response(status=202)

    @property
    def titles(self) -> list[str]:
        return [card["body"][0]["text"] for card in self.cards]


class DiscordDouble(HttpDouble):
    """Discord's "Execute Webhook"."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[dict[str, Any]] = []
        self._ids = itertools.count(1_000_000_000_000_000_000)

    @property
    def url(self) -> str:
        return f"{self.root}/api/webhooks/223704706495545344/SECRET"

    def limited(self) -> web.Response:
        seconds = float(self.trouble.retry_after)
        body = {"message": "You are being rate limited.", "retry_after": seconds, "global": False}
        return web.json_response(body, status=429, headers={"Retry-After": self.trouble.retry_after})

    async def answer(self, request: web.Request, body: bytes) -> web.Response:
        if not request.path.endswith("/SECRET"):
            return web.json_response({"message": "Unknown Webhook", "code": 10015}, status=404)
        message = json.loads(body)
        for embed in message["embeds"]:
            sizes = [
                len(embed["title"]) <= 256,
                0 < len(embed["description"]) <= 4096,
                len(embed["fields"]) <= 25,
                all(0 < len(f["name"]) <= 256 and 0 < len(f["value"]) <= 1024 for f in embed["fields"]),
                len(json.dumps(embed)) <= 8000,
            ]
            if not all(sizes):
                return web.json_response({"message": "Invalid Form Body", "code": 50035}, status=400)
        assert message["allowed_mentions"] == {"parse": []}
        self.messages.append(message)
        if request.query.get("wait") != "true":
            return web.Response(status=204)
        return web.json_response({"id": str(next(self._ids)), **message})

    @property
    def titles(self) -> list[str]:
        return [message["embeds"][0]["title"] for message in self.messages]


class PagerDutyDouble(HttpDouble):
    """PagerDuty's Events API v2 of one service.

    Attributes:
        incidents: By key, what was heard of each, oldest first: an alert is open from a trigger to a resolve, and a
            trigger while it is open is only written into its log.
    """

    KEY = "0123456789abcdef0123456789abcdef"

    def __init__(self) -> None:
        super().__init__()
        self.incidents: dict[str, list[str]] = {}
        self.payloads: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"{self.root}/v2/enqueue"

    async def answer(self, request: web.Request, body: bytes) -> web.Response:
        event = json.loads(body)
        errors = []
        if len(event.get("routing_key", "")) != 32:
            errors.append("Length of 'routing_key' is incorrect (should be 32 characters)")
        if event.get("event_action") not in {"trigger", "acknowledge", "resolve"}:
            errors.append("'event_action' is invalid")
        if not 0 < len(event.get("dedup_key", "")) <= 255:
            errors.append("Length of 'dedup_key' is incorrect")
        payload = event.get("payload", {})
        if event.get("event_action") == "trigger" and not (
            0 < len(payload["summary"]) <= 1024
            and payload["severity"] in {"critical", "error", "warning", "info"}
            and payload["source"]
        ):
            errors.append("'payload' is invalid")
        if errors:
            found = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
            return web.json_response(found, status=400)
        log = self.incidents.setdefault(event["dedup_key"], [])
        log.append(event["event_action"])
        if payload:
            self.payloads.append(event)
        return web.json_response(
            {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}, status=202
        )

    def opened(self) -> int:
        """How often somebody was paged."""
        count = 0
        for log in self.incidents.values():
            is_open = False
            for action in log:
                count += action == "trigger" and not is_open
                is_open = action == "trigger"
        return count
