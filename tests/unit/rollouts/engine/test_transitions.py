"""What the reconciler hands to those who tell of transitions: all, with what was known, also after a kill."""

from __future__ import annotations

import asyncio

import pytest

from rollouts.core.notes import Announcement, Notes
from rollouts.engine.cache import Cache
from rollouts.engine.courier import Surroundings
from rollouts.engine.measuring import Tools
from rollouts.engine.outbox import Outbox
from rollouts.engine.reconciler import Reconciler
from rollouts.routers.coalmine import CoalmineRouter

NOW = 1_800_000_000.0
KEY = ("shop", "payment")


class ApiServer:
    """Takes what is written; ConfigMaps only where it is told to."""

    def __init__(self):
        self.takes_configmaps = True
        self.written = []

    async def request(self, method, path, *, body=None, **_):
        if method == "GET":
            return None
        self.written.append((path.rsplit("/", 1)[-1], body))
        if "configmaps" in path and not self.takes_configmaps:
            raise TimeoutError
        return {**body, "metadata": {**body["metadata"], "resourceVersion": "8"}}


class Listener:
    name = "listener"

    def __init__(self):
        self.heard = []
        self.progress = asyncio.Event()

    def wants(self, _transition):
        return True

    async def send(self, transition, memory, *, doubtful):
        self.heard.append(transition)
        self.progress.set()
        return memory

    async def until(self, count):
        while len(self.heard) < count:
            self.progress.clear()
            await self.progress.wait()


@pytest.fixture
def api():
    return ApiServer()


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
async def reconciler(api, listener):
    told = tuple(Announcement(number=n, at=NOW - 60, reason="StepStarted", note=f"step {n}") for n in (4, 5))
    cache = Cache()
    metadata = {
        "namespace": "shop", "name": "payment", "uid": "0123456789", "resourceVersion": "7",
        "annotations": {"team": "pay", "coalmine.dev/git-commit": "old"}, "labels": {"tier": "1"},
    }  # fmt: skip
    status = {"phase": "Healthy", "internal": Notes(number=5, workload="payment", announcements=told).dump()}
    cache.put("rollouts", {"metadata": metadata, "spec": {"workloadRef": {"name": "payment"}}, "status": status})
    huge = {"coalmine.dev/git-commit": "new", "kubectl.kubernetes.io/last-applied-configuration": "x" * 5000}
    deployment = {
        "metadata": {"namespace": "shop", "name": "payment", "uid": "d", "resourceVersion": "3", "annotations": huge},
        "spec": {"selector": {"matchLabels": {"app": "p"}}, "template": {"metadata": {}, "spec": {"containers": []}}},
    }
    cache.put("deployments", deployment)
    tools = Tools(kube=api, open_stream=None, open_counts=None, clock=lambda: NOW)
    outbox = Outbox([listener], Surroundings(api, "b", lambda: NOW))
    made = Reconciler(
        cache=cache, kube=api, router=CoalmineRouter(), tools=tools, trigger=lambda _: None, instance="b", outbox=outbox
    )
    yield made
    await made.close()


async def test_what_an_earlier_process_decided_is_told_with_what_was_known(reconciler, listener):
    await reconciler.reconcile(KEY)
    await listener.until(2)
    first, second = listener.heard[:2]
    assert [t.number for t in listener.heard] == sorted({t.number for t in listener.heard})
    assert (first.number, first.note, first.at, second.number) == (4, "step 4", NOW - 60, 5)
    assert first.status == {"phase": "Healthy"}
    assert first.annotations == {"team": "pay", "coalmine.dev/git-commit": "new"}
    assert first.labels == {"tier": "1"}


async def test_another_pass_tells_nothing_again(reconciler, listener):
    for _ in range(3):
        await reconciler.reconcile(KEY)
    await listener.until(2)
    await reconciler.close()
    assert len({t.number for t in listener.heard}) == len(listener.heard)


async def test_a_pass_does_not_wait_for_an_api_server_that_takes_no_configmaps(reconciler, api, listener):
    api.takes_configmaps = False
    await reconciler.reconcile(KEY)
    assert "status" in [kind for kind, _ in api.written]
    assert not listener.heard
