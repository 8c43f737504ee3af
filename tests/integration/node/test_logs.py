"""``kubectl logs`` against the node agent."""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.error
import urllib.request

import pytest

pytestmark = pytest.mark.integration

COUNT = "for n in range(1, 6): print('line', n)"


@pytest.fixture
def counted(pods, python):
    pods.run("count", python(COUNT))
    pods.until("count", lambda pod: pod["status"]["phase"] == "Succeeded")
    return lambda *args: pods.logs("count", *args)


def test_all_and_the_last_lines(counted):
    assert counted() == "line 1\nline 2\nline 3\nline 4\nline 5\n"
    assert counted("--tail=2") == "line 4\nline 5\n"
    assert counted("--tail=0") == ""
    assert counted("--limit-bytes=8") == "line 1\nl"


def test_timestamps_and_since(counted):
    stamped = counted("--timestamps").splitlines()
    assert [line.partition(" ")[2] for line in stamped] == [f"line {n}" for n in range(1, 6)]
    assert all(line.partition(" ")[0].endswith("Z") for line in stamped)
    assert counted("--since=1h") == counted()
    assert counted("--since-time=2100-01-01T00:00:00Z") == ""


def test_follow_shows_lines_as_they_come_and_ends_with_the_container(pods, python, cluster, tmp_path):
    flag = tmp_path / "go"
    program = f"import os, time\nprint('one')\nwhile not os.path.exists({str(flag)!r}): time.sleep(.02)\nprint('two')"
    pods.run("talk", python(program))
    pods.until("talk", lambda pod: pod["status"]["phase"] == "Running")
    program, kubeconfig = pods.kubectl.program, pods.kubectl.kubeconfig
    command = [program, "--kubeconfig", kubeconfig, "logs", "-f", "talk", "-n", pods.namespace]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout.readline() == "one\n"
        flag.touch()
        assert follower.stdout.readline() == "two\n"
        assert follower.stdout.read() == ""
    assert follower.returncode == 0


def test_a_container_without_output_yet_is_waiting(pods, python):
    ref = {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x"}}}
    pods.run("silent", python("", env=[ref]))
    pods.until("silent", lambda pod: pod["status"].get("containerStatuses"))
    with pytest.raises(Exception, match='"main" in pod "silent" is waiting to start'):
        pods.logs("silent")
    with pytest.raises(Exception, match="previous terminated container"):
        pods.logs("silent", "--previous")


def test_exec_is_refused_with_a_reason(pods, python):
    pods.run("up", python("import time; time.sleep(600)"))
    pods.until("up", lambda pod: pod["status"]["phase"] == "Running")
    with pytest.raises(Exception, match="does not offer exec"):
        pods.kubectl("exec", "up", "-n", pods.namespace, "--", "true")


def test_logs_are_for_the_apiserver_only(counted, pods):
    node = json.loads(pods.kubectl("get", "node", "local", "-o", "json"))
    port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    context = ssl._create_unverified_context()
    url = f"https://127.0.0.1:{port}/containerLogs/{pods.namespace}/count/main"
    with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
        urllib.request.urlopen(url, context=context, timeout=5)
