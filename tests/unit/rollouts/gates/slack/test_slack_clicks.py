"""Clicks in Slack: what counts, and what does exactly nothing and says why."""

from __future__ import annotations

import json

import pytest

from rollouts.engine.kube import KubeError


def decisions(server):
    return json.loads(server.annotation("decisions") or "[]")


async def test_an_approval_is_recorded_with_who_when_where_and_why(scene, server):
    view = await scene.click("U0ANN", "Approve")
    assert view["title"]["text"] == "Approve?"
    assert "Does the till still ring?" in view["blocks"][0]["text"]["text"]
    await scene.confirm(view, "it rings")
    (decision,) = decisions(server)
    assert decision.pop("id").startswith("slack-U0ANN-")
    assert decision == {
        "gate": "step-2.bbb222",
        "verdict": "Approve",
        "by": "U0ANN",
        "via": "Slack",
        "groups": [],
        "comment": "it rings",
        "at": "2025-11-21T22:43:20Z",
    }
    assert scene.people.told("U0ANN") == ["✔ You approved *shop/payment*: 1 more approval is needed"]


async def test_a_click_without_the_dialogs_button_does_nothing(scene, server):
    await scene.click("U0ANN", "Approve")
    assert server.patches == []


async def test_a_member_of_a_user_group_counts_with_the_group(scene, server):
    await scene.decide("U0SRE", "Approve")
    assert [(d["by"], d["groups"]) for d in decisions(server)] == [("U0SRE", ["S0SRE"])]


async def test_two_people_pass_the_gate_and_a_double_click_of_one_does_not(scene, server):
    message = await scene.message()
    first = await scene.click("U0ANN", "Approve", message)
    second = await scene.click("U0ANN", "Approve", message)
    await scene.confirm(first)
    await scene.confirm(second)
    assert len(decisions(server)) == 1
    assert "was not done" in scene.people.told("U0ANN")[-1]
    await scene.decide("U0BOB", "Approve", message=message)
    assert len(decisions(server)) == 2
    assert scene.people.told("U0BOB") == ["✔ You approved *shop/payment*: the gate is passed"]


async def test_somebody_whom_the_gate_does_not_name_can_do_nothing(scene, server):
    assert await scene.click("U0EVE", "Approve") is None
    assert scene.people.told("U0EVE") == [
        "🚫 Approve of *shop/payment* was not done: this gate does not name you (approvers)"
    ]
    assert await scene.click("U0EVE", "Roll back") is None
    assert "slack.commands of the controller's configuration" in scene.people.told("U0EVE")[-1]
    assert server.patches == []


async def test_whoever_loses_the_right_while_the_dialog_is_open_can_do_nothing(scene, server, slack, clock):
    view = await scene.click("U0SRE", "Approve")
    slack.workspace.groups["S0SRE"] = []
    clock.now += 61
    await scene.confirm(view)
    assert server.patches == []
    assert "does not name you" in scene.people.told("U0SRE")[-1]


async def test_a_gate_that_names_nobody_is_for_those_who_may_command(scene, server):
    server.now(approval={"gate": "step-2.bbb222", "required": 1, "missing": 1})
    assert await scene.click("U0ANN", "Approve") is None
    await scene.decide("U0OPS", "Approve")
    assert [d["by"] for d in decisions(server)] == ["U0OPS"]


async def test_a_question_that_is_answered_takes_no_late_click(scene, server):
    message = await scene.message()
    view = await scene.click("U0ANN", "Approve", message)
    server.now(phase="Progressing", approval=None)
    await scene.confirm(view)
    assert await scene.click("U0BOB", "Approve", message) is None
    assert server.patches == []
    for user in ("U0ANN", "U0BOB"):
        assert "this question is answered, or its step is over" in scene.people.told(user)[-1]


async def test_a_release_that_is_over_takes_no_click(scene, server):
    message = await scene.message()
    entry = {"startedAt": "2025-11-21T22:43:20Z", "outcome": "Promoted", "endedAt": "2025-11-21T22:50:00Z"}
    server.now(phase="Healthy", history=[entry], approval=None)
    assert await scene.click("U0OPS", "Roll back", message) is None
    assert "this release is over (Promoted at 2025-11-21T22:50:00Z)" in scene.people.told("U0OPS")[-1]
    server.now(phase="Progressing", history=[], startedAt="2025-11-21T22:51:00Z")
    assert await scene.click("U0OPS", "Roll back", message) is None
    assert "another one has begun" in scene.people.told("U0OPS")[-1]
    server.body["metadata"]["uid"] = "made-anew"
    assert await scene.click("U0OPS", "Roll back", message) is None
    assert "no such Rollout any more" in scene.people.told("U0OPS")[-1]
    assert server.patches == []


async def test_a_roll_back_says_who_and_why(scene, server):
    await scene.decide("U0OPS", "Roll back", "customers call")
    value = server.annotation("abort")
    assert value.startswith("2025-11-21T22:43:20.000000Z name-of-u0ops U0OPS in Slack (V")
    assert value.endswith("): customers call")
    assert scene.people.told("U0OPS") == ["✔ *shop/payment* is taken back"]


async def test_pause_and_resume_come_with_the_state_where_they_make_sense(scene, server):
    server.now(phase="Progressing", approval=None)
    message = await scene.message()
    assert scene.people.buttons(message) == ["Pause", "Roll back"]
    await scene.decide("U0SRE", "Pause", message=message)
    assert server.annotation("pause")
    server.now(phase="Paused")
    assert await scene.click("U0SRE", "Pause", message) is None
    assert "it makes no sense now: the release is Paused" in scene.people.told("U0SRE")[-1]
    message = await scene.message()
    assert scene.people.buttons(message) == ["Resume", "Roll back"]
    await scene.decide("U0SRE", "Resume", message=message)
    assert server.annotation("resume")


async def test_a_request_that_is_sent_again_does_nothing(scene, server, clock):
    server.now(phase="Progressing", approval=None)
    await scene.decide("U0OPS", "Pause")
    pausing = scene.people.sent[-1]
    before = server.annotation("pause")
    assert await scene.people.post(*pausing) == (200, "")
    await scene.tasks.close()
    assert "this click was taken already" in scene.people.told("U0OPS")[-1]
    clock.now += 30
    server.now(phase="Paused")
    await scene.decide("U0OPS", "Resume")
    server.now(phase="Progressing")
    server.body["metadata"]["annotations"].pop("coalmine.dev/pause")
    assert await scene.people.post(*pausing) == (200, "")
    await scene.tasks.close()
    assert "something else was done from Slack after this click" in scene.people.told("U0OPS")[-1]
    assert before
    assert server.annotation("pause") == ""
    assert len(server.patches) == 2


async def test_a_change_between_look_and_write_is_looked_at_again(scene, server):
    view = await scene.click("U0OPS", "Roll back")
    server.meanwhile = server.touch
    await scene.confirm(view)
    assert server.annotation("abort")


async def test_a_release_that_ends_between_look_and_write_is_left_alone(scene, server):
    view = await scene.click("U0OPS", "Roll back")
    server.meanwhile = lambda: server.now(phase="Promoting", approval=None)
    await scene.confirm(view)
    assert server.patches == []
    assert "it makes no sense now: the release is Promoting" in scene.people.told("U0OPS")[-1]


async def test_an_api_server_that_is_away_is_told(scene, server):
    view = await scene.click("U0ANN", "Approve")
    server.error = KubeError(503, "ServiceUnavailable", "etcd is away")
    await scene.confirm(view)
    assert "it could not be done now (etcd is away)" in scene.people.told("U0ANN")[-1]


async def test_a_slack_that_is_away_keeps_nobody_named_from_deciding(scene, server, slack):
    view = await scene.click("U0ANN", "Approve")
    slack.trouble.down = True
    await scene.confirm(view)
    assert [d["by"] for d in decisions(server)] == ["U0ANN"]


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p["actions"][0].update(value="not ours"),
        lambda p: p["actions"][0].update(value='{"namespace":"shop"}'),
        lambda p: p["actions"][0].update(action_id="coalmine.promote"),
        lambda p: p["actions"][0].update(action_id="somebody-elses"),
        lambda p: p.pop("user"),
        lambda p: p.pop("actions"),
    ],
)
async def test_what_is_no_click_of_ours_does_nothing(clicks, server, slack, clock, change):
    value = json.dumps(
        {"namespace": "shop", "name": "payment", "uid": "uid-payment", "release": "2025-11-21T22:43:20Z", "gate": ""}
    )
    payload = {
        "type": "block_actions",
        "user": {"id": "U0OPS"},
        "channel": {"id": "C0RELEASES"},
        "trigger_id": slack.workspace.new_trigger("U0OPS"),
        "actions": [{"action_id": "coalmine.rollback", "value": value}],
    }
    change(payload)
    await clicks.handle(payload, clock())
    assert slack.workspace.views == []
    assert server.patches == []
