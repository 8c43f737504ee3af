"""Who has changed a Rollout does not wait for the looks at others; numbers are written more rarely where there are many."""

from __future__ import annotations

import copy

import pytest

from rollouts.engine.cache import Cache
from rollouts.engine.measuring import Tools
from rollouts.engine.reconciler import Reconciler
from rollouts.routers.coalmine import CoalmineRouter

KEY = ("shop", "payment")
ROLLOUT = {
    "metadata": {
        "namespace": "shop",
        "name": "payment",
        "uid": "0123456789",
        "resourceVersion": "7",
        "generation": 1,
        "annotations": {"team": "till"},
    },
    "spec": {"workloadRef": {"name": "payment"}},
}


class Requests:
    async def request(self, method, _path, *, body=None, **_):
        return None if method == "GET" else body


@pytest.fixture
def cache():
    made = Cache()
    made.put("rollouts", ROLLOUT)
    return made


@pytest.fixture
def reconciler(cache):
    kube = Requests()
    tools = Tools(kube=kube, open_stream=None, open_counts=None, clock=lambda: 1_800_000_000.0)
    return Reconciler(
        cache=cache, kube=kube, router=CoalmineRouter(), tools=tools, trigger=lambda _: None, instance="b"
    )


def changed(**metadata):
    return {**copy.deepcopy(ROLLOUT), "metadata": {**ROLLOUT["metadata"], "resourceVersion": "8", **metadata}}


@pytest.mark.parametrize(
    ("metadata", "urgent"),
    [
        ({}, False),  # as our own write of a status
        ({"generation": 2}, True),
        ({"annotations": {"team": "till", "coalmine.dev/abort": "now"}}, True),
        ({"deletionTimestamp": "2027-01-15T08:00:00Z"}, True),
    ],
)
async def test_what_others_change_is_urgent_until_it_is_looked_at(reconciler, cache, metadata, urgent):
    assert not reconciler.urgent(KEY)  # at the start all are new, and none goes first
    await reconciler.reconcile(KEY)
    cache.put("rollouts", changed(**metadata))
    assert reconciler.urgent(KEY) is urgent
    await reconciler.reconcile(KEY)
    assert not reconciler.urgent(KEY)


async def test_nothing_is_urgent_of_what_is_gone(reconciler, cache):
    await reconciler.reconcile(KEY)
    cache.drop("rollouts", *KEY)
    assert not reconciler.urgent(KEY)
    await reconciler.reconcile(KEY)
    cache.put("rollouts", changed(generation=2))
    assert not reconciler.urgent(KEY)
