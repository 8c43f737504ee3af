"""What becomes of a pod: its address, environment, phases, conditions, restarts."""

from __future__ import annotations

import json
import sys
import urllib.request

import pytest

pytestmark = pytest.mark.integration

FOREVER = "import time\nwhile True: time.sleep(60)"
SERVER = [sys.executable, "-u", "-m", "http.server", "8080", "--bind", "$(POD_IP)"]


def condition(pod, name):
    return next(item["status"] for item in pod["status"].get("conditions", []) if item["type"] == name)


def state(pod, container=0):
    return pod["status"]["containerStatuses"][container]["state"]


def waiting_for(reason):
    return lambda pod: pod["status"].get("containerStatuses") and state(pod).get("waiting", {}).get("reason") == reason


def test_a_deployment_of_three_servers_becomes_available(pods, python):
    container = python("", name="web", ports=[{"name": "http", "containerPort": 8080}])
    container |= {
        "command": SERVER,
        "args": [],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
    }
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}
    pods.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})
    pods.kubectl("rollout", "status", "deployment/web", "-n", pods.namespace, "--timeout=120s")
    found = pods.live.all("pod", pods.namespace, labels="app=web")
    addresses = {pod["status"]["podIP"] for pod in found}
    assert len(addresses) == 3
    for address in addresses:
        with urllib.request.urlopen(f"http://{address}:8080/", timeout=5) as answer:
            assert answer.status == 200
    assert "Serving HTTP" in pods.logs("deployment/web")


def test_a_container_gets_what_it_declares_and_no_more(pods, python):
    pods.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"colour": "green"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"token": "s3cret"}},
    )

    def field(name, path):
        return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}

    env = [
        field("NAME", "metadata.name"),
        field("TIER", "metadata.labels['tier']"),
        field("NODE", "spec.nodeName"),
        {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "URL", "value": "http://$(POD_IP):80/$(NOPE)/$$(NAME)"},
    ]
    program = "import json,os,sys; print(json.dumps([dict(os.environ), sys.argv[1:]]))"
    container = python(
        program, "--name=$(NAME)", env=env, envFrom=[{"prefix": "ALL_", "configMapRef": {"name": "settings"}}]
    )
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "echo", "labels": {"tier": "front"}}}
    pods.apply(pod | {"spec": {"restartPolicy": "Never", "containers": [container]}})
    done = pods.until("echo", lambda pod: pod["status"]["phase"] == "Succeeded")
    environment, args = json.loads(pods.logs("echo"))
    address = done["status"]["podIP"]
    environment = {name: value for name, value in environment.items() if name not in {"PATH", "HOME", "LC_CTYPE"}}
    assert environment == {
        "POD_IP": address,
        "NAME": "echo",
        "TIER": "front",
        "NODE": "local",
        "COLOUR": "green",
        "ALL_colour": "green",
        "TOKEN": "s3cret",
        "URL": f"http://{address}:80/$(NOPE)/$(NAME)",
    }
    assert args == ["--name=echo"]


def test_readiness_follows_the_probe_both_ways(pods, python, eventually):
    flag = pods.scratch / "ready"
    probe = {"exec": {"command": ["test", "-e", str(flag)]}, "periodSeconds": 1, "failureThreshold": 1}
    pods.run("gate", python(FOREVER, readinessProbe=probe))
    pods.until("gate", lambda pod: pod["status"]["phase"] == "Running" and condition(pod, "Ready") == "False")
    flag.touch()
    pods.until("gate", lambda pod: condition(pod, "Ready") == "True")
    flag.unlink()
    pods.until("gate", lambda pod: condition(pod, "Ready") == "False")
    eventually(lambda: "Unhealthy" in pods.events("gate"))


def test_a_crashing_container_is_restarted_and_then_backed_off(pods, python):
    pods.run("crash", python("raise SystemExit('boom')"), restartPolicy="Always")
    pod = pods.until("crash", waiting_for("CrashLoopBackOff"))
    status = pod["status"]["containerStatuses"][0]
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert "back-off 10s" in status["state"]["waiting"]["message"]
    assert pod["status"]["phase"] == "Running"
    assert pods.logs("crash", "--previous") == "boom\n"


def test_a_failed_liveness_probe_restarts_the_container(pods, python, eventually):
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}
    pods.run("sick", python(FOREVER, livenessProbe=probe), restartPolicy="Always")
    pod = pods.until("sick", lambda pod: pod["status"].get("containerStatuses", [{}])[0].get("restartCount"))
    assert pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 143
    eventually(lambda: {"Unhealthy", "Killing"} <= pods.events("sick"))


def test_a_job_completes(pods, python):
    spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [python("print('done')")]}}}
    pods.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work"}, "spec": spec})
    pods.kubectl("wait", "--for=condition=Complete", "job/work", "-n", pods.namespace, "--timeout=120s")
    assert pods.logs("job/work") == "done\n"


def test_a_pod_that_never_restarts_fails_with_its_exit_code(pods, python):
    pods.run("failing", python("raise SystemExit(7)"))
    pod = pods.until("failing", lambda pod: pod["status"]["phase"] == "Failed")
    assert state(pod)["terminated"]["exitCode"] == 7
    assert condition(pod, "Ready") == "False"


def test_a_missing_config_map_is_named_and_waited_for(pods, python):
    ref = {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "later", "key": "colour"}}}
    pods.run("patient", python("import os; print(os.environ['COLOUR'])", env=[ref]))
    pod = pods.until("patient", waiting_for("CreateContainerConfigError"))
    assert "configmap 'later' not found" in state(pod)["waiting"]["message"]
    pods.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "later"}, "data": {"colour": "red"}})
    pods.until("patient", lambda pod: pod["status"]["phase"] == "Succeeded")
    assert pods.logs("patient") == "red\n"


@pytest.mark.parametrize(
    ("fields", "reason", "text"),
    [
        ({"command": []}, "ErrImagePull", "the local node runs commands, not images"),
        (
            {"volumeMounts": [{"name": "data", "mountPath": "/data"}]},
            "CreateContainerConfigError",
            "volume 'data' at /data of container 'main'",
        ),
    ],
)
def test_what_the_node_does_not_do_is_said(pods, python, fields, reason, text):
    pods.run("wrong", python("") | fields, volumes=[{"name": "data", "emptyDir": {}}])
    pod = pods.until("wrong", waiting_for(reason))
    assert text in state(pod)["waiting"]["message"]


def test_a_program_that_does_not_exist_is_a_start_error(pods, python):
    pods.run("typo", python("") | {"command": ["no-such-program"]})
    pod = pods.until("typo", lambda pod: pod["status"]["phase"] == "Failed")
    ended = state(pod)["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("StartError", 128)
    assert "no-such-program" in ended["message"]


def test_a_pod_that_runs_too_long_is_ended(pods, python):
    pods.run("slow", python(FOREVER), activeDeadlineSeconds=1)
    pod = pods.until("slow", lambda pod: pod["status"]["phase"] == "Failed")
    assert pod["status"]["reason"] == "DeadlineExceeded"


def test_a_pod_for_another_node_stays_pending(pods, python, eventually):
    pods.run("picky", python("print(1)"), nodeSelector={"disk": "fast"})
    eventually(lambda: "FailedScheduling" in pods.events("picky"))
    assert "nodeName" not in pods.get("picky")["spec"]


def test_fifty_pods_come_and_go(pods, python):
    labels = {"app": "many"}
    container = python("") | {"command": ["sleep", "600"], "args": []}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 50, "selector": {"matchLabels": labels}, "template": template}
    pods.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "many"}, "spec": spec})
    pods.kubectl("rollout", "status", "deployment/many", "-n", pods.namespace, "--timeout=120s")
    found = pods.live.all("pod", pods.namespace)
    assert len({pod["status"]["podIP"] for pod in found}) == 50
    pods.kubectl("delete", "deployment/many", "-n", pods.namespace)
    pods.kubectl("wait", "--for=delete", "pod", "-l", "app=many", "-n", pods.namespace, "--timeout=120s")
