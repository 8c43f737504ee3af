"""What becomes of a Job when the API server does not do as asked. Real Jobs are in tests/integration/providers."""

from __future__ import annotations

import aiohttp
import pytest

from analysis.providers.base import ConfigurationError, UnavailableError
from rollouts.engine.jobs import OwnedJobs
from rollouts.engine.kube import ConflictError, KubeError

JOB = {"metadata": {"name": "smoke-1"}, "spec": {}}
OWNER = {"apiVersion": "coalmine.dev/v1alpha1", "kind": "Rollout", "name": "payment", "uid": "1"}


def ended(kind):
    return JOB | {"status": {"conditions": [{"type": kind, "status": "True"}]}}


class Server:
    """Answers each request with what comes next, or raises it."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    async def request(self, method, path, *, body=None):
        self.asked.append((method, path, body))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Pauses(list):
    async def __call__(self, seconds):
        self.append(seconds)


async def run(server, pauses=None):
    return await OwnedJobs(server, "shop", OWNER, pauses if pauses is not None else Pauses()).run(JOB)


async def test_a_new_job_is_owned_by_its_rollout_and_looked_at_ever_less_often():
    server, pauses = Server(None, JOB, *[JOB] * 6, ended("Complete")), Pauses()
    assert await run(server, pauses) == ended("Complete")
    create = server.asked[1]
    assert create[:2] == ("POST", "/apis/batch/v1/namespaces/shop/jobs")
    assert create[2]["metadata"] == {"name": "smoke-1", "ownerReferences": [OWNER]}
    assert pauses == sorted(pauses)
    assert len(pauses) == 7


async def test_a_job_that_is_there_is_not_created():
    server = Server(ended("Failed"))
    assert await run(server) == ended("Failed")
    assert [asked[0] for asked in server.asked] == ["GET"]


async def test_who_comes_second_waits_for_the_firsts_job():
    server = Server(None, ConflictError(409, "AlreadyExists", "exists"), ended("Complete"))
    assert await run(server) == ended("Complete")


@pytest.mark.parametrize(
    "fault",
    [
        KubeError(500, "InternalError", "etcd is slow"),
        KubeError(429, "TooManyRequests", "later"),
        KubeError(0, "", "no answer"),
        aiohttp.ServerDisconnectedError(),
        ConnectionRefusedError(),
        TimeoutError(),
    ],
)
@pytest.mark.parametrize("before", [[], [None], [JOB]])
async def test_an_api_server_that_stumbles_is_an_outage(fault, before):
    with pytest.raises(UnavailableError, match="Job smoke-1 cannot be run now"):
        await run(Server(*before, fault))


@pytest.mark.parametrize("status", [400, 403, 404, 422])
async def test_a_refusal_needs_a_person(status):
    with pytest.raises(ConfigurationError, match=r"no such image pull secret.*correct job\.spec"):
        await run(Server(None, KubeError(status, "Invalid", "no such image pull secret")))
