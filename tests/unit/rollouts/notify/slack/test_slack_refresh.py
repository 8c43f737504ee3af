"""Live numbers: beside the transitions, within an allowance, left out rather than queued."""

from __future__ import annotations

import asyncio

import pytest

from rollouts.notify.slack import SlackSink
from rollouts.notify.slack_refresh import SlackRefresh


@pytest.fixture
async def begin(sink, slack, payment, clock):
    """Tells of a release that is under way; returns what refreshes it."""
    payment.begin()
    memory = await sink.send(payment.tell("ReleaseStarted"), {}, doubtful=False)
    return SlackRefresh(sink, lambda: [("shop", "payment", payment.uid, memory)], 5.0, clock=clock)


def weight(slack):
    (top,) = slack.workspace.top()
    return top.blocks[1]["text"]["text"].splitlines()[-1]


async def test_a_number_that_changed_is_shown(begin, slack, payment):
    payment.now(phase="Progressing", weight={"configured": 10, "actual": 9.7})
    await begin.once()
    assert weight(slack) == "10 % set, 9.7 % measured"


async def test_nothing_is_asked_while_nothing_changes(begin, slack):
    before = len(slack.calls)
    await begin.once()
    await begin.once()
    assert len(slack.calls) == before


async def test_a_release_that_is_over_is_left_to_its_last_transition(begin, slack, payment):
    payment.end("Promoted", "Healthy")
    before = len(slack.calls)
    await begin.once()
    assert len(slack.calls) == before


async def test_a_rollout_that_was_made_anew_is_another_one(begin, slack, payment):
    payment.body["metadata"]["uid"] = "made-anew"
    payment.now(weight={"configured": 50})
    before = len(slack.calls)
    await begin.once()
    assert len(slack.calls) == before


async def test_a_rate_limit_is_kept_to_and_what_was_missed_is_left_out(begin, slack, payment, clock):
    slack.trouble.retry_after = 30
    slack.trouble.planned.append(("chat.update", "limited"))
    for number in range(1, 30):
        payment.now(weight={"configured": number})
        await begin.once()
        clock.now += 1.0
    assert slack.too_early == []
    assert slack.calls.count(("chat.update", "")) == 0
    clock.now += 5.0
    await begin.once()
    assert weight(slack) == "29 % set"
    assert slack.calls.count(("chat.update", "")) == 1


async def test_all_releases_together_keep_to_the_allowance_and_each_gets_its_turn(
    client, slack, settings, clock, make_rollout
):
    rollouts = {f"payment-{n:02d}": make_rollout(uid=f"uid-{n:02d}", name=f"payment-{n:02d}") for n in range(40)}
    channels = {name: f"C0{n % 4}" for n, name in enumerate(rollouts)}
    slack.workspace.channels.update(channels.values())
    sink = SlackSink(client, settings(), lambda _ns, name: rollouts[name].body, clock=clock)
    messages = []
    for name, rollout in rollouts.items():
        rollout.body["metadata"]["annotations"]["coalmine.dev/slack-channel"] = channels[name]
        rollout.begin()
        memory = await sink.send(rollout.tell("ReleaseStarted"), {}, doubtful=False)
        messages.append(("shop", name, rollout.uid, memory))
    refresh = SlackRefresh(sink, lambda: messages, 5.0, clock=clock)
    before, seconds = len(slack.calls), 180
    for second in range(0, seconds, 5):
        for rollout in rollouts.values():
            rollout.now(weight={"configured": second})
        await refresh.once()
        clock.now += 5.0
    assert len(slack.calls) - before <= 30 * seconds / 60 + 5
    edits = [m.edits for channel in set(channels.values()) for m in slack.workspace.top(channel)]
    assert min(edits) >= 1


async def test_it_goes_on_after_whatever_went_wrong(sink, payment):
    rounds = 0
    done = asyncio.Event()

    def messages():
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise RuntimeError("a defect")
        done.set()
        return []

    async def pause(_seconds):
        await asyncio.sleep(0)

    running = asyncio.create_task(SlackRefresh(sink, messages, 5.0, pause=pause).run())
    async with asyncio.timeout(10):
        await done.wait()
    running.cancel()
    await asyncio.wait({running})
