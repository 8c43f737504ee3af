"""People at the double: they see messages, click buttons, fill in dialogs, and are told things."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import aiohttp
from doubles.slack.server import SIGNING_SECRET

if TYPE_CHECKING:
    from doubles.slack.server import SlackDouble
    from doubles.slack.state import Message


class People:
    """Whatever one does comes to the app by Socket Mode, or signed to ``url`` where one is given."""

    def __init__(self, double: SlackDouble, url: str = "", secret: str = SIGNING_SECRET) -> None:
        self.double = double
        self.url = url
        self.secret = secret
        self.sent: list[tuple[bytes, dict[str, str]]] = []
        """Bodies and headers of the signed requests."""

    @staticmethod
    def buttons(message: Message) -> list[str]:
        """Return what is on a message's buttons."""
        elements = [e for b in message.blocks if b["type"] == "actions" for e in b["elements"]]
        return [e["text"]["text"] for e in elements]

    async def click(self, user: str, message: Message, title: str) -> Any:
        """Click the button with this title, as it is there now."""
        found = [(b, e) for b in message.blocks if b["type"] == "actions" for e in b["elements"]]
        block, element = next((b, e) for b, e in found if e["text"]["text"] == title)
        return await self.click_on(user, message, block["block_id"], element)

    async def click_on(self, user: str, message: Message, block: str, element: dict[str, Any]) -> Any:
        """Click a button, also one that somebody still sees who has not looked for a while."""
        payload = {
            "type": "block_actions",
            "user": self._user(user),
            "api_app_id": "A01",
            "team": {"id": "T01", "domain": "double"},
            "container": {"type": "message", "message_ts": message.ts, "channel_id": message.channel},
            "channel": {"id": message.channel, "name": "releases"},
            "trigger_id": self.double.workspace.new_trigger(user),
            "response_url": f"http://127.0.0.1:{self.double.port}/response",
            "actions": [
                {**element, "block_id": block, "action_ts": f"{self.double.clock():.6f}"},
            ],
        }
        return await self.send(payload)

    async def submit(self, view: dict[str, Any], comment: str = "") -> Any:
        """Press the dialog's button."""
        values: dict[str, Any] = {}
        for block in view["blocks"]:
            if block["type"] == "input":
                element = block["element"]
                values[block["block_id"]] = {
                    element["action_id"]: {"type": "plain_text_input", "value": comment or None}
                }
        shown = {k: v for k, v in view.items() if k != "user"}
        return await self.send(
            {
                "type": "view_submission",
                "user": self._user(view["user"]),
                "api_app_id": "A01",
                "team": {"id": "T01", "domain": "double"},
                "view": {**shown, "state": {"values": values}},
            }
        )

    async def send(self, payload: dict[str, Any]) -> Any:
        """Send an interaction: the acknowledgement, or the status and body of the answer."""
        if not self.url:
            return await self.double.send_envelope(payload)
        body = urlencode({"payload": json.dumps(payload)}).encode()
        headers = self.signed(body, int(self.double.clock()))
        self.sent.append((body, headers))
        return await self.post(body, headers)

    def signed(self, body: bytes, timestamp: int) -> dict[str, str]:
        """Return the headers with which Slack signs (docs.slack.dev/authentication/verifying-requests-from-slack)."""
        digest = hmac.new(self.secret.encode(), b"v0:%d:%s" % (timestamp, body), hashlib.sha256).hexdigest()
        return {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Slack-Request-Timestamp": str(timestamp),
            "X-Slack-Signature": f"v0={digest}",
        }

    async def post(self, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        """Send a request as it is."""
        async with aiohttp.ClientSession() as session, session.post(self.url, data=body, headers=headers) as answer:
            return answer.status, await answer.text()

    def told(self, user: str) -> list[str]:
        """Return what a person was told alone."""
        return [text for _, who, text in self.double.workspace.told if who == user]

    @staticmethod
    def _user(user: str) -> dict[str, Any]:
        return {"id": user, "username": f"name-of-{user.lower()}", "name": f"name-of-{user.lower()}", "team_id": "T01"}
