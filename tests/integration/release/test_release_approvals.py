"""Gates on a real release: real users through kubectl, a signed call to another replica, and a controller that is killed."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml
from standardwebhooks import Webhook

from coalmine.local.errors import KubectlError
from coalmine.local.layout import CONTROLLER

pytestmark = pytest.mark.integration

APPROVER = Path(__file__).parents[3] / "deploy" / "controller" / "approver.yaml"
SECRET = "whsec_" + base64.b64encode(b"of the change management system").decode()
STEPS = [
    {"setWeight": 20},
    {
        "approval": {
            "message": "is the ledger closed?",
            "approvers": {"users": ["alice", "bob"], "callers": ["change"]},
            "required": 2,
            "excludeAuthor": True,
        }
    },
]
PROMOTION = {"approvers": {"groups": ["release-managers"]}, "timeout": "30m"}


def annotate(shop, user, *annotations, group="system:authenticated"):
    given = [f"coalmine.dev/{annotation}" for annotation in annotations]
    users = ("--as", user, "--as-group", group)
    shop.kubectl("annotate", "--overwrite", "rollout/payment", *given, *users)


def told(shop, reason):
    """Return the notes of the Rollout's Events of a kind."""
    items = shop.live.all("event", shop.namespace)
    return [e["note"] for e in items if e["regarding"]["kind"] == "Rollout" and e["reason"] == reason]


@contextlib.contextmanager
def replica(shop, folder):
    """A second controller, which leads nowhere, with a configuration and an address; gives that."""
    (folder / "key").write_text(SECRET)
    config = folder / "controller.yaml"
    config.write_text(
        yaml.safe_dump({"approvals": {"callers": [{"name": "change", "secretFile": str(folder / "key")}]}})
    )
    with socket.socket() as one, socket.socket() as two:
        for free in (one, two):
            free.bind(("127.0.0.1", 0))
        http, health = (f"127.0.0.1:{free.getsockname()[1]}" for free in (one, two))
    flags = {
        "kubeconfig": shop.cluster.kubeconfig_for(CONTROLLER),
        "mesh-url": "http://127.0.0.1:1",
        "namespace": "default",
        "http-address": http,
        "health-address": health,
        "config": config,
    }
    command = [sys.executable, "-m", "coalmine", "controller", "run", *(f"--{k}={v}" for k, v in flags.items())]
    with (folder / "replica.log").open("w") as log, subprocess.Popen(command, stderr=log, stdout=log) as process:
        try:
            until_it_serves(http, process, folder / "replica.log")
            yield http
        finally:
            process.terminate()
            process.wait(30)


def until_it_serves(address, process, log):
    deadline = time.monotonic() + 120
    host, _, port = address.rpartition(":")
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=5):
            return
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def call(address, shop, key, secret=SECRET, **body):
    """A signed call; its status and answer."""
    text, now = json.dumps(body), dt.datetime.now(dt.UTC)
    headers = {
        "webhook-id": key,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(key, now, text),
    }
    url = f"http://{address}/approvals/{shop.namespace}/payment"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, text.encode(), headers), timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def allow(shop):
    """Everybody may patch the Rollout; all but mallory may decide at gates, where those let them."""
    shop.kubectl("apply", "-f", str(APPROVER))
    editor = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "editor"},
        "rules": [{"apiGroups": ["coalmine.dev"], "resources": ["rollouts"], "verbs": ["get", "patch"]}],
    }
    shop.apply(editor)
    shop.kubectl("create", "rolebinding", "editor", "--role=editor", "--user=mallory")
    users = [f"--user={name}" for name in ("alice", "bob", "carol")]
    shop.kubectl(
        "create", "rolebinding", "approver", "--clusterrole=coalmine-approver", *users, "--group=release-managers"
    )


def test_two_people_who_did_not_write_the_change_let_it_on(shop, tmp_path):
    allow(shop)
    shop.open(steps=STEPS, promotionApproval=PROMOTION, analysis={"enabled": False, "minStepDuration": "1s"})
    shop.kubectl("annotate", "deployment/payment", "coalmine.dev/author=alice")
    shop.push("v2")
    shop.until(lambda: shop.status["phase"] == "AwaitingApproval")
    asked = shop.status["approval"]
    assert (asked["message"], asked["missing"], asked["authors"][0]) == ("is the ledger closed?", 2, "alice")

    with pytest.raises(KubectlError, match="user mallory may not decide at gates of Rollout payment"):
        annotate(shop, "mallory", "approve=now")
    with pytest.raises(KubectlError, match="is written by admission alone"):
        annotate(shop, "carol", 'decisions=[{"verdict":"Approve"}]')
    annotate(shop, "carol", "approve=now")
    annotate(shop, "alice", "approve=now")
    annotate(shop, "bob", "approve=now", "comment=the ledger is closed")
    annotate(shop, "bob", "approve=now")
    for command in ("skip", "promote"):
        shop.annotate(command)
    shop.kill()
    shop.until(lambda: len(told(shop, "CommandIgnored")) == 5)
    ignored = "\n".join(told(shop, "CommandIgnored"))
    for words in (
        "approved by carol (kubectl). This does nothing: this gate does not name them",
        "alice made the change",
        "approved this already",
        "annotation coalmine.dev/skip does nothing",
        "spec.steps[1].approval and spec.promotionApproval asks who decides",
    ):
        assert words in ignored
    status = shop.status
    assert (status["phase"], status["approval"]["missing"], shop.weight) == ("AwaitingApproval", 1, 20)
    (counted,) = status["approval"]["decisions"]
    assert (counted["by"], counted["via"], counted["comment"]) == ("bob", "kubectl", "the ledger is closed")

    gate = asked["gate"]
    with replica(shop, tmp_path) as address:
        other = "whsec_" + base64.b64encode(b"somebody else's key, which is long").decode()
        assert call(address, shop, "c1", other, gate=gate, verdict="Approve")[0] == 401
        assert call(address, shop, "c2", gate="step-2.00000000.1", verdict="Approve")[0] == 409
        status, answer = call(address, shop, "c3", gate=gate, verdict="Approve", comment="CHG-1234")
        assert (status, answer) == (200, {"answer": "Counted", "words": "the gate is passed"})
        shop.until(lambda: shop.state == "AwaitingPromotion")
        status, answer = call(address, shop, "c3", gate=gate, verdict="Approve", comment="CHG-1234")
        assert (status, answer["answer"]) == (409, "Stale")
    assert shop.status["approval"]["until"]
    annotate(shop, "dave", "approve=now", group="release-managers")
    shop.until(lambda: shop.status["phase"] == "Healthy")
    (entry,) = shop.status["history"]
    assert entry["outcome"] == "Promoted"
    assert [(d["by"], d["via"]) for d in entry["approvals"]] == [
        ("bob", "kubectl"),
        ("change", "HTTP"),
        ("dave", "kubectl"),
    ]
    assert "step 2 of 2: approved by change (HTTP): CHG-1234. The gate is passed" in told(shop, "Approved")

    # a no from one of them takes the next one back
    shop.push("v3")
    shop.until(lambda: shop.status["phase"] == "AwaitingApproval")
    annotate(shop, "alice", "reject=now", "comment=frozen until Monday")
    shop.until(lambda: shop.status["phase"] == "RolledBack")
    entry = shop.status["history"][-1]
    assert (entry["outcome"], entry["reason"]) == ("Aborted", "rejected by alice (kubectl): frozen until Monday")
    assert told(shop, "Rejected") == ["rejected by alice (kubectl): frozen until Monday"]
    assert shop.weight == 0
    assert shop.failed_by_us() == []
