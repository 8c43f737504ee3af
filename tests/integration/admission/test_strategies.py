"""Strategies and steps as people write them, on the real API server: examples are taken, mistakes are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from coalmine.local.errors import KubectlError
from rollouts.api.validate import parse_rollout

pytestmark = pytest.mark.integration

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "strategies").glob("*.yaml"))
HEADER = {"headerName": "x-tester", "headerValue": {"exact": "yes"}}


@pytest.fixture
def dry_run(kubectl):
    def dry_run(text):
        return json.loads(kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=text))

    return dry_run


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_taken_and_means_what_it_says(dry_run, path):
    stored = dry_run(path.read_text())
    assert parse_rollout(stored) == parse_rollout(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        ({"strategy": {}}, "spec.strategy", "exactly one of canary, blueGreen, abTest"),
        ({"strategy": {"blueGreen": {}, "canary": {}}}, "spec.strategy", "exactly one of canary, blueGreen, abTest"),
        ({"strategy": {"blueGreen": {}}, "steps": [{"setWeight": 5}]}, "spec.steps", "belongs to the strategy canary"),
        ({"strategy": {"abTest": {"match": [], "duration": "1h"}}}, "spec.strategy.abTest.match", "at least 1 items"),
        ({"steps": [{"setWeight": 5, "analysis": {"duration": "1m"}}]}, "spec.steps[0]", "write one step for each"),
        ({"steps": [{"setCanaryScale": {}}]}, "spec.steps[0].setCanaryScale", "exactly one of replicas, weight"),
        ({"steps": [{"experiment": {"weight": 50, "duration": "1m"}}]}, "spec.steps[0].experiment.weight", "to 25"),
        (
            {"steps": [{"setHeaderRoute": {"name": "a", "match": [{"headerName": "x"}]}}]},
            "spec.steps[0].setHeaderRoute.match[0]",
            "write one entry for each",
        ),
        (
            {"steps": [{"setHeaderRoute": {"name": "a", "match": [HEADER | {"headerValue": {}}]}}]},
            "spec.steps[0].setHeaderRoute.match[0].headerValue",
            "exactly one of exact, prefix, regex",
        ),
        ({"sessionAffinity": {"cookie": "a b"}}, "spec.sessionAffinity.cookie", "should match"),
    ],
)
def test_a_mistake_is_refused_with_the_field_and_the_fix(dry_run, spec, field, words):
    body = {"apiVersion": "coalmine.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "pay"}}
    with pytest.raises(KubectlError) as refused:
        dry_run(json.dumps({**body, "spec": {"workloadRef": {"name": "pay"}, **spec}}))
    assert field in str(refused.value)
    assert words in str(refused.value)
