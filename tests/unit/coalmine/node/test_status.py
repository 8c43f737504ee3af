from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from coalmine.local.node.containers import ContainerView, Running, Terminated, Waiting
from coalmine.local.node.status import differs, pod_status

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(minutes=1)
WAITING = Waiting("ContainerCreating")
RUNNING = Running(START)


def ended(code):
    return Terminated(code, "Error" if code else "Completed", START, NOW, "local://x")


def view(state, role="main", name=None, **fields):
    ready = fields.pop("ready", state == RUNNING and role != "init")
    return ContainerView(
        name=name or role,
        role=role,
        image="i",
        state=state,
        ready=ready,
        started=ready,
        container_id="local://x",
        **fields,
    )


def status(*views, pod=None, finished=False, now=NOW, failure=None):
    return pod_status(
        pod or {"spec": {}, "status": {}},
        views,
        pod_ip="127.0.1.1",
        host_ip="127.0.0.1",
        started_at=START,
        now=now,
        finished=finished,
        failure=failure,
    )


def conditions(found):
    return {item["type"]: item["status"] == "True" for item in found["conditions"]}


SIDECAR = view(RUNNING, "sidecar")
CRASHED = view(Waiting("CrashLoopBackOff"), last=ended(1))


@pytest.mark.parametrize(
    ("views", "finished", "phase"),
    [
        ([view(WAITING)], False, "Pending"),
        ([view(RUNNING)], False, "Running"),
        ([view(RUNNING), view(WAITING, name="b")], False, "Pending"),
        ([view(RUNNING, "init"), view(WAITING)], False, "Pending"),
        ([SIDECAR, view(WAITING)], False, "Pending"),
        ([CRASHED], False, "Running"),
        ([view(ended(1))], False, "Running"),
        ([view(ended(0))], True, "Succeeded"),
        ([view(ended(0)), view(ended(2), name="b")], True, "Failed"),
        ([view(ended(143), "sidecar"), view(ended(0))], True, "Succeeded"),
        ([view(ended(1), "init"), view(WAITING)], True, "Failed"),
    ],
)
def test_phase(views, finished, phase):
    assert status(*views, finished=finished)["phase"] == phase


@pytest.mark.parametrize(
    ("views", "initialized", "ready"),
    [
        ([view(RUNNING)], True, True),
        ([view(RUNNING, ready=False)], True, False),
        ([view(RUNNING, "init"), view(WAITING)], False, False),
        ([view(ended(0), "init"), view(RUNNING)], True, True),
        ([replace(SIDECAR, ready=False, started=False), view(WAITING)], False, False),
        ([SIDECAR, view(RUNNING)], True, True),
        # A sidecar that is not ready makes the pod unready, and one that restarts leaves it initialized.
        ([view(Waiting("CrashLoopBackOff"), "sidecar", last=ended(1)), view(RUNNING)], True, False),
    ],
)
def test_conditions(views, initialized, ready):
    found = conditions(status(*views))
    assert found == {"PodScheduled": True, "Initialized": initialized, "ContainersReady": ready, "Ready": ready}


def test_a_readiness_gate_holds_the_pod_back():
    gate = {"conditionType": "example.org/open"}
    pod = {"spec": {"readinessGates": [gate]}, "status": {}}
    assert conditions(status(view(RUNNING), pod=pod))["Ready"] is False
    pod["status"]["conditions"] = [{"type": "example.org/open", "status": "True", "lastTransitionTime": "x"}]
    assert conditions(status(view(RUNNING), pod=pod))["Ready"] is True


def test_a_conditions_time_moves_only_when_its_status_does():
    before = status(view(RUNNING))
    pod = {"spec": {}, "status": before}
    same = status(view(RUNNING), pod=pod, now=NOW + timedelta(hours=1))
    assert same["conditions"] == before["conditions"]
    other = status(view(RUNNING, ready=False), pod=pod, now=NOW + timedelta(hours=1))
    moved = {item["type"] for item in other["conditions"] if item["lastTransitionTime"] == "2026-01-01T01:01:00Z"}
    assert moved == {"ContainersReady", "Ready"}


def test_unready_containers_are_named():
    found = status(view(RUNNING, ready=False, name="a"), view(RUNNING, name="b"))
    ready = next(item for item in found["conditions"] if item["type"] == "Ready")
    assert (ready["reason"], ready["message"]) == ("ContainersNotReady", "containers with unready status: [a]")


def test_a_container_status_in_full():
    found = status(view(RUNNING, restart_count=2, last=ended(7)))
    assert found["containerStatuses"] == [
        {
            "name": "main",
            "image": "i",
            "imageID": "",
            "containerID": "local://x",
            "ready": True,
            "started": True,
            "restartCount": 2,
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
            "lastState": {
                "terminated": {
                    "exitCode": 7,
                    "reason": "Error",
                    "startedAt": "2026-01-01T00:00:00Z",
                    "finishedAt": "2026-01-01T00:01:00Z",
                    "containerID": "local://x",
                }
            },
        }
    ]


def test_a_pod_that_the_node_ended_says_why():
    found = status(view(ended(143)), finished=True, failure=("DeadlineExceeded", "too long"))
    assert (found["phase"], found["reason"], found["message"]) == ("Failed", "DeadlineExceeded", "too long")


@pytest.mark.parametrize(
    ("wanted", "present", "different"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1}, {"a": 2}, True),
        ({"a": None}, {}, False),
        ({"a": None}, {"a": 1}, True),
        ({"lastState": {}}, {}, False),
        ({"state": {"running": {"startedAt": "x"}}}, {"state": {"waiting": {"reason": "y"}}}, True),
        ([{"type": "Ready", "status": "True"}], [{"type": "Mine"}, {"type": "Ready", "status": "True"}], False),
        ([{"type": "Ready", "status": "True"}], [{"type": "Mine"}], True),
        ([{"ip": "1"}], [], True),
        ([{"ip": "1"}], None, True),
    ],
)
def test_only_what_a_patch_would_change_is_different(wanted, present, different):
    assert differs(wanted, present) is different
