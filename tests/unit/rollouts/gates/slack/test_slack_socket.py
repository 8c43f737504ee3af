"""Socket Mode against the double: envelopes are acknowledged at once, and connections that end are made anew."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from doubles.slack import People

from rollouts.gates.slack import SocketReceiver, Tasks


@pytest.fixture
async def receive(slack, settings):
    """Receives with a handler, while it is entered."""

    @asynccontextmanager
    async def entered(handle):
        tasks = Tasks()
        receiver = SocketReceiver(settings.app_token_file, settings.api_url, handle, tasks, ping_seconds=0.1)
        running = asyncio.create_task(receiver.run())
        try:
            yield receiver
        finally:
            running.cancel()
            await asyncio.wait({running})
            await tasks.close()

    return entered


async def connected(slack, number=1):
    """Wait for this many connections to have been made, and for one to be there."""
    await slack.until(lambda: slack.calls.count(("apps.connections.open", "")) >= number and slack.connections == 1)


async def test_an_envelope_is_acknowledged_before_anything_is_done(slack, receive):
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def handle(_payload, _at):
        begun.set()
        await may_end.wait()

    async with receive(handle):
        await connected(slack)
        ack = await slack.send_envelope({"type": "block_actions"})
        await begun.wait()
        may_end.set()
    assert ack is not None
    assert set(ack) == {"envelope_id"}
    assert slack.unacknowledged == []


async def test_a_click_by_socket_mode_decides(slack, receive, clicks, scene, server):
    people = People(slack)
    async with receive(clicks.handle):
        await connected(slack)
        assert await people.click("U0ANN", await scene.message(), "Approve")
        await slack.until(lambda: bool(slack.workspace.views))
        assert await people.submit(slack.workspace.views[-1], "by socket")
        await slack.until(lambda: bool(people.told("U0ANN")))
    assert "by socket" in server.annotation("decisions")


async def test_slack_says_that_it_closes_and_a_new_connection_takes_over(slack, receive):
    got = []

    async def handle(payload, _at):
        got.append(payload["n"])

    async with receive(handle):
        await connected(slack)
        assert await slack.send_envelope({"type": "block_actions", "n": 1})
        await slack.disconnect()
        await connected(slack, 2)
        assert await slack.send_envelope({"type": "block_actions", "n": 2})
    assert got == [1, 2]


async def test_a_connection_that_breaks_is_made_anew(slack, receive):
    got = asyncio.Event()

    async def handle(_payload, _at):
        got.set()

    async with receive(handle):
        await connected(slack)
        await slack.cut()
        await connected(slack, 2)
        assert await slack.send_envelope({"type": "block_actions"})
        await got.wait()


async def test_a_wrong_token_is_told_with_its_fix_and_a_new_one_is_used(slack, receive, tmp_path, caplog, monkeypatch):
    good = (tmp_path / "app-token").read_text()
    (tmp_path / "app-token").write_text("xoxb-not-an-app-level-token")
    waited = asyncio.Event()

    async def handle(_payload, _at):
        pass

    async with receive(handle) as receiver:

        async def pause(_seconds):
            (tmp_path / "app-token").write_text(good)
            waited.set()

        monkeypatch.setattr(receiver, "_pause", pause)
        await waited.wait()
        monkeypatch.setattr(receiver, "_pause", asyncio.sleep)
        await connected(slack, 2)
    assert "slack.appTokenFile needs an app-level token (xapp-…) with the scope connections:write" in caplog.text
    assert good.strip() not in caplog.text
