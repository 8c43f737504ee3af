"""Each transition is told exactly once, also by a controller that takes over from a killed one."""

from __future__ import annotations

import pytest

from rollouts.core.notes import Announcement, Notes
from rollouts.engine.cache import Cache
from rollouts.engine.measuring import Tools
from rollouts.engine.reconciler import Reconciler
from rollouts.routers.coalmine import CoalmineRouter

NOW = 1_800_000_000.0


class Requests:
    """Takes every request that writes and remembers what it was about."""

    def __init__(self):
        self.seen = []

    async def request(self, method, path, *, body=None, **_):
        if method == "GET":
            return None
        kind = path.rsplit("/", 1)[-1]
        self.seen.append(body["metadata"]["name"] if kind == "events" else f"{method} {kind}")
        return body


@pytest.fixture
def requests():
    return Requests()


@pytest.fixture
def reconciler(requests):
    told = tuple(Announcement(number=n, at=NOW - 60, reason="StepStarted", note=f"step {n}") for n in (4, 5))
    cache = Cache()
    cache.put(
        "rollouts",
        {
            "metadata": {"namespace": "shop", "name": "payment", "uid": "0123456789", "resourceVersion": "7"},
            "spec": {"workloadRef": {"name": "payment"}},
            "status": {"internal": Notes(number=5, announcements=told).dump()},
        },
    )
    tools = Tools(kube=requests, open_stream=None, open_counts=None, clock=lambda: NOW)
    return Reconciler(
        cache=cache, kube=requests, router=CoalmineRouter(), tools=tools, trigger=lambda _: None, instance="b"
    )


async def test_what_was_decided_and_not_told_is_told_before_more_is_decided(reconciler, requests):
    """A decision of eight transitions would else push it out of the status unheard."""
    await reconciler.reconcile(("shop", "payment"))
    written = [x for x in requests.seen if not x.startswith("GET ")]
    assert written[:3] == ["payment.01234567.4", "payment.01234567.5", "PUT status"]


async def test_what_was_told_is_not_told_again(reconciler, requests):
    await reconciler.reconcile(("shop", "payment"))
    before = len([x for x in requests.seen if x.startswith("payment.")])
    await reconciler.reconcile(("shop", "payment"))
    assert len([x for x in requests.seen if x.startswith("payment.")]) == before == 2
