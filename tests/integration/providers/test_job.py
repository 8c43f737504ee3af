"""The job provider on a real Kubernetes: the job controller makes the pods, and the local node runs them."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from analysis.api.services import Job
from analysis.providers.base import ConfigurationError, UnavailableError
from analysis.providers.registry import open_settings
from rollouts.engine.jobs import OwnedJobs
from rollouts.engine.kube import connect

pytestmark = pytest.mark.integration

AT = 1_700_000_000.0
PATIENCE = 60


@pytest.fixture
def owner(kubectl, namespace):
    """The owner reference of a Rollout in the namespace."""
    spec = {"workloadRef": {"name": "payment"}}
    rollout = {"apiVersion": "coalmine.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "payment"}, "spec": spec}
    made = json.loads(kubectl("create", "-n", namespace, "-o", "json", "-f", "-", stdin=json.dumps(rollout)))
    reference = {key: made[key] for key in ("apiVersion", "kind")}
    return reference | {"name": "payment", "uid": made["metadata"]["uid"], "controller": True}


@pytest.fixture
def looked():
    """Set once a Job was looked at and had not ended."""
    return asyncio.Event()


@pytest.fixture
async def source(cluster, namespace, owner, context, looked):
    """Opens a source that runs a Python program as a Job, with the controller's own permissions."""

    async def pause(seconds):
        looked.set()
        await asyncio.sleep(seconds)

    async with connect(cluster.kubeconfig_for("controller")) as kube:

        def open_(program, *, subject="payment/7d9c/smoke-test", **spec):
            container = {"name": "check", "image": "none", "command": [sys.executable, "-c", program]}
            template = {"spec": {"containers": [container], "terminationGracePeriodSeconds": 1}}
            settings = Job.model_validate(
                {"metadata": {"labels": {"team": "shop"}}, "spec": {"template": template, **spec}}
            )
            jobs = OwnedJobs(kube, namespace, owner, pause)
            return open_settings(settings, context(subject=subject, jobs=jobs))

        yield open_


@pytest.fixture
def jobs(kubectl, namespace):
    """Returns the Jobs of the namespace."""
    return lambda: json.loads(kubectl("get", "jobs", "-n", namespace, "-o", "json"))["items"]


async def measured(source, at=AT):
    async with asyncio.timeout(PATIENCE):
        return await source.measure(at)


async def test_a_job_that_succeeds_is_1_and_runs_once_for_each_measurement(source, jobs):
    assert await measured(source("pass")) == 1
    assert await measured(source("pass")) == 1  # the controller was restarted
    (job,) = jobs()
    assert job["metadata"]["annotations"]["coalmine.dev/measures"] == "payment/7d9c/smoke-test"
    assert job["metadata"]["labels"]["team"] == "shop"
    assert job["metadata"]["ownerReferences"][0]["name"] == "payment"
    assert job["spec"]["ttlSecondsAfterFinished"] == 3600
    assert await measured(source("pass"), AT + 60) == 1
    assert await measured(source("pass", subject="payment/8e0d/smoke-test")) == 1
    assert len(jobs()) == 3


async def test_two_replicas_of_the_controller_run_one_job(source, jobs):
    assert await asyncio.gather(*(measured(source("pass")) for _ in range(3))) == [1, 1, 1]
    assert len(jobs()) == 1


async def test_a_job_that_fails_is_0_after_its_retries(source, jobs):
    assert await measured(source("raise SystemExit(3)")) == 0
    (job,) = jobs()
    assert job["spec"]["backoffLimit"] == 0
    assert job["status"]["failed"] == 1


async def test_a_job_that_is_cut_short_by_its_deadline_is_0(source):
    assert await measured(source("import time; time.sleep(600)", activeDeadlineSeconds=1)) == 0


async def test_who_stops_waiting_finds_the_same_job_again(source, jobs, looked, tmp_path):
    gate = tmp_path / "gate"
    program = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.05)"
    waiting = asyncio.create_task(measured(source(program)))
    await looked.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.touch()
    assert await measured(source(program)) == 1
    assert len(jobs()) == 1


async def test_a_job_that_is_deleted_meanwhile_says_nothing_about_the_canary(source, looked, kubectl, namespace):
    waiting = asyncio.create_task(measured(source("import time; time.sleep(600)")))
    await looked.wait()
    kubectl("delete", "jobs", "--all", "-n", namespace, "--wait=false")
    with pytest.raises(UnavailableError, match="was deleted before it ended"):
        await waiting


async def test_a_job_that_the_api_server_refuses_is_named(source):
    with pytest.raises(ConfigurationError, match=r"backoffLimit.*correct job\.spec"):
        await measured(source("pass", backoffLimit=-1))
