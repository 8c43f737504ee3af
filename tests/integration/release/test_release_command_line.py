"""The command line, on a real API server during real releases: as processes of their own, as people run them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.integration

STEPS = [{"setWeight": 20}, {"pause": {}}, {"approval": {"message": "Does the bank agree?"}}, {"setWeight": 60}]
BY_TIME = {"enabled": False, "minStepDuration": "1s"}


class CommandLine:
    """Runs ``coalmine`` as the shop's administrator."""

    def __init__(self, shop):
        kubectl = shop.cluster.kubectl()
        self.env = {
            **{k: v for k, v in os.environ.items() if k != "COLUMNS"},  # nothing is cut where there is no terminal
            "KUBECONFIG": str(kubectl.kubeconfig),
            "PATH": os.pathsep.join(
                [str(kubectl.program.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
        }
        self.namespace = ["-n", shop.namespace]

    def start(self, *args):
        command = [sys.executable, "-m", "coalmine", *args, *self.namespace]
        return subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __call__(self, *args, code=0):
        process = self.start(*args)
        out, err = process.communicate(timeout=240)
        assert process.returncode == code, f"coalmine {' '.join(args)}: {process.returncode}: {out}{err}"
        return out + err


@pytest.fixture
def coalmine(shop):
    return CommandLine(shop)


def test_a_release_is_watched_and_steered_to_its_promotion_and_undone(shop, coalmine):
    shop.open(steps=STEPS, analysis=BY_TIME)
    assert "nothing to abort: payment is healthy and no release is under way" in coalmine("abort", "payment", code=1)
    assert "did you mean payment?" in coalmine("status", "paymant", code=1)

    shop.push("v2")
    watched = coalmine.start("status", "payment", "--watch", "--timeout", "200s")
    shop.until(lambda: shop.status["phase"] == "Paused")
    tree = coalmine("status", "payment")
    assert "‖ payment  Paused, step 2 of 4" in tree
    assert re.search(r"Steps +✔ 20 %  ▶ pause  · approval  · 60 %", tree)
    assert re.search(r"20 % set, 20 % acknowledged by (\d+)/\1 proxies", tree)
    assert re.search(r"Deployment payment +✔ stable, 2/2 ready, change held +v2", tree)
    assert re.search(r"ReplicaSet payment-\w+ +✔ 2/2 ready, revision 1 +v1", tree)
    assert len(re.findall(r"Pod payment-[\w-]+ +✔ Running", tree)) >= 3
    assert "Deployment payment-canary" in tree
    assert "somebody to resume it" in coalmine("explain", "payment")

    assert "resume: " in coalmine("resume", "payment")
    shop.until(lambda: shop.status["phase"] == "AwaitingApproval")
    assert "Does the bank agree?" in coalmine("status", "payment")
    coalmine("approve", "payment", "--comment", "they do")
    shop.until(lambda: shop.status["phase"] != "AwaitingApproval")
    out, err = watched.communicate(timeout=240)
    assert watched.returncode == 0, out + err
    assert "Awaiting approval" in out
    assert "v2 was promoted and is stable" in out

    assert re.search(r"v2 +\w+ +Promoted", coalmine("history", "payment"))
    (entry,) = json.loads(coalmine("history", "payment", "-o", "json"))
    assert entry["outcome"] == "Promoted"
    assert json.loads(coalmine("get", "payment", "-o", "json"))["status"]["phase"] == "Healthy"
    assert [i["metadata"]["name"] for i in yaml.safe_load(coalmine("get", "-o", "yaml"))["items"]] == ["payment"]
    assert coalmine("get", "-o", "name") == "rollout.coalmine.dev/payment\n"
    assert re.search(r"payment +Healthy", coalmine("get"))

    assert "would go back to revision 1 (v1)" in coalmine("undo", "payment", "--dry-run")
    assert "asks for revision 1 (v1) again" in coalmine("undo", "payment")
    shop.until(lambda: shop.status["phase"] == "Paused")
    assert "deployment.apps/payment asks for revision 2 (v2) again" in coalmine("undo", "payment", "--watch")
    assert [h["outcome"] for h in shop.status["history"]] == ["Promoted", "Reverted"]
    assert shop.failed_by_us() == []


def test_a_release_is_stopped_taken_back_tried_again_and_promoted_at_once(shop, coalmine):
    shop.open(
        steps=[{"setWeight": 20}, {"setWeight": 60}, {"pause": {}}], analysis={**BY_TIME, "minStepDuration": "20s"}
    )
    shop.push("v2")
    shop.until(lambda: shop.status["phase"] == "Progressing" and shop.weight == 20)
    assert "paused by annotation coalmine.dev/pause" in coalmine("pause", "payment")
    assert shop.get("rollout", "payment")["spec"]["paused"] is False
    coalmine("skip", "payment")
    assert shop.status["step"] == "2/3"
    assert shop.status["phase"] == "Paused"

    watched = coalmine.start("status", "payment", "--watch")
    assert "was taken back" in coalmine("abort", "payment", "--watch")
    out, err = watched.communicate(timeout=240)
    assert watched.returncode == 1, out + err
    assert "Rolled back" in out
    assert "Aborted" in coalmine("history", "payment")
    assert f"coalmine retry payment -n {shop.namespace}" in coalmine("explain", "payment")

    assert "there is nothing to approve" in coalmine("approve", "payment", code=1)
    assert "timed out after 1s" in coalmine("retry", "payment", "--watch", "--timeout", "1s", code=1)
    shop.until(lambda: shop.status["phase"] == "Progressing")
    assert "v2 was promoted" in coalmine("promote", "payment", "--watch")
    assert shop.failed_by_us() == []


def test_what_is_refused_says_what_to_do(shop, coalmine):
    shop.rollout()
    told = coalmine("get", "--as", "nobody", code=1)
    assert "You need the verb list on rollouts.coalmine.dev" in told
    assert f"kubectl auth can-i list rollouts.coalmine.dev -n {shop.namespace}" in told
    coalmine.namespace = ["-n", "elsewhere"]
    assert f"there is one in {shop.namespace}: -n {shop.namespace}" in coalmine("status", "payment", code=1)
    assert "no Rollouts found in namespace elsewhere" in coalmine("get")
    coalmine.namespace = []
    assert shop.namespace in coalmine("status", "-A")
    assert shop.namespace in coalmine("get", "-A")
    plugin = subprocess.run(
        ["kubectl", "coalmine", "get", "-A"], env=coalmine.env, capture_output=True, text=True, check=True
    )
    assert shop.namespace in plugin.stdout
    assert 'context "nope" does not exist' in coalmine("get", "--context", "nope", code=1)
    coalmine.env["PATH"] = "/nowhere"
    assert "kubectl, which is not on PATH" in coalmine("get", "-A", code=1)
