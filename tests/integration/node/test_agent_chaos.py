"""The agent is killed at arbitrary moments while pods come and go: no process is lost, none runs twice."""

from __future__ import annotations

import random
import signal
import time
import uuid
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration


def processes(marker):
    """Count processes with a word in their command line."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += marker.encode() in path.read_bytes().split(b"\0")
        except OSError:
            continue
    return found


def test_every_pod_has_its_processes_once(pods, python, cluster, eventually):
    marker, dice = uuid.uuid4().hex, random.Random(7)
    sleep = "import time\nwhile True: time.sleep(60)"
    labels = {"app": "chaos"}
    pod = {
        "terminationGracePeriodSeconds": 3,
        "initContainers": [python(sleep, marker, name="side", restartPolicy="Always"), python("", name="setup")],
        "containers": [python(sleep, marker)],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}
    pods.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "chaos"}, "spec": spec})

    def scale(replicas):
        pods.kubectl("scale", "deployment/chaos", f"--replicas={replicas}", "-n", pods.namespace)

    for replicas in (6, 1, 5, 2):
        scale(replicas)
        # Arbitrary moments are the point: what is asserted holds for each of them.
        time.sleep(dice.uniform(0, 0.5))
        cluster.stop("node", signal.SIGKILL)
        cluster.start("node")
    scale(3)
    pods.kubectl("rollout", "status", "deployment/chaos", "-n", pods.namespace, "--timeout=120s")
    eventually(lambda: processes(marker) == 6, lambda: f"{processes(marker)} processes")
    scale(0)
    pods.kubectl("wait", "--for=delete", "pod", "-l", "app=chaos", "-n", pods.namespace, "--timeout=120s")
    assert processes(marker) == 0
