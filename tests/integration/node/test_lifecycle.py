"""How pods begin and end: init containers, native sidecars, hooks, grace periods."""

from __future__ import annotations

import pytest

from coalmine.local.node.processes import identity

pytestmark = pytest.mark.integration

NOTE = """
import pathlib, signal, sys, time
book, name = pathlib.Path(sys.argv[1]), sys.argv[2]
def note(what):
    with book.open("a") as file:
        file.write(f"{name} {what}\\n")
def end(*_):
    note("ends")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
note("starts")
"""
STAY = NOTE + "while True: time.sleep(60)"
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf")
while True: time.sleep(60)
"""


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book"
    path.touch()
    return path


@pytest.fixture
def actor(python, book):
    def make(name, program=STAY, **fields):
        return python(program, str(book), name, name=name, **fields)

    return make


@pytest.fixture
def sidecar(actor, book):
    """A sidecar that counts as started once it can be told to end."""

    def make(name):
        probe = {"exec": {"command": ["grep", "-q", f"{name} starts", str(book)]}, "periodSeconds": 1}
        return actor(name, restartPolicy="Always", startupProbe=probe)

    return make


def running(pod):
    return pod["status"]["phase"] == "Running"


def test_sidecars_start_in_order_before_the_app_and_end_in_reverse_after_it(pods, actor, sidecar, book, eventually):
    inits = [
        sidecar("first"),
        actor("setup", NOTE),
        sidecar("second"),
    ]
    pods.run("ordered", actor("app"), initContainers=inits)
    eventually(lambda: "app starts" in book.read_text())
    pods.delete("ordered")
    assert book.read_text().splitlines() == [
        *("first starts", "setup starts", "second starts", "app starts"),
        *("app ends", "second ends", "first ends"),
    ]


def test_the_next_container_waits_for_a_sidecars_startup_probe(pods, actor, book, tmp_path, eventually):
    flag = tmp_path / "go"
    probe = {"exec": {"command": ["test", "-e", str(flag)]}, "periodSeconds": 1, "failureThreshold": 60}
    pods.run("held", actor("app"), initContainers=[actor("proxy", restartPolicy="Always", startupProbe=probe)])
    pod = pods.until(
        "held", lambda pod: "running" in pod["status"].get("initContainerStatuses", [{}])[0].get("state", {})
    )
    assert pod["status"]["phase"] == "Pending"
    assert pod["status"]["initContainerStatuses"][0]["started"] is False
    eventually(lambda: book.read_text() == "proxy starts\n")
    flag.touch()
    pod = pods.until("held", running)
    assert pod["status"]["initContainerStatuses"][0]["started"] is True


def test_sidecars_end_when_the_app_of_a_job_has_ended(pods, sidecar, python, book):
    pods.run("batch", python("print('worked')"), initContainers=[sidecar("proxy")])
    pods.until("batch", lambda pod: pod["status"]["phase"] == "Succeeded")
    assert book.read_text().splitlines() == ["proxy starts", "proxy ends"]


def test_a_failed_init_container_fails_a_pod_that_restarts_nothing(pods, actor, python, book):
    pods.run("blocked", actor("app"), initContainers=[python("raise SystemExit(3)", name="setup")])
    pod = pods.until("blocked", lambda pod: pod["status"]["phase"] == "Failed")
    assert pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    assert book.read_text() == ""


def test_a_failed_init_container_is_tried_again_otherwise(pods, python, tmp_path):
    flag = tmp_path / "second-try"
    program = (
        f"import pathlib; p = pathlib.Path({str(flag)!r}); done = p.exists(); p.touch(); raise SystemExit(not done)"
    )
    pods.run("retry", python("print('up')"), initContainers=[python(program, name="setup")], restartPolicy="OnFailure")
    pod = pods.until("retry", lambda pod: pod["status"]["phase"] == "Succeeded")
    assert pod["status"]["initContainerStatuses"][0]["restartCount"] == 1


def test_deletion_runs_the_pre_stop_hook_before_sigterm(pods, actor, book, eventually):
    hook = {"exec": {"command": ["sh", "-c", f"echo hook runs >> {book}"]}}
    pods.run("polite", actor("app", lifecycle={"preStop": hook}))
    eventually(lambda: "app starts" in book.read_text())
    pods.delete("polite")
    assert book.read_text().splitlines() == ["app starts", "hook runs", "app ends"]


def test_a_deleted_pod_is_unready_while_it_ends(pods, python):
    pods.run("leaving", python(STUBBORN), terminationGracePeriodSeconds=4)
    pods.until("leaving", running)
    pods.delete("leaving", "--wait=false")
    pod = pods.until(
        "leaving", lambda pod: any(c["type"] == "Ready" and c["status"] == "False" for c in pod["status"]["conditions"])
    )
    assert "running" in pod["status"]["containerStatuses"][0]["state"]


def test_a_deaf_process_is_killed_after_the_grace_period(pods, python, eventually):
    pods.run("deaf", python(STUBBORN), terminationGracePeriodSeconds=600)
    eventually(lambda: "deaf" in pods.logs("deaf") if running(pods.get("deaf")) else False)
    # The second deletion shortens the first one's grace period.
    pods.delete("deaf", "--wait=false")
    pods.delete("deaf", "--grace-period=1")
    with pytest.raises(Exception, match="not found"):
        pods.get("deaf")


def test_children_of_a_container_end_with_it(pods, python, eventually):
    child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(600)"
    parent = f"import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-uc', {child!r}])\nprint(child.pid)\nchild.wait()"
    pods.run("family", python(parent))
    eventually(lambda: "deaf" in pods.logs("family") if running(pods.get("family")) else False)
    pid = int(next(line for line in pods.logs("family").splitlines() if line != "deaf"))
    assert identity(pid)
    pods.delete("family")
    eventually(lambda: identity(pid) is None)
