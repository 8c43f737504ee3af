"""Slack's double with people who click, and an API server that keeps one Rollout."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from doubles.slack import People, SlackDouble
from doubles.slack.server import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET

from rollouts.api.slack import Slack
from rollouts.engine.kube import ConflictError
from rollouts.gates.slack import Tasks, make_app
from rollouts.gates.slack_clicks import Clicks
from rollouts.gates.slack_groups import Groups
from rollouts.notify.slack_client import SlackClient
from rollouts.notify.slack_messages import Look, release_message
from rollouts.notify.slack_transitions import metadata_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

START = 1_763_765_000.0
BEGAN = "2025-11-21T22:43:20Z"


@dataclass
class Time:
    """Seconds that go on only when somebody says so."""

    now: float = START

    def __call__(self) -> float:
        return self.now


@dataclass
class Server:
    """The API server, as far as clicks need it: one Rollout, optimistic concurrency, merge patches of annotations."""

    body: dict[str, Any]
    patches: list[dict[str, Any]] = field(default_factory=list)
    meanwhile: Callable[[], None] | None = None
    """Happens once, between the next look and the next patch."""
    error: Exception | None = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Any = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> dict[str, Any] | None:
        if self.error is not None:
            raise self.error
        metadata = self.body["metadata"]
        if not path.endswith(f"/namespaces/{metadata['namespace']}/rollouts/{metadata['name']}"):
            return None
        if method == "PATCH":
            if self.meanwhile is not None:
                change, self.meanwhile = self.meanwhile, None
                change()
            if body["metadata"]["resourceVersion"] != metadata["resourceVersion"]:
                raise ConflictError(409, "Conflict", "it was changed")
            self.patches.append(body)
            metadata.setdefault("annotations", {}).update(body["metadata"]["annotations"])
            self.touch()
        return copy.deepcopy(self.body)

    def now(self, **status: Any) -> None:
        """Somebody, or the controller, changed the Rollout."""
        self.body["status"] = {k: v for k, v in {**self.body["status"], **status}.items() if v is not None}
        self.touch()

    def touch(self) -> None:
        metadata = self.body["metadata"]
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)

    def annotation(self, name: str) -> str:
        return str((self.body["metadata"].get("annotations") or {}).get(f"coalmine.dev/{name}", ""))


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
async def slack(clock: Time) -> AsyncIterator[SlackDouble]:
    double = SlackDouble(clock=clock)
    double.workspace.groups["S0SRE"] = ["U0SRE"]
    await double.start()
    yield double
    await double.stop()


@pytest.fixture
def settings(slack: SlackDouble, tmp_path: Path) -> Slack:
    for name, secret in (("token", BOT_TOKEN), ("app-token", APP_TOKEN), ("signing-secret", SIGNING_SECRET)):
        (tmp_path / name).write_text(f"{secret}\n")
    return Slack.model_validate(
        {
            "tokenFile": str(tmp_path / "token"),
            "appTokenFile": str(tmp_path / "app-token"),
            "signingSecretFile": str(tmp_path / "signing-secret"),
            "channel": "C0RELEASES",
            "commands": {"users": ["U0OPS"], "userGroups": ["S0SRE"]},
            "apiUrl": slack.api_url,
        }
    )


@pytest.fixture
def server() -> Server:
    """A release that waits for two of three people and a group."""
    return Server(
        {
            "metadata": {"namespace": "shop", "name": "payment", "uid": "uid-payment", "resourceVersion": "7"},
            "spec": {"workloadRef": {"name": "payment"}},
            "status": {
                "phase": "AwaitingApproval",
                "message": "waits at 10 % for approval",
                "startedAt": BEGAN,
                "stable": {"revision": "aaa111", "images": ["registry.example/shop/payment:v1"]},
                "canary": {"revision": "bbb222", "images": ["registry.example/shop/payment:v2"]},
                "approval": {
                    "gate": "step-2.bbb222",
                    "message": "Does the till still ring?",
                    "restricted": True,
                    "approvers": {"slackUsers": ["U0ANN", "U0BOB"], "slackGroups": ["S0SRE"]},
                    "required": 2,
                    "missing": 2,
                },
            },
        }
    )


@pytest.fixture
async def clicks(slack: SlackDouble, settings: Slack, server: Server, clock: Time) -> AsyncIterator[Clicks]:
    client = SlackClient(settings.token_file, settings.api_url, clock=clock)

    async def at_once(_seconds: float) -> None:
        pass

    yield Clicks(client, Groups(client.members, clock=clock), server, settings, clock=clock, sleep=at_once)
    await client.close()


@dataclass
class Scene:
    """What happens between people, Slack and the controller."""

    slack: SlackDouble
    server: Server
    settings: Slack
    people: People
    tasks: Tasks

    async def message(self) -> Any:
        """Post the release's message as it is now."""
        look = Look(self.settings.links, gates=True, commands=True)
        content = release_message(self.server.body, BEGAN, look)
        sent = {"channel": "C0RELEASES", "text": content.text, "blocks": content.blocks}
        self.slack.workspace.call("chat.postMessage", {**sent, "metadata": metadata_of("uid-payment", 1)})
        return self.slack.workspace.top()[-1]

    async def click(self, user: str, title: str, message: Any = None) -> Any:
        """Click, and return the dialog that came; None where none did."""
        before = len(self.slack.workspace.views)
        answer = await self.people.click(user, message or await self.message(), title)
        assert answer == (200, "")
        await self.tasks.close()
        views = self.slack.workspace.views[before:]
        return views[-1] if views else None

    async def confirm(self, view: Any, comment: str = "") -> None:
        assert await self.people.submit(view, comment) == (200, "")
        await self.tasks.close()

    async def decide(self, user: str, title: str, comment: str = "", message: Any = None) -> None:
        """Click and confirm."""
        view = await self.click(user, title, message)
        assert view is not None, self.people.told(user)
        await self.confirm(view, comment)


@pytest.fixture
async def scene(
    slack: SlackDouble, server: Server, settings: Slack, clicks: Clicks, clock: Time
) -> AsyncIterator[Scene]:
    """Clicks come as signed requests."""
    tasks = Tasks()
    app = web.Application()
    app.add_subapp("/slack", make_app(str(settings.signing_secret_file), clicks.handle, tasks, clock=clock))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    people = People(slack, f"http://127.0.0.1:{runner.addresses[0][1]}/slack/interactive")
    yield Scene(slack, server, settings, people, tasks)
    await runner.cleanup()
