"""Each place over a real socket: what it is told, what its answers mean, and never twice."""

from __future__ import annotations

import json

import pytest
from doubles.notified import DiscordDouble, EventsDouble, PagerDutyDouble, TeamsDouble
from standardwebhooks import Webhook

from rollouts.api.notifications import CloudEvents, Discord, PagerDuty, Teams
from rollouts.notify.base import DoubtfulError, LaterError, RefusedError, UnclearError
from rollouts.notify.cloud_events import CloudEventsSink
from rollouts.notify.discord import DiscordSink
from rollouts.notify.pagerduty import PagerDutySink
from rollouts.notify.teams import TeamsSink

LINK = "https://coalmine.shop/#/{{ namespace }}/{{ name }}"
SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


DOUBLES = {"events": EventsDouble, "teams": TeamsDouble, "discord": DiscordDouble, "pagerduty": PagerDutyDouble}


@pytest.fixture
def double_of(started):
    """Starts a double by its name."""

    async def start(name):
        return await started(DOUBLES[name]())

    return start


@pytest.fixture
async def events(double_of):
    return await double_of("events")


@pytest.fixture
async def teams(double_of):
    return await double_of("teams")


@pytest.fixture
async def discord(double_of):
    return await double_of("discord")


@pytest.fixture
async def pagerduty(double_of):
    return await double_of("pagerduty")


@pytest.fixture
def sink(session, secret):
    """Opens a sink on a double."""

    def make(double, **more):
        name = type(double).__name__.removesuffix("Double").lower()
        kinds = {
            "events": (CloudEventsSink, CloudEvents, {"url": f"{double.root}/in"}),
            "teams": (TeamsSink, Teams, {"url_file": secret(getattr(double, "url", "x"))}),
            "discord": (DiscordSink, Discord, {"url_file": secret(getattr(double, "url", "x"))}),
            "pagerduty": (
                PagerDutySink,
                PagerDuty,
                {"url": getattr(double, "url", "http://x"), "routing_key_file": secret(PagerDutyDouble.KEY)},
            ),
        }
        kind, model, fields = kinds[name]
        return kind(model(name=name, **{**fields, **more}), f"notifications.{name}.0", session, LINK)

    return make


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_a_cloud_event_says_what_happened_and_has_the_same_id_each_time(events, sink, transition, secret, mode):
    told = sink(events, mode=mode, token_file=secret("t0ken"), signing_secret_file=secret(SIGNING))
    for doubtful in (False, True):
        await told.send(transition("RollbackStarted", 7), {}, doubtful=doubtful)
    (event,) = events.events.values()
    assert (event.get_id(), event.get_type()) == ("8f1c2d3e-0000.7", "dev.coalmine.rollout.RollbackStarted")
    assert event.get_source() == "/apis/coalmine.dev/v1alpha1/namespaces/shop/rollouts/payment"
    assert event.get_subject() == "shop/payment"
    data = event.get_data()
    assert (data["reason"], data["status"]["weight"]["actual"]) == ("RollbackStarted", 9.8)
    first = events.headers[0]
    assert first["authorization"] == "Bearer t0ken"
    assert Webhook(SIGNING).verify(events.bodies[0], first) is not None
    assert events.bodies[0] == events.bodies[1]
    assert first["content-type"].startswith(
        "application/cloudevents+json" if mode == "structured" else "application/json"
    )


async def test_a_card_has_the_facts_and_the_link(teams, sink, transition):
    await sink(teams).send(transition("RollbackStarted"), {}, doubtful=False)
    (card,) = teams.cards
    title, text, facts = card["body"]
    assert (title["text"], title["color"]) == ("shop/payment: Rollback started", "Attention")
    assert text["text"] == "about RollbackStarted"
    assert {"title": "Canary's share", "value": "10 %, 9.8 % measured"} in facts["facts"]
    assert {"title": "Evidence", "value": "errors: 5 % of 412 against 0.1 % of 3,702"} in facts["facts"]
    assert card["actions"][0]["url"] == "https://coalmine.shop/#/shop/payment"


async def test_an_embed_calls_nobody_and_is_cut_to_what_discord_takes(discord, sink, transition):
    long = transition("Promoted", note="@everyone " * 900)
    await sink(discord).send(long, {}, doubtful=False)
    (message,) = discord.messages
    assert discord.titles == ["shop/payment: Promoted"]
    assert len(message["embeds"][0]["description"]) == 2500
    assert message["allowed_mentions"] == {"parse": []}


async def test_templates_are_used_and_one_that_fails_says_so_in_the_message(teams, sink, transition):
    template = {"title": "{{ reason }} of {{ images[0] }}", "text": "{{ note }}: {{ annotations.nothing.there }}"}
    await sink(teams, template=template).send(transition(), {}, doubtful=False)
    failing = {"text": "{{ status.weight.configured + note }}"}
    await sink(teams, template=failing).send(transition(), {}, doubtful=False)
    first, second = teams.cards
    assert [b["text"] for b in first["body"]] == ["ReleaseStarted of shop/payment:v2", "about ReleaseStarted:"]
    assert second["body"][1]["text"].startswith("about ReleaseStarted (the template failed: unsupported operand")


async def test_pagerduty_opens_one_alert_and_a_later_success_ends_it(pagerduty, sink, transition):
    told = sink(pagerduty)
    memory = {}
    for number, reason in enumerate(
        ["Promoted", "RollbackStarted", "RollbackStarted", "Promoted", "Promoted"], start=1
    ):
        memory = await told.send(transition(reason, number), memory, doubtful=False)
    assert pagerduty.incidents == {"coalmine/8f1c2d3e-0000": ["trigger", "trigger", "resolve"]}
    assert pagerduty.opened() == 1
    payload = pagerduty.payloads[0]["payload"]
    assert payload["summary"] == "shop/payment: Rollback started: about RollbackStarted"
    assert (payload["severity"], payload["source"], payload["class"]) == ("error", "shop/payment", "RollbackStarted")


async def test_pagerduty_is_asked_for_what_opens_and_for_what_ends(pagerduty, sink, transition):
    told = sink(pagerduty)
    reasons = ("RollbackStarted", "Inconclusive", "Promoted", "Reverted", "Aborted", "ReleaseStarted")
    assert [told.wants(transition(r)) for r in reasons] == [True, True, True, True, False, False]


@pytest.mark.parametrize("name", ["teams", "discord"])
async def test_what_may_have_been_told_is_not_told_again_where_nobody_can_be_asked(name, double_of, sink, transition):
    double = await double_of(name)
    double.trouble.next = ["lost"]
    with pytest.raises(UnclearError, match="gave no answer"):
        await sink(double).send(transition(), {}, doubtful=False)
    with pytest.raises(DoubtfulError, match="it is not told again"):
        await sink(double).send(transition(), {}, doubtful=True)
    assert len(double.titles) == 1


@pytest.mark.parametrize("name", ["events", "teams", "discord", "pagerduty"])
class TestAnswers:
    async def test_a_limit_is_kept_to(self, name, double_of, sink, transition):
        double = await double_of(name)
        double.trouble.next, double.trouble.retry_after = ["429"], "17"
        with pytest.raises(LaterError) as found:
            await sink(double).send(transition("RollbackStarted"), {}, doubtful=False)
        assert found.value.seconds == 17

    async def test_a_server_that_is_down_was_surely_not_told(self, name, double_of, sink, transition):
        double = await double_of(name)
        told = sink(double)
        await double.stop()
        with pytest.raises(LaterError, match="cannot be reached") as found:
            await told.send(transition("RollbackStarted"), {}, doubtful=False)
        assert found.value.seconds is None

    @pytest.mark.parametrize("what", ["500", "502", "cut", "lost"])
    async def test_no_clear_answer_may_mean_that_it_was_told(self, name, double_of, sink, transition, what):
        double = await double_of(name)
        double.trouble.next = [what]
        with pytest.raises(UnclearError):
            await sink(double).send(transition("RollbackStarted"), {}, doubtful=False)

    @pytest.mark.parametrize("status", ["302", "400", "404", "410"])
    async def test_what_is_refused_for_good_names_the_setting_and_no_secret(
        self, name, double_of, sink, transition, status
    ):
        double = await double_of(name)
        double.trouble.next = [status]
        with pytest.raises(RefusedError) as found:
            await sink(double).send(transition("RollbackStarted"), {}, doubtful=False)
        assert f"notifications.{name}.0" in str(found.value)
        assert "SECRET" not in str(found.value)
        assert PagerDutyDouble.KEY not in str(found.value)


async def test_a_secret_that_is_not_there_yet_is_waited_for_and_an_empty_one_is_refused(
    discord, sink, transition, tmp_path
):
    path = tmp_path / "url"
    told = sink(discord, url_file=str(path))
    with pytest.raises(LaterError, match=r"notifications\.discord\.0\.urlFile: .*/url cannot be read"):
        await told.send(transition(), {}, doubtful=False)
    path.write_text("\n")
    with pytest.raises(RefusedError, match="holds no secret"):
        await told.send(transition(), {}, doubtful=False)
    path.write_text(discord.url)
    await told.send(transition(), {}, doubtful=False)
    assert discord.titles == ["shop/payment: Release started"]


async def test_everything_that_is_sent_is_json_of_one_kind(teams, sink, transition):
    """Two tries have the same bytes, as the status is the one that was stored with the transition."""
    told = sink(teams)
    for _ in range(2):
        await told.send(transition(), {}, doubtful=False)
    first, second = teams.cards
    assert json.dumps(first) == json.dumps(second)
