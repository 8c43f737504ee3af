"""What ``coalmine doctor`` says of Slack, which is a double with real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from doubles.slack.server import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET
from doubles.slack.thread import SlackInThread

from coalmine.doctor.look import Look
from coalmine.doctor.slack import slack
from coalmine.kubectl import Kubectl
from rollouts.api.slack import SCOPES

MANIFEST = Path(__file__).parents[4] / "examples" / "slack" / "manifest.yaml"


@pytest.fixture
def double():
    made = SlackInThread()
    yield made
    made.end()


@pytest.fixture
def ask(tmp_path, double):
    """Return what asks with these settings: status and words of each answer."""
    files = {"tokenFile": BOT_TOKEN, "appTokenFile": APP_TOKEN, "signingSecretFile": SIGNING_SECRET}
    for name, secret in files.items():
        (tmp_path / name).write_text(secret)

    def make(*, without=(), **settings):
        given = {name: str(tmp_path / name) for name in files if name not in without}
        given |= {"apiUrl": double.slack.api_url, "channel": "C0RELEASES", **settings}
        config = tmp_path / "controller.yaml"
        config.write_text(yaml.safe_dump({"slack": given}))
        return [(str(r.status), r.message) for r in slack(Look(Kubectl(None, None, 1.0), config=config))]

    return make


def test_all_is_well(ask, double):
    assert ask() == [
        ("ok", "it knows the token: coalmine in Shop"),
        ("ok", "the app is in channel C0RELEASES"),
        ("ok", "clicks come in by Socket Mode"),
        ("ok", "signed clicks are taken at /slack/interactive"),
    ]
    assert double.slack.workspace.messages["C0RELEASES"] == []  # nothing was posted


def test_the_scopes_are_those_of_the_manifest():
    assert set(SCOPES) == set(yaml.safe_load(MANIFEST.read_text())["oauth_config"]["scopes"]["bot"])


def test_a_wrong_token_is_told_with_its_fix(ask, tmp_path):
    (tmp_path / "tokenFile").write_text("xoxb-other")
    (tmp_path / "appTokenFile").write_text("xapp-other")
    (tmp_path / "signingSecretFile").write_text("\n")
    answers = ask()
    assert [status for status, _ in answers] == ["failed"] * 3
    assert "copy the Bot User OAuth Token (xoxb-…) into it" in answers[0][1]
    assert "an app-level token (xapp-…) with the scope connections:write" in answers[1][1]
    assert "signingSecretFile is empty" in answers[2][1]


def test_files_that_are_not_there_are_named(ask, tmp_path):
    answers = ask(tokenFile="/no/such/token", appTokenFile="/no/such/app-token")
    assert answers[0] == ("failed", "slack.tokenFile cannot be read: No such file or directory")
    assert "slack.appTokenFile cannot be read" in answers[1][1]


@pytest.mark.parametrize(("scope", "status"), [("chat:write", "failed"), ("usergroups:read", "warning")])
def test_a_scope_that_lacks_is_told_with_what_does_not_work(ask, double, scope, status):
    double.slack.bot_scopes.remove(scope)
    (found,) = [words for status_, words in ask() if status_ == status]
    assert f"lacks the scope {scope}: {SCOPES[scope]}; add it" in found


def test_channels_that_the_app_does_not_see_are_told(ask, double):
    double.slack.workspace.channels.add("C0OTHER")
    double.slack.workspace.without_app.add("C0OTHER")
    answers = ask(namespaces={"shop": "C0OTHER", "bank": "C0NOWHERE"})
    assert ("warning", "channel C0OTHER: conversations.history: the app is not in the channel") in [
        (status, words.rpartition(":")[0]) for status, words in answers
    ]
    assert any(s == "failed" and "channel C0NOWHERE: " in w and "no such channel" in w for s, w in answers)


def test_without_a_way_in_messages_have_no_buttons(ask):
    answers = ask(without=("appTokenFile", "signingSecretFile"))
    assert answers[-1][0] == "warning"
    assert answers[-1][1].startswith("messages have no buttons: set slack.appTokenFile")


def test_slack_that_is_away_is_told(ask):
    answers = ask(apiUrl="http://127.0.0.1:9/api/")
    assert answers[0][0] == "failed"
    assert answers[0][1].startswith("Slack cannot be reached")
    assert answers[1][0] == "failed"


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("slack: {token: x}\n", "failed", "slack.tokenFile: Field required"),
        ("dashboard: {}\n", "ok", "has no slack"),
    ],
)
def test_a_configuration_without_slack(tmp_path, text, status, words):
    (tmp_path / "controller.yaml").write_text(text)
    (answer,) = slack(Look(Kubectl(None, None, 1.0), config=tmp_path / "controller.yaml"))
    assert str(answer.status) == status
    assert words in answer.message


def test_without_the_configuration_it_says_how_to_ask():
    (answer,) = slack(Look(Kubectl(None, None, 1.0)))
    assert (str(answer.status), answer.fixes) == ("unknown", ("coalmine doctor --config controller.yaml",))
