"""Forged requests: each is refused with the reason, and nothing is done."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from doubles.slack import People


@pytest.fixture
def body(scene):
    return urlencode(
        {"payload": json.dumps({"type": "block_actions", "user": {"id": "U0OPS"}, "actions": []})}
    ).encode()


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda h: {**h, "X-Slack-Signature": "v0=" + "0" * 64}, "is not that of slack.signingSecretFile"),
        (lambda h: {**h, "X-Slack-Signature": "v1" + h["X-Slack-Signature"][2:]}, "is not that of"),
        (lambda h: {**h, "X-Slack-Signature": ""}, "is not that of"),
        (lambda h: {**h, "X-Slack-Request-Timestamp": "soon"}, "missing or wrong"),
        (lambda h: {**h, "X-Slack-Request-Timestamp": "-1763765000"}, "missing or wrong"),
        (lambda h: {**h, "X-Slack-Request-Timestamp": "1763765001"}, "is not that of"),
        (lambda h: {"Content-Type": h["Content-Type"]}, "missing or wrong"),
    ],
)
async def test_a_request_that_slack_did_not_sign_is_refused(scene, body, clock, spoil, why):
    status, said = await scene.people.post(body, spoil(scene.people.signed(body, int(clock()))))
    assert status == 401
    assert why in json.loads(said)["error"]


@pytest.mark.parametrize("off", [-301, 301])
async def test_an_old_request_is_refused_however_well_it_is_signed(scene, body, clock, off):
    status, said = await scene.people.post(body, scene.people.signed(body, int(clock()) + off))
    assert status == 401
    assert "more than 300 s away" in said


async def test_another_apps_secret_is_refused(scene, slack, body, clock):
    stranger = People(slack, scene.people.url, secret="another")
    assert (await stranger.post(body, stranger.signed(body, int(clock()))))[0] == 401


async def test_a_changed_body_is_refused(scene, body, clock):
    headers = scene.people.signed(body, int(clock()))
    assert (await scene.people.post(body.replace(b"U0OPS", b"U0EVE"), headers))[0] == 401


async def test_a_new_signing_secret_is_used_at_once(scene, body, clock, tmp_path):
    (tmp_path / "signing-secret").write_text("renewed")
    assert (await scene.people.post(body, scene.people.signed(body, int(clock()))))[0] == 401
    scene.people.secret = "renewed"
    assert (await scene.people.post(body, scene.people.signed(body, int(clock()))))[0] == 200


@pytest.mark.parametrize("text", [b"", b"payload=", b"payload=[]", b"payload=%7B", b"other=1", b"\xff"])
async def test_a_signed_request_that_is_no_interaction_is_refused(scene, clock, text):
    status, _ = await scene.people.post(text, scene.people.signed(text, int(clock())))
    assert status in {400, 401}
