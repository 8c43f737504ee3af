"""One suite over both holds, on the real API server with the real kubectl."""

from __future__ import annotations

import json
import time

import pytest

from coalmine.local.errors import KubectlError
from rollouts.api.admission import HOLD_NAME, Hold
from rollouts.api.names import ROLLOUT_LABEL
from rollouts.api.rollout import RolloutStatus
from rollouts.core.actions import Release
from rollouts.core.observed import Subject
from rollouts.engine.apply import Applier
from rollouts.engine.configuration import Configuration
from rollouts.engine.hold import choose_hold, hold_is_active, install_policy, install_webhook, served_policy_version
from rollouts.engine.hooks import HookRunner
from rollouts.engine.scaling import Scaling
from rollouts.engine.writeback import WriteBacks
from rollouts.routers.coalmine import CoalmineRouter

pytestmark = pytest.mark.integration


def paused(obj):
    return obj["spec"].get("paused", False)


def image(obj):
    return obj["spec"]["template"]["spec"]["containers"][0]["image"]


async def test_a_changed_template_is_stored_and_held(hold, run, namespace, state):
    await run("set", "image", "-n", namespace, "deployment/pay", "c=pay:2")
    found = await state()
    assert paused(found)
    assert image(found) == "pay:2"


async def test_a_restart_is_a_release_too(hold, run, namespace, state):
    await run("rollout", "restart", "-n", namespace, "deployment/pay")
    assert paused(await state())


async def test_a_change_that_says_it_is_not_paused_is_held(hold, run, namespace, state, deployment_manifest):
    text = json.dumps(deployment_manifest("pay:2", paused=False))
    await run("replace", "-n", namespace, "-f", "-", stdin=text)
    assert paused(await state())


async def test_scaling_is_not_held(hold, run, namespace, state):
    await run("scale", "-n", namespace, "deployment/pay", "--replicas=2")
    await run("patch", "-n", namespace, "deployment/pay", "--type=merge", "-p", '{"spec":{"replicas":3}}')
    found = await state()
    assert not paused(found)
    assert found["spec"]["replicas"] == 3


async def test_what_is_outside_the_template_is_not_held(hold, run, namespace, state):
    await run("annotate", "-n", namespace, "deployment/pay", "team=shop")
    await run("label", "-n", namespace, "deployment/pay", "tier=front")
    await run("patch", "-n", namespace, "deployment/pay", "--type=merge", "-p", '{"spec":{"minReadySeconds":7}}')
    assert not paused(await state())


async def test_an_unlabelled_deployment_is_not_held(hold, run, namespace, state):
    await run("label", "-n", namespace, "deployment/pay", f"{ROLLOUT_LABEL}-")
    await run("set", "image", "-n", namespace, "deployment/pay", "c=pay:2")
    assert not paused(await state())


async def test_a_canary_of_ours_is_not_held(hold, run, namespace, state):
    await run("label", "-n", namespace, "deployment/pay", "coalmine.dev/role=canary")
    await run("set", "image", "-n", namespace, "deployment/pay", "c=pay:2")
    assert not paused(await state())


@pytest.mark.parametrize("labels", [{}, {"tier": "front"}])
async def test_a_replacement_without_the_label_is_held_and_keeps_it(
    hold, run, namespace, state, deployment_manifest, labels
):
    replacement = deployment_manifest("pay:2", labelled=False)
    replacement["metadata"]["labels"] = labels
    await run("replace", "-n", namespace, "-f", "-", stdin=json.dumps(replacement))
    found = await state()
    assert paused(found)
    assert found["metadata"]["labels"] == {**labels, ROLLOUT_LABEL: "pay"}


async def test_a_label_that_was_kept_can_be_taken_off_again(hold, api, run, namespace, state, deployment_manifest):
    await run("replace", "-n", namespace, "-f", "-", stdin=json.dumps(deployment_manifest("pay:2", labelled=False)))
    held = (await state())["metadata"]
    assert held["labels"] == {ROLLOUT_LABEL: "pay"}
    subject = Subject("pay", namespace, "u", 1, None, "", RolloutStatus())
    others = {
        "scaling": Scaling(api, time.time),
        "config": Configuration(api, time.time),
        "hooks": HookRunner(api, clock=time.time, trigger=print),
        "write_backs": WriteBacks(api, trigger=print),
    }
    await Applier(api, CoalmineRouter(), time.time, **others).apply(subject, Release("pay", held["uid"]))
    let_go = (await state())["metadata"]
    assert ROLLOUT_LABEL not in let_go.get("labels", {})
    assert "coalmine.dev" not in json.dumps(let_go.get("annotations", {}))


async def test_gitops_applies_the_same_manifest_again_and_the_hold_stays(
    hold, run, namespace, state, deployment_manifest
):
    text = json.dumps(deployment_manifest("pay:2", labelled=False))
    for _ in range(2):
        await run("apply", "--server-side", "-n", namespace, "-f", "-", stdin=text)
        found = await state()
        assert paused(found)
    owners = [
        entry["manager"] for entry in found["metadata"]["managedFields"] if "f:paused" in json.dumps(entry["fieldsV1"])
    ]
    assert owners == []


async def test_letting_it_go_is_not_held(hold, run, namespace, state):
    await run("set", "image", "-n", namespace, "deployment/pay", "c=pay:2")
    assert paused(await state())
    await run("rollout", "resume", "-n", namespace, "deployment/pay")
    assert not paused(await state())


async def test_only_who_means_to_resume_ends_the_hold(hold, run, namespace, state, deployment_manifest):
    await run("set", "image", "-n", namespace, "deployment/pay", "c=pay:2")
    again = deployment_manifest("pay:2", labelled=False)
    applied = deployment_manifest("pay:2", labelled=False, paused=False, replicas=3)
    await run("replace", "-n", namespace, "-f", "-", stdin=json.dumps(again))
    found = await state()
    assert paused(found)
    assert found["metadata"]["labels"] == {ROLLOUT_LABEL: "pay"}
    for command in (
        ("replace",),
        ("apply",),
        ("apply", "--server-side", "--force-conflicts"),
        ("replace", "--field-manager=helm"),
    ):
        await run(*command, "-n", namespace, "-f", "-", stdin=json.dumps(applied))
        found = await state()
        assert (paused(found), found["spec"]["replicas"]) == (True, 3), command
    patch = ("patch", "-n", namespace, "deployment/pay", "--type=merge", "-p", '{"spec":{"paused":null}}')
    await run(*patch, "--field-manager=node-fetch")
    assert paused(await state())
    await run(*patch)
    assert not paused(await state())


async def test_rollout_status_waits_while_held(hold, run, namespace, state):
    await run("set", "image", "-n", namespace, "deployment/pay", "c=pay:2")
    generation = (await state())["metadata"]["generation"]
    observed = f"--for=jsonpath={{.status.observedGeneration}}={generation}"
    await run("wait", "-n", namespace, "deployment/pay", observed, "--timeout=120s")
    said = await run("rollout", "status", "-n", namespace, "deployment/pay", "--watch=false")
    assert "0 out of 1 new replicas have been updated" in said
    with pytest.raises(KubectlError, match="timed out waiting"):
        await run("rollout", "status", "-n", namespace, "deployment/pay", "--timeout=2s")
    sets = json.loads(await run("get", "replicasets", "-n", namespace, "-o", "json"))["items"]
    assert [s["spec"]["template"]["spec"]["containers"][0]["image"] for s in sets] == ["registry.example/pay:1"]


async def test_the_probe_changes_nothing(hold, api, namespace, state):
    before = await state()
    assert await hold_is_active(api, namespace, "pay")
    assert await state() == before


async def test_without_a_hold_the_probe_says_so(uninstalled, api, namespace, deployment):
    assert not await hold_is_active(api, namespace, deployment)
    assert not await hold_is_active(api, namespace, "no-such-deployment")


async def test_this_api_server_has_the_policy(api):
    assert await served_policy_version(api) == "v1"
    assert await choose_hold(api, "auto") is Hold.POLICY
    assert await choose_hold(api, "policy") is Hold.POLICY
    assert await choose_hold(api, "webhook") is Hold.WEBHOOK


async def test_installing_one_hold_removes_the_other(uninstalled, api, webhook, run):
    async def installed():
        kinds = "mutatingadmissionpolicies,mutatingadmissionpolicybindings,mutatingwebhookconfigurations"
        items = json.loads(await run("get", kinds, "-o", "json"))["items"]
        return sorted(item["kind"] for item in items if item["metadata"]["name"] == HOLD_NAME)

    await install_policy(api)
    await install_policy(api)
    assert await installed() == ["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"]
    await install_webhook(api, *webhook)
    assert await installed() == ["MutatingWebhookConfiguration"]
    await install_policy(api)
    assert await installed() == ["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"]


async def test_while_the_webhook_is_down_templates_cannot_change_and_scaling_works(
    uninstalled, api, cluster, run, namespace, deployment, state, unused_address
):
    await install_webhook(api, unused_address, (cluster.layout.pki / "ca.crt").read_bytes())
    refusal = await _first_refusal(run, namespace)
    assert HOLD_NAME in refusal
    await run("scale", "-n", namespace, "deployment/pay", "--replicas=2")
    found = await state()
    assert image(found) == "registry.example/pay:1"
    assert found["spec"]["replicas"] == 2


async def _first_refusal(run, namespace):
    """Dry-run template changes until the API server has taken notice of the webhook; return what it says then."""
    for _ in range(200):
        try:
            await run("set", "image", "-n", namespace, "deployment/pay", "c=pay:2", "--dry-run=server")
        except KubectlError as error:
            return str(error)
    return "never refused"
