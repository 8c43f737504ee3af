"""``coalmine analysis record`` beside a real release: what was judged live is judged again from the recording."""

from __future__ import annotations

import subprocess
import sys

import pytest

from analysis.model.policy import ErrorPolicy, Policy
from analysis.model.verdict import Decision
from analysis.run.files import read_recording
from analysis.run.replay import replay

pytestmark = pytest.mark.integration


def record(shop, file, *more):
    command = [sys.executable, "-m", "coalmine", "analysis", "record", "payment", "-n", shop.namespace, "-o", str(file)]
    command += ["--kubeconfig", str(shop.cluster.kubeconfig), "--history", "1m", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_bad_release_is_recorded_as_it_happens_and_once_more_from_what_the_mesh_holds(shop, tmp_path):
    shop.open(rate=60)
    recorder = record(shop, tmp_path / "live.jsonl.gz")
    assert recorder.stderr
    assert "waiting for the next release" in recorder.stderr.readline()
    shop.push("v2", errors=0.4)
    code, _ = shop.rollout_status()
    assert code == 1
    _, said = recorder.communicate(timeout=60)
    assert recorder.returncode == 0, said
    assert "step 1 began" in said
    assert "RolledBack: " in said

    live = read_recording(tmp_path / "live.jsonl.gz")
    internal = shop.status["internal"]
    assert live.step_starts == tuple(internal["stepStarts"])
    assert live.title == f"{shop.namespace}/payment: registry.example/shop/payment:v2"
    pods = {pod.pod: pod.arm for window in live.windows for pod in window.pods if pod.pod}
    assert set(pods) == set(live.pods_started)
    assert sorted(str(arm) for arm in pods.values()) == ["baseline", "baseline", "canary"]
    assert live.windows[0].start < internal["began"]
    assert live.policy == Policy(live.bounds_ms, errors=ErrorPolicy(warm_up=0.0), latency=None)
    assert replay(live)[-1].verdict.decision is Decision.ROLL_BACK

    again = record(shop, tmp_path / "again.jsonl", "--last")
    _, said = again.communicate(timeout=60)
    assert again.returncode == 0, said
    held = read_recording(tmp_path / "again.jsonl")
    assert replay(held)[-1].verdict.decision is Decision.ROLL_BACK
    assert total(held, live.windows[0].start) == total(live, live.windows[0].start)

    wrong = record(shop, tmp_path / "wrong.jsonl", "--preset", "Http")
    _, said = wrong.communicate(timeout=60)
    assert wrong.returncode == 1
    assert "--preset is about Prometheus, and this Rollout's counts do not come from there" in " ".join(said.split())


def total(recording, since):
    rows = [pod for window in recording.windows if window.start >= since for pod in window.pods]
    return sum(pod.attempts for pod in rows), sum(pod.errors for pod in rows)
