"""Objects that were deleted while a watch was broken do not stay for ever."""

from __future__ import annotations

import asyncio

import pytest

from rollouts.engine.cache import Cache
from rollouts.engine.kube import KubeError
from rollouts.engine.sweep import Sweep

PODS, SERVICES = ("", "v1", "pods"), ("", "v1", "services")


def obj(name, uid="1", **more):
    return {
        "metadata": {"namespace": "shop", "name": name, "uid": uid, "creationTimestamp": "2026-01-01T00:00:00Z"},
        **more,
    }


class Lists:
    """An API server that lists two at a time."""

    def __init__(self, *names):
        self.names = list(names)
        self.asked = []
        self.meanwhile = lambda: None

    async def request(self, method, path, *, query, accept):
        assert (method, "PartialObjectMetadataList" in accept) == ("GET", True)
        self.asked.append(path)
        self.meanwhile()
        start = int(query.get("continue", "0"))
        more = str(start + 2) if start + 2 < len(self.names) else ""
        items = [obj(n) for n in self.names[start : start + 2]]
        return {
            "metadata": {"continue": more},
            "items": items or None,
        }  # as the API server writes an empty list of names


@pytest.fixture
def cache():
    cache = Cache()
    for name in ("a", "b", "c"):
        cache.put("pods", obj(name))
        cache.put("services", obj(name))
    return cache


@pytest.fixture
def gone():
    return []


@pytest.mark.parametrize("kind", [PODS, SERVICES])
async def test_what_is_not_listed_any_more_is_dropped_and_told(cache, gone, kind):
    await Sweep(Lists("a", "c", "new"), cache, [kind], lambda plural, key: gone.append((plural, key))).sweep(kind)
    assert gone == [(kind[2], ("shop", "b"))]
    assert sorted(cache.known(kind[2])) == [("shop", "a"), ("shop", "c")]


async def test_of_a_kind_without_objects_nothing_stays(cache, gone):
    await Sweep(Lists(), cache, [SERVICES], lambda *told: gone.append(told)).sweep(SERVICES)
    assert len(gone) == 3


async def test_what_appears_or_is_made_anew_meanwhile_stays(cache, gone):
    lists = Lists("a", "c")

    def meanwhile():
        cache.put("services", obj("b", uid="2"))
        cache.put("services", obj("d"))

    lists.meanwhile = meanwhile
    await Sweep(lists, cache, [SERVICES], lambda *told: gone.append(told)).sweep(SERVICES)
    assert gone == []
    assert len(cache.known("services")) == 4


async def test_cluster_wide_templates_are_told_apart_from_those_of_namespaces(cache, gone):
    cache.put("clusteranalysistemplates", {"metadata": {"name": "errors", "uid": "1"}})
    cache.put("analysistemplates", obj("errors"))
    assert cache.known("clusteranalysistemplates") == {("", "errors"): "1"}
    assert cache.known("analysistemplates") == {("shop", "errors"): "1"}


async def test_only_watched_namespaces_are_listed(cache, gone):
    lists = Lists("a", "b", "c")
    await Sweep(lists, cache, [SERVICES], lambda *told: gone.append(told), namespaces=["shop"]).sweep(SERVICES)
    assert set(lists.asked) == {"/api/v1/namespaces/shop/services"}


async def test_an_unknown_kind_says_nothing_about_what_is_gone(cache, gone):
    class Nothing:
        async def request(self, *_args, **_more):
            return None

    with pytest.raises(KubeError, match="no such kind"):
        await Sweep(Nothing(), cache, [SERVICES], lambda *told: gone.append(told)).sweep(SERVICES)
    assert gone == []


async def test_it_goes_on_after_an_error(cache, gone):
    class Turns:
        n = 0

        async def pause(self, _seconds):
            self.n += 1
            if self.n > 2:
                raise asyncio.CancelledError

    class Flaky(Lists):
        async def request(self, *args, **more):
            if len(self.asked) == 0:
                self.asked.append("refused")
                raise KubeError(500, "", "not now")
            return await super().request(*args, **more)

    with pytest.raises(asyncio.CancelledError):
        await Sweep(Flaky("a", "b"), cache, [SERVICES], lambda *told: gone.append(told), pause=Turns().pause).run()
    assert gone == [("services", ("shop", "c"))]
