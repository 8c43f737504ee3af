"""A release told in Slack, and steered from there: by Socket Mode and by signed requests, also while controllers are killed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from doubles.slack import People
from doubles.slack.server import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET
from doubles.slack.thread import SlackInThread
from running.controllers import Controller, instead

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from coalmine.local.cluster import LocalCluster

pytestmark = pytest.mark.integration

STEPS = [
    {"setWeight": 20},
    {"approval": {"message": "Does the till still ring?", "approvers": {"slackUsers": ["U0ANN", "U0BOB"]}}},
    {"setWeight": 50},
    {"pause": {}},
]


@pytest.fixture
def slack() -> Iterator[SlackInThread]:
    made = SlackInThread()
    yield made
    made.end()


@pytest.fixture
def controller(stack: LocalCluster, slack: SlackInThread, tmp_path: Path) -> Iterator[Controller]:
    """In place of the cluster's own."""
    for name, secret in (("token", BOT_TOKEN), ("app-token", APP_TOKEN), ("signing-secret", SIGNING_SECRET)):
        (tmp_path / name).write_text(secret)
    settings = {
        "tokenFile": str(tmp_path / "token"),
        "appTokenFile": str(tmp_path / "app-token"),
        "signingSecretFile": str(tmp_path / "signing-secret"),
        "channel": "C0RELEASES",
        "commands": {"users": ["U0OPS"]},
        "refresh": "1s",
        "apiUrl": slack.slack.api_url,
    }
    (tmp_path / "controller.yaml").write_text(yaml.safe_dump({"slack": settings}))
    with instead(stack, Controller(stack, "with-slack", f"--config={tmp_path / 'controller.yaml'}")) as made:
        yield made


class Channel:
    """What stands in the channel, and what people do there."""

    def __init__(self, slack: SlackInThread, shop: Any) -> None:
        self._slack, self._shop = slack, shop
        self.workspace = slack.slack.workspace

    @property
    def message(self) -> Any:
        """The newest release's message."""
        return self.workspace.top()[-1]

    @property
    def title(self) -> str:
        return str(self.message.blocks[0]["text"]["text"]) if self.workspace.top() else ""

    def numbers(self, message: Any) -> list[int]:
        """Numbers of the transitions in a message and its thread, in the order in which they came."""
        told = [message, *self.workspace.thread(message)]
        return [m.metadata["event_payload"]["number"] for m in told]

    def await_button(self, title: str) -> None:
        self._shop.until(lambda: bool(self.workspace.top()) and title in People.buttons(self.message))

    def click(self, user: str, title: str, people: People | None = None) -> Any:
        """Click, and return the dialog; None where the person is told something instead."""
        views, told = len(self.workspace.views), len(self.workspace.told)
        answer = self._slack.do((people or self._slack.people).click(user, self.message, title))
        assert answer is not None, "nobody acknowledged the click"
        self._shop.until(lambda: len(self.workspace.views) > views or len(self.workspace.told) > told)
        return self.workspace.views[-1] if len(self.workspace.views) > views else None

    def confirm(self, view: Any, comment: str = "", people: People | None = None) -> str:
        """Press the dialog's button, and return what the person is told."""
        told = len(self.workspace.told)
        assert self._slack.do((people or self._slack.people).submit(view, comment)) is not None
        self._shop.until(lambda: len(self.workspace.told) > told)
        return str(self.workspace.told[-1][2])


def test_a_release_is_told_and_steered_in_slack_while_controllers_are_killed(shop, slack, controller):
    channel = Channel(slack, shop)
    shop.until(controller.becomes_ready)
    shop.open(steps=STEPS, analysis={"enabled": False, "minStepDuration": "1s"})
    assert channel.workspace.top() == []
    # Slack takes the first message and the answer is lost: it is found again.
    slack.slack.trouble.planned.append(("chat.postMessage", "after"))
    shop.push("v2")
    channel.await_button("Approve")
    assert "payment v2: awaiting approval" in channel.title

    assert channel.click("U0EVE", "Approve") is None
    assert slack.people.told("U0EVE") == [
        f"🚫 Approve of *{shop.namespace}/payment* was not done: this gate does not name you (approvers)"
    ]
    assert shop.status["approval"]["missing"] == 1

    controller.kill_and_start()
    shop.until(lambda: controller.becomes_ready() and slack.slack.connections > 0)
    first, second = channel.click("U0ANN", "Approve"), channel.click("U0ANN", "Approve")
    assert channel.confirm(first, "it rings").endswith("the gate is passed")
    assert "was not done" in channel.confirm(second)
    shop.until(lambda: shop.status["phase"] == "Paused")
    assert shop.weight == 50

    controller.kill_and_start()
    shop.until(controller.becomes_ready)
    channel.await_button("Roll back")
    signed = People(slack.slack, f"http://{controller.http}/slack/interactive")
    view = channel.click("U0OPS", "Roll back", signed)
    slack.slack.trouble.down = True
    assert slack.do(signed.submit(view, "customers call")) == (200, "")
    shop.until(lambda: shop.status["phase"] == "RolledBack")
    assert "payment v2: paused" in channel.title  # nobody could be told, and nothing waited for that
    slack.slack.trouble.down = False
    shop.until(lambda: "payment v2: aborted" in channel.title)
    stranger = People(slack.slack, signed.url, secret="another")
    assert slack.do(stranger.click_on("U0OPS", channel.message, "coalmine.actions", {}))[0] == 401

    (top,) = channel.workspace.top()
    assert People.buttons(top) == []
    last = json.loads(shop.kubectl("get", "rollout", "payment", "-o", "json"))["status"]["internal"]["number"]
    shop.until(lambda: channel.numbers(top)[-1] == last)
    assert channel.numbers(top) == list(range(channel.numbers(top)[0], last + 1))
    entry = shop.status["history"][-1]
    assert entry["outcome"] == "Aborted"
    assert [(d["by"], d["via"], d["comment"]) for d in entry["approvals"]] == [("U0ANN", "Slack", "it rings")]
    assert shop.failed_by_us() == []
