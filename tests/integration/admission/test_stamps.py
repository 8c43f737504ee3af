"""Who decided, on the real API server with real users: both ways of writing it down, and the guard behind both."""

from __future__ import annotations

import asyncio
import json

import pytest

from coalmine.local.errors import KubectlError
from rollouts.api.approval import GateDecision, Verdict, Via
from rollouts.api.names import DECISIONS_ANNOTATION
from rollouts.core.approvals import Answer, read_decisions
from rollouts.engine.hold import install_policy, install_webhook
from rollouts.gates.decisions import submit

pytestmark = pytest.mark.integration

GATE = "step-2.0a1b2c3d.7"
ROLES = [
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "editor"},
        "rules": [{"apiGroups": ["coalmine.dev"], "resources": ["rollouts"], "verbs": ["get", "patch", "update"]}],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "approver"},
        "rules": [{"apiGroups": ["coalmine.dev"], "resources": ["rollouts"], "verbs": ["approve"]}],
    },
]
PATIENCE_SECONDS = 30


def status(*, restricted=True, gate=GATE):
    asked = {"gate": gate, "restricted": restricted, "approvers": {"groups": ["leads", 'odd"\\one']}}
    return {"phase": "AwaitingApproval", "approval": asked}


class Rollout:
    """Rollout ``pay``, and people who do things to it."""

    def __init__(self, run, api, namespace):
        self.run = run
        self.api = api
        self.namespace = namespace
        self.path = f"/apis/coalmine.dev/v1alpha1/namespaces/{namespace}/rollouts/pay"

    async def asks(self, **more):
        body = {"status": status(**more)}
        await self.api.request("PATCH", f"{self.path}/status", body=body, content_type="application/merge-patch+json")

    async def annotate(self, user, *annotations, groups=()):
        given = [f"--as-group={group}" for group in ("system:authenticated", *groups)]
        await self.run(
            "annotate", "--overwrite", "-n", self.namespace, "rollout/pay", *annotations, "--as", user, *given
        )

    async def refused(self, *args, **more):
        with pytest.raises(KubectlError) as refusal:
            await self.annotate(*args, **more)
        return str(refusal.value)

    @property
    async def annotations(self):
        found = await self.api.request("GET", self.path)
        return {k: v for k, v in (found["metadata"].get("annotations") or {}).items() if k.startswith("coalmine.dev/")}

    @property
    async def decisions(self):
        return read_decisions((await self.annotations).get(DECISIONS_ANNOTATION))


@pytest.fixture(params=["policy", "webhook"])
async def rollout(request, run, api, uninstalled, webhook, namespace):
    """At an open gate, with admission in force."""
    body = {
        "apiVersion": "coalmine.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "pay"},
        "spec": {"workloadRef": {"name": "pay"}},
    }
    await run("apply", "-n", namespace, "-f", "-", stdin=json.dumps(body))
    for role in ROLES:
        await run("apply", "-n", namespace, "-f", "-", stdin=json.dumps(role))
    users = {"editor": ("mallory", "alice", "bob"), "approver": ("alice", "bob")}
    for role, names in users.items():
        given = [f"--user={name}" for name in names]
        await run("create", "rolebinding", role, "-n", namespace, f"--role={role}", *given)
    await (install_policy(api) if request.param == "policy" else install_webhook(api, *webhook))
    made = Rollout(run, api, namespace)
    await made.asks()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:  # the API server takes notice of policies in its own time
            forged = {"metadata": {"annotations": {DECISIONS_ANNOTATION: "[]"}}}
            dry = ("-n", namespace, "rollout/pay", "--type=merge", "-p", json.dumps(forged), "--dry-run=server")
            try:
                await run("patch", *dry, "--as", "mallory", "--as-group=system:authenticated")
            except KubectlError:
                break
            await asyncio.sleep(0.1)
        while True:
            dry = ("-n", namespace, "rollout/pay", "coalmine.dev/approve=probe", "--dry-run=server", "-o", "json")
            found = json.loads(await run("annotate", *dry, "--as", "alice", "--as-group=system:authenticated"))
            if DECISIONS_ANNOTATION in found["metadata"].get("annotations", {}):
                break
            await asyncio.sleep(0.1)
    return made


async def test_who_decides_is_written_down_and_nobody_writes_for_others(rollout, api, namespace):
    comment = 'coalmine.dev/comment=a "quote", a \\ and\na line'
    await rollout.annotate("alice", "coalmine.dev/approve=now", comment, groups=["leads", "staff", 'odd"\\one'])
    await rollout.annotate("bob", "coalmine.dev/approve=now")
    await rollout.annotate("bob", "coalmine.dev/reject=now", "coalmine.dev/comment=changed my mind")
    first, second, third = await rollout.decisions
    assert (first.by, first.verdict, first.via, first.gate) == ("alice", Verdict.APPROVE, Via.KUBECTL, GATE)
    assert first.groups == ("leads", 'odd"\\one'), "those that are asked, and no others"
    assert first.comment == comment.partition("=")[2]
    assert (second.by, second.comment, second.groups) == ("bob", "", ())
    assert (third.by, third.verdict, third.comment) == ("bob", Verdict.REJECT, "changed my mind")
    assert len({first.id, second.id, third.id}) == 3
    assert set(await rollout.annotations) == {DECISIONS_ANNOTATION}, "the next one can write the same"

    before = (await rollout.annotations)[DECISIONS_ANNOTATION]
    refusal = await rollout.refused("mallory", "coalmine.dev/approve=now")
    assert "user mallory may not decide at gates of Rollout pay: that takes the verb approve on rollouts" in refusal
    forgeries = {
        "somebody else's": before[:-1] + "," + before[1:].replace("bob", "carol"),
        "a second one behind a comment": before[:-1]
        + f',{{"verdict":"Approve","id":"x","gate":"{GATE}","via":"kubectl","by":"mallory","groups":[],"comment":""}},'
        + before[1:],
        "none at all": "[]",
        "another gate's": before.replace(GATE, "step-3.0a1b2c3d.9"),
        "taken back": before.replace("Reject", "Approve"),
    }
    for name, text in forgeries.items():
        for user in ("mallory", "alice"):
            refusal = await rollout.refused(user, f"{DECISIONS_ANNOTATION}={text}")
            assert "is written by admission alone" in refusal, name
            await rollout.refused(user, f"{DECISIONS_ANNOTATION}={text}", "coalmine.dev/approve=now")
    await rollout.annotate("mallory", f"{DECISIONS_ANNOTATION}-")
    assert (await rollout.annotations)[DECISIONS_ANNOTATION] == before, "nobody drops what was decided"
    await rollout.annotate("mallory", "other=1")

    # the controller hands in what people decided elsewhere, and a new question begins a new list
    elsewhere = GateDecision(id="s1", gate=GATE, verdict=Verdict.APPROVE, by="U0ALICE", via=Via.SLACK)
    assert (await submit(api, namespace, "pay", elsewhere)).answer is Answer.LATE, "bob has rejected it"
    await rollout.asks(gate="step-3.0a1b2c3d.9", restricted=False)
    elsewhere = elsewhere.model_copy(update={"gate": "step-3.0a1b2c3d.9"})
    assert (await submit(api, namespace, "pay", elsewhere)).answer is Answer.COUNTED
    assert [d.id for d in await rollout.decisions] == ["s1"]
    await rollout.annotate("alice", "coalmine.dev/reject=now")
    assert [d.by for d in await rollout.decisions] == ["U0ALICE", "alice"]


async def test_without_restrictions_whoever_may_patch_decides_and_is_named(rollout):
    await rollout.asks(restricted=False)
    await rollout.annotate("mallory", "coalmine.dev/approve=now")
    assert [d.by for d in await rollout.decisions] == ["mallory"]


async def test_where_no_gate_is_open_the_command_stays_a_command(rollout):
    await rollout.api.request(
        "PATCH",
        f"{rollout.path}/status",
        body={"status": {"approval": None}},
        content_type="application/merge-patch+json",
    )
    await rollout.annotate("mallory", "coalmine.dev/approve=now")
    assert (await rollout.annotations) == {"coalmine.dev/approve": "now"}
    await rollout.refused("mallory", f"{DECISIONS_ANNOTATION}=[]")


async def test_who_changed_a_template_is_noted_and_stays_noted(hold, run, namespace, state):
    async def changed_by():
        return (await state())["metadata"].get("annotations", {}).get("coalmine.dev/changed-by")

    await run(
        "set", "image", "-n", namespace, "deployment/pay", "c=pay:2", "--as", "carol", "--as-group=system:masters"
    )
    assert await changed_by() == "carol"
    for annotation in ("coalmine.dev/changed-by=dave", "coalmine.dev/changed-by-"):
        await run("annotate", "--overwrite", "-n", namespace, "deployment/pay", annotation)
        assert await changed_by() == "carol"
    await run("scale", "-n", namespace, "deployment/pay", "--replicas=2")
    assert await changed_by() == "carol"
