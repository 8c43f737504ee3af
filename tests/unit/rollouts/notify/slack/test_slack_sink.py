"""One message for each release, a thread with the transitions, each once: over real sockets against the double."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollouts.notify.base import DoubtfulError, LaterError, RefusedError, UnclearError
from rollouts.notify.slack import SlackSink
from rollouts.notify.slack_client import SlackClient


def numbers(slack, channel="C0RELEASES"):
    """Numbers of the transitions that were told, in the order of the messages."""
    return [m.metadata["event_payload"]["number"] for m in slack.workspace.messages[channel]]


def words(message):
    found = []
    for block in message.blocks:
        texts = [block.get("text"), *block.get("fields", []), *block.get("elements", [])]
        found += [t["text"] if isinstance(t["text"], str) else t["text"]["text"] for t in texts if t]
    return "\n".join(found)


async def test_the_first_transition_is_the_releases_message_and_the_others_are_its_thread(sink, slack, payment):
    payment.begin()
    memory = await sink.send(payment.tell("ReleaseStarted"), {}, doubtful=False)
    memory = await sink.send(payment.tell("StepStarted", phase="Progressing", step="1/3"), memory, doubtful=False)
    payment.end("Promoted", "Promoting")
    memory = await sink.send(payment.tell("Promoted"), memory, doubtful=False)
    (top,) = slack.workspace.top()
    assert [m.metadata["event_payload"]["number"] for m in slack.workspace.thread(top)] == [2, 3]
    assert "payment v2: promoted" in words(top)
    assert top.metadata["event_payload"] == {"uid": "uid-payment", "number": 1}


async def test_a_next_release_gets_a_message_of_its_own_and_the_one_before_says_how_it_ended(sink, slack, payment):
    payment.begin()
    memory = await sink.send(payment.tell("ReleaseStarted"), {}, doubtful=False)
    payment.end("Superseded", "Starting")
    payment.begin(started="2025-11-21T22:53:21Z", revision="ccc333", tag="v3")
    memory = await sink.send(payment.tell("Superseded"), memory, doubtful=False)
    await sink.send(payment.tell("CanaryReplaced"), memory, doubtful=False)
    before, now = slack.workspace.top()
    assert "payment v2: superseded by a newer change" in words(before)
    assert "payment v3: starting" in words(now)
    assert not [b for b in before.blocks if b["type"] == "actions"]
    assert len(slack.workspace.thread(now)) == 1


async def test_a_connection_that_breaks_before_slack_took_it_is_told_once(sink, slack, payment):
    payment.begin()
    told = payment.tell("ReleaseStarted")
    slack.trouble.planned.append(("chat.postMessage", "before"))
    with pytest.raises(UnclearError):
        await sink.send(told, {}, doubtful=False)
    await sink.send(told, {}, doubtful=True)
    assert numbers(slack) == [1]


@pytest.mark.parametrize("what", ["after", "failing"])
async def test_a_message_that_arrived_without_an_answer_is_found_again(sink, slack, payment, what):
    payment.begin()
    first, second = payment.tell("ReleaseStarted"), payment.tell("StepStarted")
    slack.trouble.planned.append(("chat.postMessage", what))
    with pytest.raises(UnclearError):
        await sink.send(first, {}, doubtful=False)
    memory = await sink.send(first, {}, doubtful=True)
    slack.trouble.planned.append(("chat.postMessage", what))
    with pytest.raises(UnclearError):
        await sink.send(second, memory, doubtful=False)
    assert await sink.send(second, memory, doubtful=True) == memory
    assert numbers(slack) == [1, 2]


async def test_a_message_of_many_is_found_again_on_a_later_page(sink, slack, payment, client):
    payment.begin()
    told = payment.tell("ReleaseStarted")
    await sink.send(told, {}, doubtful=False)
    for _ in range(450):
        slack.workspace.call("chat.postMessage", {"channel": "C0RELEASES", "text": "talk"})
    memory = await sink.send(told, {}, doubtful=True)
    assert memory["ts"] == slack.workspace.top()[0].ts


async def test_what_cannot_be_looked_for_to_the_end_is_not_told_twice(sink, slack, payment, monkeypatch):
    monkeypatch.setattr("rollouts.notify.slack_client._MOST_PAGES", 1)
    payment.begin()
    for _ in range(250):
        slack.workspace.call("chat.postMessage", {"channel": "C0RELEASES", "text": "talk"})
    with pytest.raises(DoubtfulError):
        await sink.send(payment.tell("ReleaseStarted"), {}, doubtful=True)
    assert slack.calls.count(("chat.postMessage", "")) == 0


async def test_a_rate_limit_says_until_when_and_nothing_is_asked_before_that(sink, slack, payment, clock):
    payment.begin()
    told = payment.tell("ReleaseStarted")
    slack.trouble.retry_after = 30
    slack.trouble.planned.append(("chat.postMessage", "limited"))
    with pytest.raises(LaterError) as limited:
        await sink.send(told, {}, doubtful=False)
    assert limited.value.seconds == 30
    clock.now += 20
    with pytest.raises(LaterError) as again:
        await sink.send(told, {}, doubtful=False)
    assert again.value.seconds == pytest.approx(10)
    clock.now += 10.5
    await sink.send(told, {}, doubtful=False)
    assert slack.too_early == []
    assert numbers(slack) == [1]


async def test_nothing_is_told_while_slack_cannot_be_reached(sink, slack, payment):
    payment.begin()
    told = payment.tell("ReleaseStarted")
    await slack.stop()
    with pytest.raises(LaterError):
        await sink.send(told, {}, doubtful=False)
    await slack.start()
    await sink.send(told, {}, doubtful=False)
    assert numbers(slack) == [1]


async def test_a_deleted_message_is_followed_by_a_new_one(sink, slack, payment):
    payment.begin()
    memory = await sink.send(payment.tell("ReleaseStarted"), {}, doubtful=False)
    slack.workspace.delete(slack.workspace.top()[0])
    memory = await sink.send(payment.tell("StepStarted", phase="Progressing"), memory, doubtful=False)
    await sink.send(payment.tell("CanaryScaled"), memory, doubtful=False)
    (top,) = slack.workspace.top()
    assert numbers(slack) == [2, 3]
    assert len(slack.workspace.thread(top)) == 1


async def test_what_is_late_shows_the_release_as_it_is_now(sink, slack, payment):
    payment.begin()
    first, second = payment.tell("ReleaseStarted"), payment.tell("StepStarted", phase="Progressing", step="2/3")
    memory = await sink.send(first, {}, doubtful=False)
    (top,) = slack.workspace.top()
    assert "payment v2: progressing" in words(top)
    await sink.send(second, memory, doubtful=False)
    assert top.edits == 0
    assert numbers(slack) == [1, 2]


async def test_a_mistake_of_the_configuration_is_told_with_its_fix(sink, slack, payment):
    payment.begin()
    told = payment.tell("ReleaseStarted")
    slack.bot_scopes.remove("chat:write")
    with pytest.raises(LaterError, match=r"lacks a scope.*chat:write"):
        await sink.send(told, {}, doubtful=False)
    slack.bot_scopes.add("chat:write")
    slack.workspace.without_app.add("C0RELEASES")
    with pytest.raises(LaterError, match="invite it"):
        await sink.send(told, {}, doubtful=False)
    slack.workspace.channels.clear()
    with pytest.raises(RefusedError, match="no such channel"):
        await sink.send(told, {}, doubtful=False)


async def test_a_new_token_is_used_at_once(sink, slack, payment, settings, tmp_path):
    payment.begin()
    good = (tmp_path / "token").read_text()
    (tmp_path / "token").write_text("xoxb-old")
    with pytest.raises(LaterError, match=r"slack\.tokenFile holds no valid token"):
        await sink.send(payment.tell("ReleaseStarted"), {}, doubtful=False)
    (tmp_path / "token").write_text(good)
    await sink.send(payment.tell("ReleaseStarted"), {}, doubtful=False)


async def test_an_annotation_names_another_channel(client, slack, payment, settings, clock):
    sink = SlackSink(client, settings(channel=None), lambda *_: payment.body, clock=clock)
    payment.begin()
    assert not sink.wants(payment.tell("ReleaseStarted"))
    slack.workspace.channels.add("C0PAYMENT")
    payment.body["metadata"]["annotations"]["coalmine.dev/slack-channel"] = "C0PAYMENT"
    told = payment.tell("ReleaseStarted")
    assert sink.wants(told)
    await sink.send(told, {}, doubtful=False)
    assert numbers(slack, "C0PAYMENT") == [2]
    payment.body["metadata"]["annotations"]["coalmine.dev/slack-channel"] = "#releases"
    with pytest.raises(RefusedError, match=r"coalmine\.dev/slack-channel is '#releases': write a channel's id"):
        await sink.send(payment.tell("ReleaseStarted"), {}, doubtful=False)


async def test_a_rollback_is_shown_in_the_channel_as_well(sink, slack, payment):
    payment.begin()
    memory = await sink.send(payment.tell("ReleaseStarted"), {}, doubtful=False)
    await sink.send(payment.tell("RollbackStarted", phase="RollingBack"), memory, doubtful=False)
    (top,) = slack.workspace.top()
    assert [m.broadcast for m in slack.workspace.thread(top)] == [True]


async def test_another_process_goes_on_with_the_message(sink, slack, payment, settings, clock):
    payment.begin()
    memory = await sink.send(payment.tell("ReleaseStarted"), {}, doubtful=False)
    other = SlackClient(settings().token_file, settings().api_url, clock=clock)
    try:
        successor = SlackSink(other, settings(), lambda *_: payment.body, clock=clock)
        await successor.send(payment.tell("StepStarted", phase="Progressing"), memory, doubtful=False)
    finally:
        await other.close()
    (top,) = slack.workspace.top()
    assert "payment v2: progressing" in words(top)
    assert numbers(slack) == [1, 2]


async def test_that_a_rollout_was_adopted_is_no_news(sink, payment):
    told = payment.tell("Adopted")
    assert not sink.wants(told)
    assert sink.wants(replace(told, type="Warning", reason="RolledOutUnheld"))
