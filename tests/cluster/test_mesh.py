"""Pods of a real kubelet, in the mesh: their packets are redirected, and every request passes its sidecars."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coalmine.local.cluster import LocalCluster
    from coalmine.local.kube import Kubectl

pytestmark = pytest.mark.integration

# In somebody else's cluster (conftest.py) an image with Python; on our own node the machine's Python is mounted.
OTHER_IMAGE = os.environ.get("COALMINE_TEST_IMAGE", "")
IMAGE = OTHER_IMAGE or "coalmine.test/pod:1"
PYTHON = "python3" if OTHER_IMAGE else f"{sys.base_prefix}/bin/python3"
MOUNTS = {} if OTHER_IMAGE else {"python": sys.base_prefix, "lib": "/usr/lib", "lib64": "/usr/lib64"}
PATHS = {"python": sys.base_prefix, "lib": "/lib", "lib64": "/lib64"}
PATIENCE = "--timeout=120s"
SERVER = """
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = json.dumps({"pod": os.environ["HOSTNAME"], "peer": self.client_address[0]}).encode()
        self.send_response(200 if self.path in ("/", "/ready") else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""
SEND = """
import collections, http.client, json, sys
seen = collections.Counter()
for address, port, host, count in json.loads(sys.argv[1]):
    for _ in range(count):
        connection = http.client.HTTPConnection(address, port, timeout=10)
        try:
            connection.request("GET", "/", headers={"Host": host})
            answer = connection.getresponse()
            answer.read()
            seen[str(answer.status)] += 1
        except OSError as error:
            seen[type(error).__name__] += 1
        connection.close()
print(json.dumps(seen))
"""


def deployment(name: str, *, replicas: int = 1) -> dict[str, Any]:
    """A Python server."""
    probe = {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1}
    container = {
        "name": "app",
        "image": IMAGE,
        "command": [PYTHON, "-c", SERVER],
        "ports": [{"name": "http", "containerPort": 8080}],
        # Without a share of its own it would get hardly any of a busy machine.
        "resources": {"requests": {"cpu": "200m"}},
        "startupProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 90},
        "readinessProbe": probe,
        "livenessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 2},
        "volumeMounts": [{"name": n, "mountPath": path, "readOnly": True} for n, path in PATHS.items() if n in MOUNTS],
    }
    volumes = [{"name": n, "hostPath": {"path": path}} for n, path in MOUNTS.items()]
    spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 5, "dnsPolicy": "Default"}
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def service(name: str) -> dict[str, Any]:
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def job(name: str, *targets: tuple[str, int, str, int]) -> dict[str, Any]:
    """Requests from a pod that ends; the Job fails unless all of them are answered with 200."""
    spec = deployment(name)["spec"]["template"]["spec"]
    container = {key: value for key, value in spec["containers"][0].items() if "Probe" not in key and key != "ports"}
    code = f"{SEND}\nsys.exit(set(seen) != {{'200'}})"
    container["command"] = [PYTHON, "-c", code, json.dumps(targets)]
    template = {"spec": spec | {"containers": [container], "restartPolicy": "Never"}}
    body = {"template": template, "backoffLimit": 0}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": body}


class Cluster:
    """What the tests do with the cluster."""

    def __init__(self, kubectl: Kubectl, kubeconfig: str = "") -> None:
        self.kubectl = kubectl
        self.kubeconfig = kubeconfig

    def coalmine(self, *arguments: str) -> tuple[int, Any]:
        """Run a command of the mesh; return its status and what it says, read from JSON."""
        command = [sys.executable, "-m", "coalmine", "mesh", *arguments, "-o", "json", "--kubeconfig", self.kubeconfig]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode in {0, 1}, done.stderr
        return done.returncode, json.loads(done.stdout)

    def cut_off(self, namespace: str) -> dict[str, int]:
        """Return whom STRICT would cut off, and how often they called."""
        _, report = self.coalmine("check-strict", "-n", namespace)
        return {
            self._who(call["source"]): call["requests"] for call in report["cutOff"] if call["workload"] == "payment"
        }

    @staticmethod
    def _who(source: dict[str, Any]) -> str:
        return f"{source['kind']} {source['namespace']}/{source['name']}"

    def ended(self, namespace: str, name: str) -> str:
        """Wait for a Job; return how it ended."""
        path = "jsonpath={.status.conditions[?(@.status=='True')].type}"
        return until(
            lambda: set(self.kubectl("get", "job", name, "-n", namespace, "-o", path).split()) & {"Complete", "Failed"},
            f"Job {name} ends",
        ).pop()

    def namespace(self, name: str, **labels: str) -> None:
        self.kubectl("create", "namespace", name)
        for key, value in labels.items():
            self.kubectl("label", "namespace", name, f"{key.replace('_', '-')}={value}")
        self.kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, PATIENCE)

    def apply(self, namespace: str, *manifests: dict[str, Any]) -> None:
        self.kubectl("apply", "-n", namespace, "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def rolled_out(self, namespace: str, *names: str) -> None:
        for name in names:
            self.kubectl("rollout", "status", f"deployment/{name}", "-n", namespace, PATIENCE, timeout=150)

    def pods(self, namespace: str, app: str) -> list[dict[str, Any]]:
        found = json.loads(self.kubectl("get", "pods", "-n", namespace, "-l", f"app={app}", "-o", "json"))["items"]
        return [p for p in found if "deletionTimestamp" not in p["metadata"]]

    def address(self, namespace: str, name: str) -> str:
        return self.kubectl("get", "service", name, "-n", namespace, "-o", "jsonpath={.spec.clusterIP}")

    def send(self, namespace: str, app: str, *targets: tuple[str, int, str, int]) -> dict[str, int]:
        """Send requests from an application's container; return how many had each outcome."""
        return json.loads(self.python(namespace, app, SEND, json.dumps(targets)))

    def python(self, namespace: str, app: str, code: str, *arguments: str, pod: str = "") -> str:
        name = pod or self.pods(namespace, app)[0]["metadata"]["name"]
        command = [PYTHON, "-c", code, *arguments]
        return self.kubectl("exec", "-n", namespace, name, "-c", "app", "--", *command)

    def passed_inwards(self, namespace: str, app: str) -> int:
        """Return how many requests the sidecars of an application have passed on to it."""
        return sum(self._counted(namespace, pod, "inbound|8080::") for pod in self.pods(namespace, app))

    def passed_outwards(self, namespace: str, app: str, cluster: str) -> int:
        return sum(self._counted(namespace, pod, f"{cluster}::") for pod in self.pods(namespace, app))

    def _counted(self, namespace: str, pod: dict[str, Any], prefix: str) -> int:
        code = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:15000/clusters').read().decode())"
        lines = self.python(namespace, "", code, pod=pod["metadata"]["name"]).splitlines()
        return sum(
            int(line.rpartition("::")[2]) for line in lines if line.startswith(prefix) and "::rq_total::" in line
        )


@pytest.fixture(scope="module")
def shop(kubectl: Kubectl, cluster: LocalCluster) -> Iterator[Cluster]:
    """Namespace shop is in the mesh by Istio's label, namespace outside is not."""
    shop = Cluster(kubectl, str(cluster.kubeconfig))
    shop.namespace("shop", istio_injection="enabled")
    shop.namespace("outside")
    shop.apply("shop", deployment("payment", replicas=2), deployment("caller"), service("payment"), service("caller"))
    shop.apply("outside", deployment("stranger"), service("stranger"))
    shop.rolled_out("shop", "payment", "caller")
    shop.rolled_out("outside", "stranger")
    yield shop
    for name in ("shop", "outside"):
        kubectl("delete", "namespace", name, "--wait=false")


def until(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def test_labelled_pods_run_with_their_sidecar(shop: Cluster):
    lines = shop.kubectl("get", "pods", "-n", "shop", "--no-headers").splitlines()

    assert [line.split()[1:3] for line in lines] == [["2/2", "Running"]] * 3
    outside = shop.kubectl("get", "pods", "-n", "outside", "--no-headers").split()
    assert outside[1:3] == ["1/1", "Running"]


def test_requests_by_cluster_ip_pass_both_sidecars(shop: Cluster):
    before = shop.passed_inwards("shop", "payment")

    seen = shop.send("shop", "caller", (shop.address("shop", "payment"), 80, "payment", 60))

    assert seen == {"200": 60}
    assert shop.passed_outwards("shop", "caller", "outbound|80||payment.shop.svc.cluster.local") == 60
    assert shop.passed_inwards("shop", "payment") - before == 60


def test_requests_by_pod_ip_pass_the_sidecar_of_the_pod(shop: Cluster):
    before = shop.passed_inwards("shop", "payment")
    addresses = [pod["status"]["podIP"] for pod in shop.pods("shop", "payment")]

    seen = shop.send("shop", "caller", *((address, 8080, f"{address}:8080", 20) for address in addresses))

    assert seen == {"200": 40}
    assert shop.passed_inwards("shop", "payment") - before == 40


def test_requests_from_outside_pass_the_sidecar_of_the_pod(shop: Cluster):
    before = shop.passed_inwards("shop", "payment")
    pod = shop.pods("shop", "payment")[0]["status"]["podIP"]
    targets = [(shop.address("shop", "payment"), 80, "payment", 20), (pod, 8080, "payment", 20)]

    assert shop.send("outside", "stranger", *targets) == {"200": 40}
    assert shop.passed_inwards("shop", "payment") - before == 40


def test_requests_to_what_is_not_in_the_mesh_are_passed_on(shop: Cluster):
    stranger = shop.pods("outside", "stranger")[0]["status"]["podIP"]
    targets = [(shop.address("outside", "stranger"), 80, "stranger.outside", 20), (stranger, 8080, "x", 20)]

    assert shop.send("shop", "caller", *targets) == {"200": 40}
    assert shop.passed_outwards("shop", "caller", "outbound|80||stranger.outside.svc.cluster.local") == 20


def test_a_host_that_no_service_has_goes_where_it_was_sent(shop: Cluster):
    stranger = shop.address("outside", "stranger")

    assert shop.send("shop", "caller", (stranger, 80, "shop.example.com", 10)) == {"200": 10}


def test_under_strict_the_mesh_goes_on_and_strangers_are_refused(shop: Cluster):
    strict = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "default"}}
    shop.apply("shop", {**strict, "spec": {"mtls": {"mode": "STRICT"}}})
    address = shop.address("shop", "payment")
    try:
        until(
            lambda: "200" not in shop.send("outside", "stranger", (address, 80, "payment", 10)), "strangers are refused"
        )
        assert shop.send("shop", "caller", (address, 80, "payment", 40)) == {"200": 40}
        # Its own Service chooses either pod, itself too: it meets its own inbound side as any caller does.
        assert shop.send("shop", "payment", (address, 80, "payment", 40)) == {"200": 40}
        # New pods become ready: the kubelet, which speaks plaintext, is heard on a port of its own.
        shop.kubectl("rollout", "restart", "deployment/payment", "-n", "shop")
        shop.rolled_out("shop", "payment")
        restarts = [s["restartCount"] for p in shop.pods("shop", "payment") for s in p["status"]["containerStatuses"]]
        assert set(restarts) == {0}
        assert shop.send("shop", "caller", (address, 80, "payment", 40)) == {"200": 40}
    finally:
        shop.kubectl("delete", "peerauthentication/default", "-n", "shop")


def test_a_job_that_strict_would_cut_off_is_named_before_it_is_and_bridged(shop: Cluster):
    target = (shop.address("shop", "payment"), 80, "payment", 7)
    nightly = job("cleanup", target)
    schedule = {"schedule": "0 3 1 1 *", "jobTemplate": {"spec": nightly["spec"]}}
    shop.apply(
        "outside",
        nightly,
        {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"}, "spec": schedule},
    )
    assert shop.ended("outside", "cleanup") == "Complete"

    until(lambda: shop.cut_off("shop").get("Job outside/cleanup") == 7, "the Job is named with its requests")
    status, report = shop.coalmine("check-strict", "-n", "shop")
    assert status == 1
    assert [unseen["name"] for unseen in report["notSeen"]] == ["nightly"]
    # The kubelet, which probes in plaintext, is not among them: STRICT does not cut it off.
    assert {call["source"]["kind"] for call in report["cutOff"]} <= {"Job", "Deployment"}

    strict = {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": {"name": "default"}}
    try:
        shop.apply("shop", *report["bridge"], {**strict, "spec": {"mtls": {"mode": "STRICT"}}})
        caller = shop.pods("shop", "caller")[0]["status"]["podIP"]
        until(
            lambda: "200" not in shop.send("outside", "stranger", (caller, 8080, "caller", 3)),
            "other workloads take mutual TLS only",
        )
        shop.apply("outside", job("bridged", target))
        assert shop.ended("outside", "bridged") == "Complete"

        for manifest in report["bridge"]:
            shop.kubectl("delete", "peerauthentication", manifest["metadata"]["name"], "-n", "shop")
        until(
            lambda: "200" not in shop.send("outside", "stranger", target),
            "strangers are refused",
        )
        shop.apply("outside", job("refused", target))
        assert shop.ended("outside", "refused") == "Failed"
        assert shop.send("shop", "caller", target) == {"200": 7}

        def refused() -> bool:
            _, report = shop.coalmine("check-strict", "-n", "shop")
            return any(c["source"]["name"] == "refused" and c["refused"] == 7 for c in report["cutOff"])

        until(refused, "the refused connections are counted with their source")
    finally:
        shop.kubectl("delete", "peerauthentication", "--all", "-n", "shop")


def test_what_comes_around_a_split_is_measured_with_its_source(shop: Cluster):
    backends = [{"service": "payment", "weight": 90}, {"service": "caller", "weight": 10}]
    split = {"apiVersion": "mesh.coalmine.dev/v1alpha1", "kind": "TrafficSplit", "metadata": {"name": "payment"}}
    shop.apply("shop", {**split, "spec": {"service": "payment", "backends": backends}})
    address = shop.address("shop", "payment")
    path = "jsonpath={.status.acknowledged.weights}"

    def status() -> dict[str, Any]:
        return json.loads(shop.kubectl("get", "trafficsplit", "payment", "-n", "shop", "-o", "json")).get("status", {})

    try:
        until(lambda: shop.kubectl("get", "trafficsplit", "payment", "-n", "shop", "-o", path), "the split is in force")
        who = "Deployment outside/stranger"
        before = shop.cut_off("shop").get(who, 0)
        assert shop.send("shop", "caller", (address, 80, "payment", 60)) == {"200": 60}
        assert shop.send("outside", "stranger", (address, 80, "payment", 40)) == {"200": 40}

        until(lambda: shop.cut_off("shop").get(who, 0) - before == 40, "each request that came around is counted")

        def told() -> bool:
            sources = status().get("bypass", {}).get("sources", ())
            return any(s["source"] == f"{who} (no sidecar)" and s["requests"] >= 40 for s in sources)

        until(told, "the split's status tells the source")
        bypass = status()["bypass"]
        assert bypass["requests"] >= 100
        assert set(bypass["shares"]) == {"payment", "caller"}
        events = json.loads(shop.kubectl("get", "events", "-n", "shop", "-o", "json"))["items"]
        assert any(e["reason"] == "Bypassed" and who in e["message"] for e in events)
    finally:
        shop.kubectl("delete", "trafficsplit", "payment", "-n", "shop")


def test_pods_older_than_the_label_are_found_and_restarted(shop: Cluster, cluster: LocalCluster):
    shop.namespace("late")
    shop.apply("late", deployment("old"))
    shop.rolled_out("late", "old")
    shop.kubectl("label", "namespace", "late", "coalmine.dev/inject=enabled")
    command = [sys.executable, "-m", "coalmine", "mesh", "check-inject", "-n", "late", "-o", "json"]
    command += ["--kubeconfig", str(cluster.kubeconfig)]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        assert found.returncode == 1, found.stderr
        assert [pod["owner"] for pod in json.loads(found.stdout)] == ["Deployment/old"]

        subprocess.run([*command, "--restart"], check=True, capture_output=True)
        shop.rolled_out("late", "old")
        assert [len(p["status"]["initContainerStatuses"]) for p in shop.pods("late", "old")] == [2]
    finally:
        shop.kubectl("delete", "namespace", "late", "--wait=false")
