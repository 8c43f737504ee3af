"""Hooks on the real API server: the examples are taken, wrong ones refused with the field and the fix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from coalmine.local.errors import KubectlError
from rollouts.api.hooks import Point
from rollouts.api.validate import parse_rollout
from rollouts.core.hook_runs import HookOrder, HookRun
from rollouts.engine.hook_jobs import hook_job

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[3] / "examples" / "hooks"
EVENT = {
    "hook": "h", "type": "DuringStep", "name": "payment", "namespace": "shop", "revision": "r2", "stable": None,
    "service": "payment", "canaryService": "payment-canary", "step": 1, "weight": 50,
}  # fmt: skip


def hooked(**hook):
    spec = {"workloadRef": {"name": "pay"}, "hooks": [{"name": "gate", "at": "BeforePromotion", **hook}]}
    return json.dumps(
        {"apiVersion": "coalmine.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "pay"}, "spec": spec}
    )


@pytest.fixture
def dry_run(kubectl, namespace):
    """Asks the API server what it would say to a manifest; nothing is stored."""

    def dry_run(text):
        command = ("apply", "--server-side", "--dry-run=server", "-n", namespace, "-o", "json", "-f", "-")
        return json.loads(kubectl(*command, stdin=text))

    return dry_run


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_are_taken_and_so_are_the_jobs_that_they_make(dry_run, path):
    dry_run(path.read_text())
    rollout = next(o for o in yaml.safe_load_all(path.read_text()) if o["kind"] == "Rollout")
    for number, hook in enumerate(parse_rollout(rollout).hooks):
        if hook.job:
            run = HookRun(
                key="k", name=hook.name, at=Point(hook.at), place="1", began=1.0, since=2.0, job=f"payment-{number}"
            )
            made = dry_run(json.dumps(hook_job(HookOrder(run, hook, EVENT), hook.job)))
            assert made["spec"]["activeDeadlineSeconds"] == hook.job.timeout
            assert made["spec"]["template"]["spec"]["containers"][0]["env"]


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        ({}, "a hook is exactly one of http, job: write one of them"),
        ({"http": {"url": "ftp://x"}}, "hooks[0].http.url"),
        ({"http": {"url": "http://x"}, "at": "Soon"}, "hooks[0].at"),
        ({"http": {"url": "http://x"}, "at": "OnRollback", "onFailure": "RollBack"}, "write Continue or leave it out"),
        ({"http": {"url": "http://x"}, "weights": [10]}, "weights goes with at: DuringStep"),
        ({"http": {"url": "http://x", "pollTimeout": "1m"}}, "pollTimeout goes with pollInterval"),
        ({"http": {"url": "http://x", "retry": 1}}, "spec.hooks[].http.retry is not a field of a Rollout"),
    ],
)
def test_a_wrong_hook_is_refused_in_words(dry_run, hook, words):
    with pytest.raises(KubectlError) as refused:
        dry_run(hooked(**hook))
    assert words in str(refused.value)
