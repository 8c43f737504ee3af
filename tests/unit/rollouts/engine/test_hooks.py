"""Hooks as the engine does them: beside everything else, again after what may pass, and once by their key."""

from __future__ import annotations

import asyncio
import base64

import pytest
from aiohttp import web

from rollouts.api.hooks import Hook, Point
from rollouts.core.hook_runs import EndHook, HookOrder, HookRun
from rollouts.core.observed import Subject
from rollouts.engine.hook_jobs import hook_job
from rollouts.engine.hooks import HookRunner
from rollouts.engine.kube import KubeError

KEY = ("shop", "payment")
SUBJECT = Subject("payment", "shop", "uid", 1, None, "", None)
SINCE = 1_000.0
CONTAINER = {"name": "t", "image": "k6", "env": [{"name": "COALMINE_WEIGHT", "value": "mine"}]}
JOB = {"template": {"spec": {"template": {"spec": {"containers": [CONTAINER]}}}}}
EVENT = {
    "hook": "gate", "type": "DuringStep", "name": "payment", "namespace": "shop", "revision": "r2", "stable": {"revision": "r1"},
    "service": "payment", "canaryService": "payment-canary", "step": 1, "weight": 50,
}  # fmt: skip


def order(**what):
    hook = Hook.model_validate({"name": "gate", "at": "DuringStep", **what})
    run = HookRun(
        key="k1",
        name="gate",
        at=Point.DURING_STEP,
        place="1",
        began=1.0,
        since=SINCE,
        job="payment-gate-k1" if hook.job else "",
    )
    return HookOrder(run, hook, EVENT)


class Pauses(list):
    """Waits for nothing, and remembers for how long it would have."""

    async def __call__(self, seconds):
        self.append(seconds)
        await asyncio.sleep(0)


class Api:
    """An API server with Jobs that end as told, and no Secret."""

    def __init__(self, *, ends="Complete", refuses=0):
        self.jobs, self.asked, self.ends, self.refuses = {}, [], ends, refuses
        self.created = asyncio.Event()
        self.secret = None

    async def request(self, method, path, *, body=None):
        self.asked.append((method, path))
        name = path.rsplit("/", 1)[-1]
        if "/secrets/" in path:
            return self.secret
        if method == "POST":
            if self.refuses:
                self.refuses -= 1
                raise KubeError(403, "Forbidden", "jobs.batch is forbidden")
            condition = {"type": self.ends, "status": "True", "reason": "BackoffLimitExceeded", "message": "too often"}
            self.jobs[body["metadata"]["name"]] = {**body, "status": {"conditions": [condition] if self.ends else []}}
            self.created.set()
            return body
        if method == "DELETE":
            self.jobs.pop(name, None)
        return self.jobs.get(name)


@pytest.fixture
async def runners():
    """Makes runners, and closes them."""
    made = []

    def make(api=None, clock=lambda: SINCE):
        pauses, told = Pauses(), asyncio.Event()
        runner = HookRunner(api or Api(), clock=clock, trigger=lambda _key: told.set(), pause=pauses)
        made.append(runner)
        return runner, pauses, told

    yield make
    for runner in made:
        await runner.close()


async def known(runner, told, wanted):
    """Wait until what is known of the run is as wanted."""
    async with asyncio.timeout(60):
        while not wanted(found := runner.look(KEY).progress["k1"]):
            told.clear()
            await told.wait()
    return found


async def result(runner, told):
    return await known(runner, told, lambda progress: progress.passed is not None)


def answering(*statuses):
    rest = list(statuses)

    async def answer(_request):
        return web.Response(status=rest.pop(0) if len(rest) > 1 else rest[0])

    return answer


async def test_what_may_pass_is_tried_again_with_the_same_key_and_body(runners, service):
    runner, pauses, told = runners()
    async with service(answering(503, 503, 200)) as (url, asked):
        await runner.begin(SUBJECT, order(http={"url": url}))
        found = await result(runner, told)
    assert (found.passed, found.tries, pauses) == (True, 3, [1, 2])
    assert len({(request.headers["Idempotency-Key"], body) for request, body in asked}) == 1


async def test_retries_are_counted(runners, service):
    runner, _pauses, told = runners()
    async with service(answering(503)) as (url, asked):
        await runner.begin(SUBJECT, order(http={"url": url, "retries": 1}))
        found = await result(runner, told)
    assert (found.passed, found.tries, len(asked)) == (False, 2, 2)
    assert "503 Service Unavailable" in found.words


async def test_a_definite_no_is_not_asked_again(runners, service):
    runner, pauses, told = runners()
    async with service(answering(403)) as (url, asked):
        await runner.begin(SUBJECT, order(http={"url": url, "retries": 9}))
        found = await result(runner, told)
    assert (found.passed, len(asked), pauses) == (False, 1, [])


async def test_a_gate_is_asked_until_it_opens(runners, service):
    runner, pauses, told = runners()
    async with service(answering(403, 404, 500, 200)) as (url, _asked):
        await runner.begin(SUBJECT, order(http={"url": url, "retries": 0, "pollInterval": "7s"}))
        found = await result(runner, told)
    assert (found.passed, found.tries, pauses) == (True, 4, [7, 7, 7])


async def test_a_gate_that_stays_shut_fails_in_time_and_a_restart_does_not_lengthen_that(runners, service):
    runner, _pauses, told = runners(clock=lambda: SINCE + 60)
    async with service(answering(403)) as (url, asked):
        await runner.begin(SUBJECT, order(http={"url": url, "pollInterval": "7s", "pollTimeout": "1m"}))
        found = await result(runner, told)
    assert (found.passed, len(asked)) == (False, 1)


async def test_nobody_waits_for_a_request(runners, service):
    runner, _pauses, _told = runners()
    gone = asyncio.Event()

    async def late(_request):
        await gone.wait()
        return web.Response()

    async with service(late) as (url, asked):
        await runner.begin(SUBJECT, order(http={"url": url}))
        await runner.begin(SUBJECT, order(http={"url": url}))
        assert runner.look(KEY).progress["k1"].passed is None
        await runner.end(SUBJECT, EndHook("k1"))
        gone.set()
    assert len(asked) <= 1
    assert runner.look(KEY).progress == {}


async def test_other_settings_begin_it_again(runners, service):
    runner, _pauses, told = runners()
    async with service(answering(503, 200)) as (url, asked):
        await runner.begin(SUBJECT, order(http={"url": f"{url}/old", "pollInterval": "1h"}))
        await runner.begin(SUBJECT, order(http={"url": f"{url}/new", "pollInterval": "1s"}))
        assert (await result(runner, told)).hook.http.url.endswith("/new")
    assert {request.path for request, _ in asked} <= {"/old", "/new"}


async def test_a_secret_that_is_missing_is_a_problem_and_no_answer(runners, service):
    runner, pauses, told = runners()
    async with service(answering(200)) as (url, asked):
        await runner.begin(SUBJECT, order(http={"url": url, "secretRef": {"name": "signing", "key": "key"}}))
        found = await known(runner, told, lambda progress: progress.problem)
    assert "there is no Secret signing in namespace shop" in found.problem
    assert (found.tries, found.passed, found.problem_at, asked) == (0, None, SINCE, [])
    assert set(pauses) <= {5}


async def test_a_secret_that_was_missing_is_no_problem_of_a_request_that_is_sent(runners, service):
    api, gone = Api(), asyncio.Event()
    runner, _pauses, told = runners(api)

    async def late(_request):
        await gone.wait()
        return web.Response()

    async with service(late) as (url, asked):
        await runner.begin(SUBJECT, order(http={"url": url, "secretRef": {"name": "signing", "key": "key"}}))
        await known(runner, told, lambda progress: progress.problem)
        api.secret = {"data": {"key": base64.b64encode(b"whsec_" + base64.b64encode(b"k" * 24)).decode()}}
        found = await known(runner, told, lambda progress: not progress.problem)
        assert (found.tries, found.passed) == (1, None)
        gone.set()
        assert (await result(runner, told)).passed
    assert len(asked) == 1


@pytest.mark.parametrize(("ends", "passed", "words"), [
    ("Complete", True, "Job payment-gate-k1 succeeded"),
    ("Failed", False, "Job payment-gate-k1 failed: BackoffLimitExceeded: too often (kubectl logs job/payment-gate-k1)"),
])  # fmt: skip
async def test_a_job_passes_when_it_succeeds_and_is_created_once(runners, ends, passed, words):
    api = Api(ends=ends)
    for _ in range(2):  # the second is another process
        runner, _pauses, told = runners(api)
        await runner.begin(SUBJECT, order(job=JOB))
        found = await result(runner, told)
        assert (found.passed, found.words) == (passed, words)
    assert [method for method, _ in api.asked].count("POST") == 1


async def test_a_job_that_the_api_server_refuses_is_a_problem_until_it_does_not(runners):
    runner, _pauses, told = runners(Api(refuses=1))
    await runner.begin(SUBJECT, order(job=JOB))
    found = await result(runner, told)
    assert (found.passed, found.problem) == (True, "")


async def test_a_job_that_nobody_waits_for_is_deleted_and_that_is_remembered(runners):
    api = Api(ends="")
    runner, _pauses, told = runners(api)
    await runner.begin(SUBJECT, order(job=JOB))
    await asyncio.wait_for(api.created.wait(), 60)
    told.clear()
    await runner.end(SUBJECT, EndHook("k1", "payment-gate-k1"))
    assert api.jobs == {}
    assert (runner.look(KEY).stopped, runner.look(KEY).progress, told.is_set()) == ({"k1"}, {}, True)


async def test_a_controller_that_ends_leaves_the_jobs_to_the_next(runners):
    api = Api(ends="")
    runner, _pauses, _told = runners(api)
    await runner.begin(SUBJECT, order(job=JOB))
    await asyncio.wait_for(api.created.wait(), 60)
    await runner.close()
    assert list(api.jobs) == ["payment-gate-k1"]


def test_a_job_knows_what_it_is_about_and_may_not_last_forever():
    job = hook_job(order(job=JOB), order(job=JOB).hook.job)
    assert job["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "coalmine", "app.kubernetes.io/component": "hook",
        "coalmine.dev/hook": "gate", "coalmine.dev/rollout": "payment",
    }  # fmt: skip
    spec = job["spec"]
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (3600, 0, 3600)
    env = {v["name"]: v["value"] for v in spec["template"]["spec"]["containers"][0]["env"]}
    assert env == {
        "COALMINE_HOOK": "gate", "COALMINE_POINT": "DuringStep", "COALMINE_ROLLOUT": "payment", "COALMINE_NAMESPACE": "shop",
        "COALMINE_REVISION": "r2", "COALMINE_STABLE_REVISION": "r1", "COALMINE_CANARY_HOST": "payment-canary",
        "COALMINE_STABLE_HOST": "payment", "COALMINE_STEP": "1", "COALMINE_WEIGHT": "mine",
    }  # fmt: skip


def test_the_hooks_time_out_is_the_jobs_deadline():
    wanted = order(job={**JOB, "timeout": "90500ms"})
    assert hook_job(wanted, wanted.hook.job)["spec"]["activeDeadlineSeconds"] == 91
