"""What gates and the controller's configuration of them may say."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from rollouts.api.approval import Approval, OnTimeout
from rollouts.api.controller import InvalidConfigError, read_config
from rollouts.api.validate import parse_rollout

EXAMPLES = Path(__file__).parents[4] / "examples" / "approvals"


def test_the_examples_are_valid():
    rollout, binding = yaml.safe_load_all((EXAMPLES / "rollout.yaml").read_text())
    spec = parse_rollout(rollout)
    assert spec.promotion_approval is not None
    assert spec.promotion_approval.timeout == 24 * 3600
    assert binding["roleRef"]["name"] == "coalmine-approver"
    approvals = read_config(EXAMPLES / "controller.yaml").approvals
    assert [p.name for p in approvals.people] == ["Jane", "Kim"]
    assert approvals.callers[0].namespaces == ("shop",)


@pytest.mark.parametrize(
    ("given", "restricted"),
    [
        ({}, False),
        ({"message": "ok?", "timeout": "5m"}, False),
        ({"approvers": {}}, True),
        ({"required": 2}, True),
        ({"excludeAuthor": True}, True),
    ],
)
def test_it_matters_who_decides_as_soon_as_anything_about_it_is_said(given, restricted):
    approval = Approval.model_validate(given)
    assert (approval.restricted, approval.on_timeout) == (restricted, OnTimeout.ROLL_BACK)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"approvers": {"users": ["a"], "callers": ["c"]}, "required": 3}, "more approvals are required than"),
        ({"approvers": {"slackUsers": ["@jane"]}}, "slackUsers"),
        ({"approvers": {"slackGroups": ["U0123"]}}, "slackGroups"),
        ({"required": 0}, "greater than or equal to 1"),
        ({"onTimeout": "Promote"}, "RollBack"),
        ({"approver": {}}, "Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_field(given, words):
    with pytest.raises(ValidationError, match=words):
        Approval.model_validate(given)


@pytest.mark.parametrize(
    "approvers", [{}, {"groups": ["leads"]}, {"users": ["a", "b", "c"]}, {"slackGroups": ["S012"]}]
)
def test_as_many_may_be_required_as_there_may_be(approvers):
    assert Approval.model_validate({"approvers": approvers, "required": 3}).required == 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("people: [{name: A, users: [x]}, {name: B, emails: [x]}]", "'x' is both A and B"),
        ("callers: [{name: c, secretFile: /a}, {name: c, secretFile: /b}]", "two have the same name"),
        ("callers: [{name: c}]", "approvals.callers.0.secretFile: Field required"),
    ],
)
def test_a_wrong_configuration_names_the_field(tmp_path, given, words):
    file = tmp_path / "controller.yaml"
    file.write_text(f"approvals: {{{given}}}")
    with pytest.raises(InvalidConfigError, match=words):
        read_config(file)
