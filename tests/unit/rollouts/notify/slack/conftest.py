"""Slack's double, a token for it, and a Rollout that goes through a release."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from doubles.slack import SlackDouble
from doubles.slack.server import BOT_TOKEN

from rollouts.api.slack import Slack
from rollouts.notify.base import Transition
from rollouts.notify.slack import SlackSink
from rollouts.notify.slack_client import SlackClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

START = 1_763_765_000.0


@dataclass
class Time:
    """Seconds that go on only when somebody says so."""

    now: float = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
async def slack(clock: Time) -> AsyncIterator[SlackDouble]:
    double = SlackDouble(clock=clock)
    await double.start()
    yield double
    await double.stop()


@pytest.fixture
def settings(slack: SlackDouble, tmp_path: Path) -> Callable[..., Slack]:
    """Makes a configuration; what is not said is what most people have."""
    (tmp_path / "token").write_text(f"{BOT_TOKEN}\n")

    def make(**more: Any) -> Slack:
        said = {
            "tokenFile": str(tmp_path / "token"),
            "appTokenFile": str(tmp_path / "app-token"),
            "channel": "C0RELEASES",
            "commands": {"users": ["U0OPS"]},
            "links": {"commit": "https://git.shop/{name}/commit/{commit}"},
            "apiUrl": slack.api_url,
        }
        return Slack.model_validate({**said, **more})

    return make


@pytest.fixture
async def client(settings: Callable[..., Slack], clock: Time) -> AsyncIterator[SlackClient]:
    made = SlackClient(settings().token_file, settings().api_url, clock=clock)
    yield made
    await made.close()


@dataclass
class Payment:
    """A Rollout as the API server has it, and its transitions."""

    uid: str = "uid-payment"
    name: str = "payment"
    number: int = 0
    body: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.body = {
            "metadata": {
                "namespace": "shop",
                "name": self.name,
                "uid": self.uid,
                "annotations": {"coalmine.dev/git-commit": "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"},
            },
            "spec": {"workloadRef": {"name": self.name}},
            "status": {
                "phase": "Healthy",
                "stable": {"revision": "aaa111", "images": ["registry.example/shop/payment:v1"]},
                "weight": {"configured": 0},
            },
        }

    def now(self, **status: Any) -> None:
        self.body["status"] = {**self.body["status"], **status}

    def begin(self, started: str = "2025-11-21T22:43:20Z", revision: str = "bbb222", tag: str = "v2") -> None:
        canary = {"revision": revision, "images": [f"registry.example/shop/payment:{tag}"]}
        self.now(phase="Starting", startedAt=started, canary=canary, message="starts the canary")

    def end(self, outcome: str, phase: str) -> None:
        status = self.body["status"]
        entry = {
            "revision": status["canary"]["revision"],
            "images": status["canary"]["images"],
            "stable": status["stable"]["revision"],
            "outcome": outcome,
            "reason": f"it is {outcome}",
            "startedAt": status["startedAt"],
            "endedAt": "2025-11-21T22:53:20Z",
        }
        self.now(phase=phase, history=[*status.get("history", []), entry], approval=None)

    def tell(self, reason: str, note: str = "so it is", **status: Any) -> Transition:
        """Return the next transition, with the status as it is after these changes."""
        self.number += 1
        self.now(internal={"number": self.number}, **status)
        told = {k: v for k, v in self.body["status"].items() if k != "internal" and v is not None}
        return Transition(
            namespace="shop",
            name=self.name,
            uid=self.uid,
            number=self.number,
            at=START + self.number,
            type="Normal",
            reason=reason,
            note=note,
            status=told,
            annotations=self.body["metadata"]["annotations"],
        )


@pytest.fixture
def payment() -> Payment:
    return Payment()


@pytest.fixture
def make_rollout() -> type[Payment]:
    return Payment


@pytest.fixture
def sink(client: SlackClient, settings: Callable[..., Slack], payment: Payment, clock: Time) -> SlackSink:
    return SlackSink(client, settings(), lambda _namespace, _name: payment.body, clock=clock)
