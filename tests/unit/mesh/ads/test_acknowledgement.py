"""What a TrafficSplit's status says of its proxies."""

from __future__ import annotations

from mesh.ads.acknowledgement import ProxyState, SplitState, status_of
from mesh.api.trafficsplit import TrafficSplitStatus

NEW = TrafficSplitStatus()
WEIGHTS = {"payment": 90, "payment-canary": 10}


def state(*proxies: ProxyState, generation: int = 2, problem: str = "") -> SplitState:
    return SplitState(generation, WEIGHTS, problem, proxies)


def truth(status: TrafficSplitStatus) -> dict[str, str]:
    return {c.type: c.status for c in status.conditions}


def test_acknowledged_when_every_proxy_holds_the_generation():
    status = status_of(state(ProxyState("shop/a", 2), ProxyState("shop/b", 2)), NEW, "t1")
    assert status.acknowledged is not None
    assert (status.acknowledged.generation, status.acknowledged.weights, status.acknowledged.time) == (2, WEIGHTS, "t1")
    assert (status.proxies.affected, status.proxies.acknowledged, status.proxies.missing) == (2, 2, ())
    assert truth(status) == {"Ready": "True", "Reconciling": "False", "Stalled": "False"}


def test_not_acknowledged_while_one_proxy_holds_less():
    status = status_of(state(ProxyState("shop/a", 2), ProxyState("shop/b", 1), ProxyState("shop/c")), NEW, "t1")
    assert status.acknowledged is None
    assert (status.proxies.acknowledged, status.proxies.missing) == (1, ("shop/b", "shop/c"))
    assert truth(status) == {"Ready": "False", "Reconciling": "True", "Stalled": "False"}


def test_a_host_that_nobody_calls_needs_nobodys_acknowledgement():
    status = status_of(state(), NEW, "t1")
    assert status.acknowledged is not None


def test_what_was_acknowledged_stays_so_when_a_proxy_goes_silent():
    before = status_of(state(ProxyState("shop/a", 2)), NEW, "t1")
    after = status_of(state(ProxyState("shop/a")), before, "t2")
    assert after.acknowledged == before.acknowledged
    assert after.proxies.missing == ("shop/a",)


def test_the_older_acknowledgement_stays_until_the_newer_is_complete():
    before = status_of(state(ProxyState("shop/a", 2)), NEW, "t1")
    during = status_of(state(ProxyState("shop/a", 2), generation=3), before, "t2")
    assert during.acknowledged == before.acknowledged
    assert during.observed_generation == 3
    after = status_of(state(ProxyState("shop/a", 3), generation=3), during, "t3")
    assert after.acknowledged is not None
    assert (after.acknowledged.generation, after.acknowledged.time) == (3, "t3")


def test_a_refusal_stalls_with_the_proxys_own_words():
    status = status_of(state(ProxyState("shop/a", 1, "no such thing")), NEW, "t1")
    assert [(r.proxy, r.message, r.generation) for r in status.rejections] == [("shop/a", "no such thing", 2)]
    assert truth(status) == {"Ready": "False", "Reconciling": "False", "Stalled": "True"}


def test_a_split_that_is_not_applied_is_never_acknowledged():
    status = status_of(state(ProxyState("shop/a", 2), problem="create it"), NEW, "t1")
    assert status.acknowledged is None
    assert {c.message for c in status.conditions} == {"create it"}


def test_five_of_many_are_named():
    status = status_of(state(*(ProxyState(f"shop/{n}", None, "no") for n in range(9))), NEW, "t1")
    assert len(status.proxies.missing) == len(status.rejections) == 5
    assert status.proxies.affected == 9


def test_an_unchanged_state_gives_an_unchanged_status():
    first = status_of(state(ProxyState("shop/a", 2)), NEW, "t1")
    assert status_of(state(ProxyState("shop/a", 2)), first, "t2") == first
