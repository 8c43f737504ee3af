"""The agent may be killed at any time: pods go on, and the next agent takes them over."""

from __future__ import annotations

import json
import os
import signal
import sys

import pytest

from coalmine.local.node.processes import identity
from coalmine.local.node.records import pod_folders

pytestmark = pytest.mark.integration

FOREVER = "import time\nwhile True: time.sleep(60)"


def pids(cluster, pod):
    folder = next(one for one in pod_folders(cluster.layout.node_state) if one.path.name == pod["metadata"]["uid"])
    return [record.pid for record in folder.records()]


def running(pod):
    return pod["status"]["phase"] == "Running"


def restarts(pod):
    status = pod["status"]
    every = [*status.get("initContainerStatuses", []), *status["containerStatuses"]]
    return [container["restartCount"] for container in every]


def test_containers_keep_running_through_an_agents_death(pods, python, cluster):
    ready = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    sidecar = python(FOREVER, name="proxy", restartPolicy="Always", startupProbe=ready)
    pods.run("steady", python(FOREVER, readinessProbe=ready), initContainers=[sidecar], restartPolicy="Always")
    before = pods.until(
        "steady", lambda pod: all(c["ready"] for c in pod["status"].get("containerStatuses", [{"ready": 0}]))
    )
    processes = pids(cluster, before)
    cluster.stop("node", signal.SIGKILL)
    cluster.start("node")
    # A pod that comes later shows that the new agent is at work.
    pods.run("probe", python(FOREVER))
    later = pods.until("probe", running)
    after = pods.get("steady")
    assert all(identity(pid) for pid in processes)
    assert pids(cluster, after) == processes
    assert restarts(after) == [0, 0]
    assert after["status"]["podIP"] == before["status"]["podIP"] != later["status"]["podIP"]
    assert after["status"]["conditions"] == before["status"]["conditions"]
    pods.delete("steady")
    assert not any(identity(pid) for pid in processes)


def test_what_ended_meanwhile_is_restarted_and_its_end_is_unknown(pods, python, cluster):
    pods.run("mortal", python(FOREVER), restartPolicy="Always")
    pod = pods.until("mortal", running)
    cluster.stop("node", signal.SIGKILL)
    try:
        os.killpg(pids(cluster, pod)[0], signal.SIGKILL)
    finally:
        cluster.start("node")
    pod = pods.until("mortal", lambda pod: restarts(pod) == [1] and running(pod))
    last = pod["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (137, "ContainerStatusUnknown")


def test_pods_deleted_meanwhile_are_ended(pods, python, cluster):
    pods.run("forced", python(FOREVER))
    pods.run("asked", python(FOREVER))
    forced, asked = pods.until("forced", running), pods.until("asked", running)
    processes = [*pids(cluster, forced), *pids(cluster, asked)]
    cluster.stop("node", signal.SIGKILL)
    try:
        pods.delete("forced", "--force", "--grace-period=0")
        pods.delete("asked", "--wait=false")
    finally:
        cluster.start("node")
    pods.kubectl("wait", "--for=delete", "pod/asked", "-n", pods.namespace, "--timeout=120s")
    pods.run("probe", python(FOREVER))
    pods.until("probe", running)
    pods.until("probe", lambda _: not any(identity(pid) for pid in processes))
    uids = {folder.path.name for folder in pod_folders(cluster.layout.node_state)}
    assert not uids & {forced["metadata"]["uid"], asked["metadata"]["uid"]}


def test_finished_pods_are_not_run_again(pods, python, cluster):
    pods.run("once", python("print('ran')"))
    before = pods.until("once", lambda pod: pod["status"]["phase"] == "Succeeded")
    cluster.stop("node", signal.SIGKILL)
    cluster.start("node")
    pods.run("probe", python(FOREVER))
    pods.until("probe", running)
    assert pods.get("once")["status"] == before["status"]
    assert pods.logs("once") == "ran\n"


def test_pods_survive_an_apiserver_outage(pods, python, cluster):
    server = python("", name="web") | {
        "command": [sys.executable, "-u", "-m", "http.server", "8080", "--bind", "$(POD_IP)"],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
    }
    pods.run("web", server)
    pod = pods.until("web", running)
    processes = pids(cluster, pod)
    cluster.restart("kube-apiserver")
    pods.run("probe", python(FOREVER))
    pods.until("probe", running)
    assert pids(cluster, pods.get("web")) == processes
    assert restarts(pods.get("web")) == [0]


def test_the_node_is_ready_and_says_what_it_is(pods):
    node = json.loads(pods.kubectl("get", "node", "local", "-o", "json"))
    conditions = {item["type"]: item["status"] for item in node["status"]["conditions"]}
    assert conditions["Ready"] == "True"
    lease = json.loads(pods.kubectl("get", "lease", "local", "-n", "kube-node-lease", "-o", "json"))
    assert lease["spec"]["holderIdentity"] == "local"


def test_an_agent_that_is_asked_to_end_leaves_its_pods_and_has_nothing_to_complain_of(pods, python, cluster):
    sidecar = python(FOREVER, name="proxy", restartPolicy="Always")
    pods.run("calm", python(FOREVER, readinessProbe={"exec": {"command": ["true"]}}), initContainers=[sidecar])
    pod = pods.until("calm", running)
    processes = pids(cluster, pod)
    assert cluster.stop("node")
    log = cluster.layout.log("node").read_text()
    cluster.start("node")
    assert "ERROR" not in log
    assert "Traceback" not in log
    pods.run("probe", python(FOREVER))
    pods.until("probe", running)
    assert pids(cluster, pods.get("calm")) == processes
    assert restarts(pods.get("calm")) == [0, 0]
