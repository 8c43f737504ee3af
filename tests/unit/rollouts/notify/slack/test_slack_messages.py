"""Messages as Block Kit: golden files in tests/golden/slack. ``COALMINE_REGENERATE=1`` writes them anew."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from doubles.slack.blocks import check_blocks, check_metadata

from rollouts.api.slack import SlackLinks
from rollouts.notify.slack_messages import Look, is_over, release_message
from rollouts.notify.slack_transitions import metadata_of, transition_message
from rollouts.views.slack_actions import command_value

GOLDEN = Path(__file__).parents[4] / "golden" / "slack"
BEGAN = "2025-11-21T22:43:20Z"
LOOK = Look(
    SlackLinks(
        commit="https://git.shop/{name}/commit/{commit}",
        dashboard="https://coalmine.shop/rollouts/{namespace}/{name}",
        logs="https://logs.shop/?q=revision%3D{revision}",
    ),
    gates=True,
    commands=True,
)
EVIDENCE = [
    {
        "metric": "errors",
        "words": "canary 0.08 % errors of 2,412 requests, baseline 0.09 % of 2,398; within 0.5 points",
        "canary": 0.0008,
        "baseline": 0.0009,
        "canaryCount": 2412,
        "baselineCount": 2398,
        "rollbackE": 0.2,
        "rollbackAt": 400.0,
        "promoteE": 25.0,
        "promoteAt": 20.0,
    },
    {
        "metric": "latency",
        "words": "p99 61 ms, baseline 58 ms",
        "canary": 61.3,
        "baseline": 58.1,
        "promoteE": 3.0,
        "promoteAt": 20.0,
    },
    {"metric": "gross-errors", "words": "no gross errors", "canary": 0.0},
]
QUESTION = {
    "gate": "step-2.bbb222",
    "place": "step 2 of 4",
    "message": "Does the till still ring? <https://evil.example|Click here> & *now*",
    "restricted": True,
    "approvers": {"slackUsers": ["U0ANN", "U0BOB"], "slackGroups": ["S0SRE"], "users": ["ann@shop"]},
    "required": 2,
    "missing": 1,
    "until": "2025-11-21T23:43:20Z",
    "decisions": [{"by": "U0ANN", "via": "Slack", "verdict": "Approve", "comment": "it rings <!channel>"}],
}


@pytest.fixture
def show(payment):
    """Takes the Rollout to a scene, and returns its message."""

    def take(scene):
        payment.body["spec"]["steps"] = [
            {"setWeight": 10},
            {"approval": {"message": QUESTION["message"]}},
            {"setWeight": 50},
            {"setWeight": 100},
        ]
        payment.begin(started=BEGAN)
        payment.now(message="starts the canary: 0 of 1 canary pods are ready")
        SCENES[scene](payment)
        return release_message(payment.body, BEGAN, LOOK)

    return take


def _judging(p):
    p.now(
        phase="Progressing",
        step="1/4",
        stepIndex=0,
        stepStartedAt="2025-11-21T22:44:00Z",
        message="judges 10 %; about 20s more: the error rates are equal",
        weight={"configured": 10, "acknowledged": 10, "actual": 9.8, "proxies": "5/5"},
        summary="The canary is not worse so far.",
        evidence=EVIDENCE,
    )


def _asking(p):
    _judging(p)
    p.now(phase="AwaitingApproval", step="2/4", stepIndex=1, message="waits at 10 % for approval", approval=QUESTION)


def _paused(p):
    _judging(p)
    p.now(phase="Paused", message="paused by a person; the guards stay on")


def _rolling_back(p):
    _judging(p)
    bad = {
        **EVIDENCE[0],
        "words": "canary 5.1 % errors of 1,204 requests, baseline 0.1 % of 10,911",
        "rollbackE": 500.0,
    }
    p.now(phase="RollingBack", message="takes all requests back to stable: errors", evidence=[bad, EVIDENCE[1]])


def _rolled_back(p):
    _rolling_back(p)
    p.end("RolledBack", "RolledBack")


def _promoted(p):
    _judging(p)
    p.end("Promoted", "Healthy")
    new = p.body["status"]["canary"]
    p.now(stable=new)
    del p.body["status"]["canary"]


def _superseded(p):
    _judging(p)
    p.end("Superseded", "Starting")
    p.begin(started="2025-11-21T22:53:21Z", revision="ccc333", tag="v3")


SCENES = {
    "starting": lambda _p: None,
    "judging": _judging,
    "asking": _asking,
    "paused": _paused,
    "rolling-back": _rolling_back,
    "rolled-back": _rolled_back,
    "promoted": _promoted,
    "superseded": _superseded,
}


def golden(name, made):
    path = GOLDEN / f"{name}.json"
    text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("COALMINE_REGENERATE"):
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} differs; COALMINE_REGENERATE=1 writes it anew"


@pytest.mark.parametrize("scene", SCENES)
def test_a_release_looks_like_this(show, scene):
    content = show(scene)
    check_blocks(content.blocks)
    golden(scene, {"text": content.text, "blocks": content.blocks})


@pytest.mark.parametrize("scene", ["starting", "judging", "asking", "paused", "rolling-back"])
def test_a_release_that_goes_on_is_not_over(show, payment, scene):
    show(scene)
    assert not is_over(payment.body, BEGAN)


@pytest.mark.parametrize("scene", ["rolled-back", "promoted", "superseded"])
def test_a_release_that_ended_is_over_and_has_no_buttons(show, payment, scene):
    content = show(scene)
    assert is_over(payment.body, BEGAN)
    assert not [b for b in content.blocks if b["type"] == "actions"]


@pytest.mark.parametrize("scene", SCENES)
def test_without_the_spec_everything_but_the_steps_is_there(show, payment, scene):
    show(scene)
    bare = {**payment.body, "spec": {}}
    check_blocks(release_message(bare, BEGAN, LOOK).blocks)


def test_nobody_hears_buttons_that_are_not_there(show, payment):
    show("asking")
    for look, wanted in (
        (Look(), []),
        (Look(gates=True), ["approve", "reject"]),
        (Look(gates=True, commands=True), ["approve", "reject", "rollback"]),
    ):
        blocks = release_message(payment.body, BEGAN, look).blocks
        found = [e["action_id"] for b in blocks if b["type"] == "actions" for e in b["elements"]]
        assert found == [f"coalmine.{action}" for action in wanted]


def test_what_people_wrote_calls_nobody_and_leads_nowhere(show, payment):
    text = json.dumps(show("asking").blocks, ensure_ascii=False)
    assert "<!channel>" not in text
    assert "<https://evil.example" not in text


def test_the_longest_texts_are_taken(show, payment):
    show("asking")
    long = "<&>" * 3000
    payment.now(
        message=long,
        summary=long,
        evidence=[{**EVIDENCE[0], "metric": f"m{n}", "words": long} for n in range(40)],
        approval={**QUESTION, "message": long[:1024], "approvers": {"slackUsers": [f"U{n:08d}" for n in range(64)]}},
        canary={"revision": "bbb222", "images": [f"registry.example/{'x' * 200}:{'v' * 128}{n}" for n in range(20)]},
    )
    payment.body["metadata"]["name"] = "n" * 253
    check_blocks(release_message(payment.body, BEGAN, LOOK).blocks)
    check_blocks(transition_message(payment.tell("Promoted", note=long)).blocks)


def test_a_transition_looks_like_this(payment):
    payment.begin()
    told = payment.tell(
        "ApprovalRequested", note="step 2 of 4, an approval: Does the till still ring?", approval=QUESTION
    )
    content = transition_message(told)
    check_blocks(content.blocks)
    golden("transition", {"text": content.text, "blocks": content.blocks})


def test_who_gave_the_command_in_slack_is_named_with_the_comment(payment):
    payment.begin()
    annotations = payment.body["metadata"]["annotations"]
    annotations["coalmine.dev/abort"] = command_value(
        "2025-11-21T22:45:00Z", "ann <a> (b)", "U0ANN", "V1", "<calls>\nagain"
    )
    (section, _) = transition_message(payment.tell("Aborted", note="aborted")).blocks
    assert section["text"]["text"] == "⏪ *Aborted*: aborted\nby <@U0ANN>: &lt;calls&gt;\nagain"
    annotations["coalmine.dev/abort"] = "Fri Nov 21 22:45:00 UTC 2025"
    (section, _) = transition_message(payment.tell("Aborted", note="aborted")).blocks
    assert section["text"]["text"] == "⏪ *Aborted*: aborted"


def test_its_metadata_is_taken():
    check_metadata(metadata_of("uid-payment", 3))
