"""What pre-flight asks the API server: once for each release, again while something blocks, and never more often."""

from __future__ import annotations

from typing import Any

import pytest

from rollouts.core.machine import State
from rollouts.core.notes import Notes
from rollouts.core.preflight.facts import Kind
from rollouts.engine.cache import Cache
from rollouts.engine.gather import subject_of
from rollouts.engine.kube import KubeError
from rollouts.engine.preflight_facts import AGAIN_SECONDS, PreflightReader
from rollouts.routers.coalmine import CoalmineRouter

OBJECTS = {
    "/api/v1/namespaces/shop": {"metadata": {"labels": {"coalmine.dev/inject": "enabled"}}},
    "/api/v1/namespaces/shop/resourcequotas": {
        "items": [{"metadata": {"name": "q", "managedFields": []}, "spec": {"hard": {}}}]
    },
    "/apis/security.istio.io/v1beta1/namespaces/shop/peerauthentications": {"items": [{"metadata": {"name": "own"}}]},
    "/apis/security.istio.io/v1beta1/namespaces/istio-system/peerauthentications": {
        "items": [{"metadata": {"name": "all"}}]
    },
}


class Kube:
    """Serves some objects, knows no other kind, and refuses what it is told to."""

    def __init__(self):
        self.asked: list[str] = []
        self.refuses: tuple[str, ...] = ()

    async def request(self, method, path, *, query=None, **_):
        assert method == "GET"
        assert query == {"limit": "500"} or path == "/api/v1/namespaces/shop"
        self.asked.append(path)
        if path.endswith(self.refuses):
            raise KubeError(403, "Forbidden", f"{path.rsplit('/')[-1]} is forbidden")
        return OBJECTS.get(path)


class World:
    def __init__(self):
        self.kube, self.cache, self.now = Kube(), Cache(), 100.0
        self.reader = PreflightReader(self.kube, self.cache, CoalmineRouter(), lambda: self.now)

    async def look(self, *, state=State.STARTING, target="r2", failed=False):
        notes = Notes(state=state, workload="payment", host="payment", open=True, target=target, began=90.0)
        check = {"check": "Quota", "result": "Fail" if failed else "Pass"}
        body: dict[str, Any] = {
            "metadata": {
                "name": "payment",
                "namespace": "shop",
                "uid": "u",
                "creationTimestamp": "2026-01-02T00:00:00Z",
            },
            "spec": {"workloadRef": {"name": "payment"}},
            "status": {"internal": notes.dump(), "preflight": [check]},
        }
        return await self.reader.facts(subject_of(body))

    def pod(self, name, *, proxy=True, conditions=(), **labels):
        containers = [{"name": "app"}]
        body = {
            "metadata": {
                "name": name,
                "namespace": "shop",
                "uid": name,
                "labels": labels,
                "creationTimestamp": "2026-01-02T00:00:00Z",
            },
            "spec": {"containers": containers, "initContainers": [{"name": "coalmine-proxy"}] if proxy else []},
            "status": {"conditions": list(conditions)},
        }
        self.cache.put("pods", body)


@pytest.fixture
def world():
    return World()


async def test_nothing_is_asked_where_no_release_is_about_to_start(world):
    assert await world.look(state=State.JUDGING) is None
    assert world.kube.asked == []


async def test_each_kind_is_read_in_the_newest_version_that_is_served(world):
    facts = await world.look()
    assert [q["metadata"] for q in facts.of(Kind.QUOTAS)] == [{"name": "q"}]
    assert [p["metadata"]["name"] for p in facts.of(Kind.PEERS)] == ["own"]
    assert [p["metadata"]["name"] for p in facts.of(Kind.MESH_PEERS)] == ["all"]
    assert list(facts.of(Kind.FLAGGER)) == []
    assert facts.namespace_labels == {"coalmine.dev/inject": "enabled"}
    assert facts.unread == {}


async def test_it_is_read_once_for_each_release(world):
    await world.look()
    asked = len(world.kube.asked)
    world.now += 3600
    await world.look()
    assert len(world.kube.asked) == asked
    await world.look(target="r3")
    assert len(world.kube.asked) == 2 * asked


async def test_while_something_blocks_it_is_read_again_now_and_then(world):
    await world.look()
    asked = len(world.kube.asked)
    for _ in range(int(AGAIN_SECONDS) - 1):
        world.now += 1
        await world.look(failed=True)
    assert len(world.kube.asked) == asked
    world.now += 1
    await world.look(failed=True)
    assert len(world.kube.asked) == 2 * asked


async def test_what_may_not_be_read_is_said_and_the_rest_is_there(world):
    world.kube.refuses = ("/resourcequotas", "/namespaces/shop")
    facts = await world.look()
    assert list(facts.unread) == [Kind.QUOTAS]
    assert "resourcequotas is forbidden; deploy/controller/" in facts.unread[Kind.QUOTAS]
    assert facts.namespace_labels is None
    assert len(list(facts.of(Kind.PEERS))) == 1


async def test_pods_are_told_apart_with_their_sidecar_and_the_schedulers_words(world):
    for name, app in (("payment", "payment"), ("payment-canary", "payment-canary")):
        world.cache.put(
            "services", {"metadata": {"name": name, "namespace": "shop"}, "spec": {"selector": {"app": app}}}
        )
    unscheduled = {
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes", "lastTransitionTime": "2026-01-02T00:00:10Z",
    }  # fmt: skip
    world.pod("a", app="payment")
    world.pod("b", proxy=False, app="payment-canary", conditions=[unscheduled])
    world.pod("c", proxy=False, app="load", conditions=[{**unscheduled, "reason": "SchedulingGated"}])
    facts = await world.look()
    (stable,), (canary,), (other,) = facts.stable_pods, facts.canary_pods, facts.other_pods
    assert (stable.name, stable.sidecar, stable.unscheduled) == ("a", True, "")
    assert (canary.name, canary.sidecar, canary.unscheduled, canary.unscheduled_at) == (
        "b",
        False,
        "0/3 nodes",
        1767312010.0,
    )
    assert (other.name, other.unscheduled) == ("c", "")
    assert facts.counted == 1


async def test_other_splits_of_the_namespace_are_facts_and_its_own_is_not(world):
    for namespace, name in (("shop", "payment"), ("shop", "mine"), ("bank", "mine")):
        world.cache.put(
            "trafficsplits", {"metadata": {"name": name, "namespace": namespace}, "spec": {"service": "payment"}}
        )
    facts = await world.look()
    assert [s["metadata"]["namespace"] + "/" + s["metadata"]["name"] for s in facts.splits] == ["shop/mine"]
