"""examples/slack: the configuration is one, the manifests ask for what is needed and no more."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from doubles.slack import SCOPES
from doubles.slack.server import APP_SCOPES

from rollouts.api.controller import InvalidConfigError, read_config
from rollouts.api.rollout import RolloutSpec
from rollouts.api.slack import Slack, filled

EXAMPLES = Path(__file__).parents[5] / "examples" / "slack"


def test_the_configuration_is_one():
    slack = read_config(EXAMPLES / "controller.yaml").slack
    assert slack is not None
    assert slack.channel_of("payments") == "C0456EFGH"
    assert slack.channel_of("shop") == "C0123ABCD"
    assert slack.channel_of("shop", {"coalmine.dev/slack-channel": "C0789IJKL"}) == "C0789IJKL"


def test_the_rollout_is_one():
    RolloutSpec.model_validate(yaml.safe_load((EXAMPLES / "rollout.yaml").read_text())["spec"])


@pytest.mark.parametrize("name", ["manifest.yaml", "manifest-http.yaml"])
def test_the_manifests_ask_for_the_scopes_that_the_methods_need(name):
    manifest = yaml.safe_load((EXAMPLES / name).read_text())
    needed = set().union(*SCOPES.values())
    assert set(manifest["oauth_config"]["scopes"]["bot"]) == needed | {"groups:history"}
    readme = (EXAMPLES / "README.md").read_text()
    assert all(f"`{scope}`" in readme for scope in needed | APP_SCOPES)
    assert manifest["settings"]["interactivity"]["is_enabled"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"channel": "#releases"}, "slack.channel"),
        ({"links": {"commit": "https://git/{sha}"}}, "there are {namespace}, {name}, {revision}, {stable}, {commit}"),
        (
            {"links": {"commit": "javascript:alert({commit})"}},
            "write one like https://git.shop/payment/commit/{commit}",
        ),
        ({"links": {"logs": "https://logs/{name.__class__}"}}, "it is no address with places"),
        ({"commands": {"users": ["U0OPS"]}}, "nothing would hear the buttons: set appTokenFile"),
        ({"commands": {"users": ["@ann"]}}, "slack.commands.users.0"),
        ({"token": "xoxb-1"}, "slack.token: Extra inputs are not permitted"),
    ],
)
def test_a_wrong_configuration_names_the_field_and_the_fix(tmp_path, wrong, words):
    path = tmp_path / "controller.yaml"
    path.write_text(yaml.safe_dump({"slack": {"tokenFile": "/t", "channel": "C0RELEASES", **wrong}}))
    with pytest.raises(InvalidConfigError) as error:
        read_config(path)
    assert words in str(error.value)


def test_a_link_with_an_unknown_value_is_left_out_and_others_are_quoted():
    link = Slack.model_validate({"tokenFile": "/t", "links": {"commit": "https://git/{name}/{commit}"}}).links.commit
    assert link is not None
    assert filled(link, {"name": "payment", "commit": ""}) is None
    assert filled(link, {"name": "a/b?c", "commit": "0a1"}) == "https://git/a%2Fb%3Fc/0a1"
