"""Releases told everywhere at once, while controllers are killed and one place is down: each transition once, in order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from doubles.notified import (
    DiscordDouble,
    EventsDouble,
    GitHubDouble,
    MailDouble,
    PagerDutyDouble,
    Serving,
    TeamsDouble,
)
from running.controllers import Controller, instead

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from coalmine.local.cluster import LocalCluster

pytestmark = pytest.mark.integration

BAD, GOOD = "b" * 40, "a" * 40
STEPS = [{"setWeight": 20}, {"pause": {}}, {"setWeight": 50}]
EVERYTHING = {"types": ["Normal", "Warning"]}
NUMBERED = {"template": {"title": "{{ number }} {{ reason }}"}}


class Places:
    """The doubles, and what is configured for them."""

    def __init__(self, folder: Path) -> None:
        self.events, self.teams, self.discord = EventsDouble(), TeamsDouble(), DiscordDouble()
        self.pagerduty, self.mail, self.github = PagerDutyDouble(), MailDouble(), GitHubDouble(prefix="/api/v3")
        self.all = (self.events, self.teams, self.discord, self.pagerduty, self.mail, self.github)
        self._folder = folder

    def configuration(self) -> dict[str, Any]:
        def file(name: str, secret: str) -> str:
            (self._folder / name).write_text(secret)
            return str(self._folder / name)

        notifications = {
            "link": "https://coalmine.example/#/{{ namespace }}/{{ name }}",
            "cloudEvents": [{"name": "events", "when": EVERYTHING, "url": f"{self.events.root}/coalmine"}],
            "teams": [{"name": "teams", "when": EVERYTHING, "urlFile": file("teams", self.teams.url), **NUMBERED}],
            "discord": [
                {"name": "discord", "when": EVERYTHING, "urlFile": file("discord", self.discord.url), **NUMBERED}
            ],
            "pagerDuty": [
                {
                    "name": "pager", "when": {"reasons": ["Aborted", "RollbackStarted"]}, "url": self.pagerduty.url,
                    "routingKeyFile": file("key", PagerDutyDouble.KEY),
                }
            ],
            "mail": [
                {
                    "name": "mail", "host": "127.0.0.1", "port": self.mail.port, "tls": "none",
                    "from": "coalmine@shop.example", "to": ["ops@shop.example"], **NUMBERED,
                }
            ],
        }  # fmt: skip
        host = {"kind": "GitHub", "url": self.github.root, "tokenFile": file("token", GitHubDouble.TOKEN)}
        return {"notifications": notifications, "commitStatus": {"hosts": [host]}}


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    places = Places(tmp_path)
    with Serving(*places.all):
        yield places


@pytest.fixture
def controller(stack: LocalCluster, places: Places, tmp_path: Path) -> Iterator[Controller]:
    (tmp_path / "controller.yaml").write_text(yaml.safe_dump(places.configuration()))
    with instead(stack, Controller(stack, "telling", f"--config={tmp_path / 'controller.yaml'}")) as made:
        yield made


def _release(shop: Any, version: str, commit: str, places: Places, **more: Any) -> None:
    """Push as a pipeline does: the commit is in the Deployment's annotations before the template changes."""
    said = [f"coalmine.dev/git-commit={commit}", f"coalmine.dev/repository={places.github.root}/acme/shop.git"]
    shop.kubectl("annotate", "--overwrite", "deployment/payment", *said)
    shop.push(version, **more)


def _told(shop: Any) -> list[str]:
    """Reasons of the Rollout's transitions, in order, as its Events say."""
    return [reason for reason in shop.events() if not reason.startswith("Notification")]


def _owed(shop: Any) -> dict[str, list[int]]:
    uid = shop.get("rollout", "payment")["metadata"]["uid"]
    found = shop.get("configmap", f"coalmine-notifications-{uid}")
    assert found is not None
    assert found["metadata"]["ownerReferences"][0]["uid"] == uid
    return {sink: lane.get("owed", []) for sink, lane in json.loads(found["data"]["marks"])["lanes"].items()}


def _numbers(titles: list[str]) -> list[int]:
    return [int(title.split()[0]) for title in titles]


def _not_sent(shop: Any, place: str) -> set[int]:
    """Numbers of the transitions of which an Event says that a place was not told again."""
    items = shop.live.all("event", shop.namespace)
    found = [e for e in items if e["reason"] == "NotificationNotSent" and e["note"].startswith(f"{place}: ")]
    assert all("it is not told again" in e["note"] for e in found)
    return {int(e["metadata"]["name"].rsplit(".", 1)[1]) for e in found}


def test_every_transition_is_told_once_while_controllers_are_killed_and_a_place_is_down(
    shop: Any, controller: Controller, places: Places
) -> None:
    places.discord.trouble.next, places.discord.trouble.retry_after = ["429"] * 10_000, "3"
    shop.until(controller.becomes_ready)
    shop.open(steps=STEPS, analysis={"enabled": False, "minStepDuration": "2s"})

    # One that is taken back. Two places have taken a message and not answered when the controller is killed.
    _release(shop, "v2", BAD, places)
    shop.until(lambda: "PauseStarted" in places.events.reasons and not _owed(shop)["teams"])
    places.events.trouble.next, places.teams.trouble.next = ["held"], ["held"]
    places.pagerduty.trouble.next, places.mail.next = ["lost", "503"], ["lost"]
    shop.annotate("abort")
    assert places.events.holds.wait(120)
    assert places.teams.holds.wait(120)
    controller.kill_and_start()
    shop.until(lambda: shop.state == "RolledBack")
    controller.kill_and_start()  # once more, wherever its couriers are
    shop.until(lambda: not any(owed for sink, owed in _owed(shop).items() if sink != "discord"))
    assert places.github.states(BAD) == ["pending", "failure"]
    owed = {*_owed(shop)["discord"], *_not_sent(shop, "discord")}  # one that was on its way at a kill is not sent again
    assert owed == set(range(1, len(_told(shop)) + 1)), "it is owed all, and holds up nobody"

    # A good one, with Discord back.
    places.discord.trouble.next = []
    _release(shop, "v3", GOOD, places)
    shop.until(lambda: shop.state == "Paused")
    shop.until(lambda: not any(_owed(shop).values()))
    controller.kill_and_start()
    shop.annotate("resume")
    shop.until(lambda: shop.status["phase"] == "Healthy")
    shop.until(lambda: not any(_owed(shop).values()))

    told = _told(shop)
    everything = list(range(1, len(told) + 1))
    assert [told.count(reason) for reason in ("Aborted", "RolledBack", "Promoted")] == [1, 1, 1]
    assert places.events.reasons == told
    assert [e.get_data()["number"] for e in places.events.events.values()] == everything
    assert "held" in places.events.requests
    assert len(places.events.bodies) > len(told), "the one without an answer came again, under its id"
    for name, titles in (("teams", places.teams.titles), ("discord", places.discord.titles)):
        numbers = _numbers(titles)
        assert numbers == sorted(set(numbers)), "never twice, though nobody can be asked"
        assert set(everything) - set(numbers) <= _not_sent(shop, name)
    assert _not_sent(shop, "teams") >= {told.index("Aborted") + 1}
    assert len(places.discord.titles) >= len(told) - 2, "two kills"
    assert places.pagerduty.opened() == 1
    (log,) = places.pagerduty.incidents.values()
    assert (log[0], log[-1]) == ("trigger", "resolve")
    mails = _numbers([str(m["Subject"]) for m in places.mail.shown])
    wanted = {"ReleaseStarted", "CanaryReplaced", "Promoted", "Aborted", "RolledBack"}
    assert [told[n - 1] for n in mails if told[n - 1] in wanted] == [reason for reason in told if reason in wanted]
    assert places.github.states(GOOD) == ["pending", "success"]
