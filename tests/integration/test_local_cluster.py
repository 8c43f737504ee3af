"""The local control plane as a whole: what runs, what is found again, what is started anew, what is left."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from coalmine.cli import main
from coalmine.local.cluster import BARE, LocalCluster
from coalmine.local.errors import KubectlError, LocalError, StartFailedError
from coalmine.local.layout import APISERVER, CONTROLLER, ETCD, KCM, MESH, NODE, START_ORDER

pytestmark = pytest.mark.integration

WITHOUT_NODE = (NODE, MESH, CONTROLLER)


@pytest.fixture
def own(tmp_path):
    """A control plane that this test alone uses, without the node agent."""
    cluster = LocalCluster("own", tmp_path / "own")
    yield cluster
    cluster.down(delete=True)


def up(cluster: LocalCluster) -> set[str]:
    return set(cluster.up(skip=WITHOUT_NODE))


def kill(pid: int) -> None:
    """Kill and wait for the end."""
    descriptor = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([descriptor], [], [])
    os.close(descriptor)


def test_objects_are_kept_and_deployments_get_replica_sets(kubectl, namespace):
    kubectl("create", "deployment", "web", "--image=none", "-n", namespace)
    kubectl("wait", "--for=create", "replicaset", "-l", "app=web", "-n", namespace, "--timeout=120s")
    sets = json.loads(kubectl("get", "replicasets", "-n", namespace, "-o", "json"))["items"]
    assert [s["metadata"]["ownerReferences"][0]["name"] for s in sets] == ["web"]


def test_pods_run_and_their_logs_are_read(kubectl, cluster, namespace):
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "hello", "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "hello", "image": "none", "command": ["/bin/sh", "-c", "echo hello from a pod"]}],
        },
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/hello", "-n", namespace, "--timeout=120s")
    assert kubectl("logs", "hello", "-n", namespace) == "hello from a pod\n"
    address = kubectl("get", "pod", "hello", "-n", namespace, "-o", "jsonpath={.status.podIP}")
    assert address.rsplit(".", 2)[0] == cluster.pod_cidr.rsplit(".", 2)[0]


def test_our_custom_resources_are_served_and_the_controller_may_only_do_its_work(kubectl, cluster, namespace):
    assert "rollouts" in kubectl("api-resources", "--api-group=coalmine.dev", "-o", "name")
    as_controller = ("--kubeconfig", str(cluster.kubeconfig_for(CONTROLLER)), "-n", namespace)
    assert kubectl("auth", "can-i", "patch", "deployments", *as_controller).strip() == "yes"
    with pytest.raises(KubectlError, match="exit code 1"):
        kubectl("auth", "can-i", "get", "secrets", *as_controller)


def test_strangers_are_not_let_in(cluster):
    context = ssl.create_default_context(cafile=str(cluster.layout.pki / "ca.crt"))
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{cluster.server}/api/v1/secrets", context=context)
    with pytest.raises(OSError, match="certificate required"):
        urllib.request.urlopen(f"https://127.0.0.1:{cluster.settings.ports.etcd}/health", context=context)


def test_a_kubectl_error_is_what_kubectl_said(kubectl):
    with pytest.raises(KubectlError, match=r'deployments\.apps "nothing" not found'):
        kubectl("get", "deployment", "nothing")


def test_a_second_up_finds_the_first_and_down_leaves_nothing(own):
    assert up(own) == {ETCD, APISERVER, KCM}
    pids = {name: own.pid(name) for name in (ETCD, APISERVER, KCM)}
    again = LocalCluster("own", own.layout.root)
    assert up(again) == set()
    assert {name: again.pid(name) for name in pids} == pids
    assert {c.name for c in again.status() if c.state == "running" and c.ready} == set(pids)
    assert set(again.down()) == set(pids)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids.values())
    assert {c.state for c in own.status()} == {"stopped"}


def test_what_was_killed_is_started_again_alone_and_objects_survive(own):
    up(own)
    own.kubectl()("create", "configmap", "kept")
    etcd, apiserver = own.pid(ETCD), own.pid(APISERVER)
    own.stop(APISERVER, signal.SIGKILL)
    kill(own.pid(KCM))
    assert {c.name: c.state for c in own.status()}[KCM] == "died"
    assert up(own) == {APISERVER, KCM}
    assert own.pid(ETCD) == etcd
    assert own.pid(APISERVER) != apiserver
    own.kubectl()("get", "configmap", "kept")
    before = own.pid(KCM)
    own.restart(KCM)
    assert own.pid(KCM) not in (None, before)


def test_objects_survive_down_but_not_delete_and_a_port_taken_meanwhile_is_exchanged(own):
    up(own)
    own.kubectl()("create", "configmap", "kept")
    own.down()
    port = own.settings.ports.apiserver
    with socket.create_server(("127.0.0.1", port)):
        up(own)
        assert own.settings.ports.apiserver != port
        own.kubectl()("get", "configmap", "kept")
    own.down(delete=True)
    assert not own.layout.root.exists()
    up(own)
    with pytest.raises(KubectlError, match="not found"):
        own.kubectl()("get", "configmap", "kept")


def test_a_recycled_process_number_is_neither_taken_for_the_cluster_nor_killed(own):
    record = own.layout.record(ETCD)
    record.parent.mkdir(parents=True)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    record.write_text(json.dumps({"pid": os.getpid(), "started": 1, "boot": boot, "command": ["etcd"]}))
    assert own.pid(ETCD) is None
    assert own.down() == ()
    assert not record.exists()


def test_a_component_that_ends_at_once_is_explained_by_its_log(own):
    own.layout.etcd_data.mkdir(parents=True)
    (own.layout.etcd_data / "member").write_text("not a folder")
    with pytest.raises(
        StartFailedError, match=r"(?s)etcd ended\. The end of .*etcd\.log:\n.*not a directory.*What to do"
    ):
        up(own)


def test_the_command_brings_everything_up_and_down(own):
    def run(*args):
        return CliRunner().invoke(main, ["local", *args, "--state-dir", str(own.layout.root)])

    result = run("up")
    assert (result.exit_code, result.stdout) == (0, f"export KUBECONFIG={own.kubeconfig}\n"), result.output
    assert "Kubernetes is up" in result.stderr
    assert [c.name for c in own.status() if c.ready] == list(START_ORDER)
    assert "Kubernetes was up already" in run("up").stderr
    assert run("status").exit_code == 0
    kill(own.pid(CONTROLLER))
    result = run("status")
    assert result.exit_code == 1
    assert "died" in result.output
    result = run("down", "--delete")
    assert "Ended node, mesh, kube-controller-manager, kube-apiserver, etcd (and forgotten)" in result.stderr


def test_names_that_do_not_exist_are_refused(own):
    with pytest.raises(LocalError, match="unknown component kubelet; there are: etcd"):
        own.start("kubelet")
    with pytest.raises(LocalError, match=r"no cluster in .*; start it with `coalmine local up`"):
        own.mesh_url  # noqa: B018
    assert set(BARE) == {ETCD, APISERVER, KCM, NODE}
