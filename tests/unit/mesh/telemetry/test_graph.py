"""Who calls whom: counts keep their caller for a while, and pods become Services and versions."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.api.telemetry import LATENCY_BOUNDS_MS
from mesh.ir.services import Endpoint, Service, Workload
from mesh.resolve.world import World
from mesh.telemetry.counters import BUCKETS, Counts, Host, Series
from mesh.telemetry.edges import KEPT, Call, Edges
from mesh.telemetry.graph import graph, quantile
from mesh.telemetry.podnames import PodNames

PAYMENT = Host("shop", "payment")
STABLE = Series(PAYMENT, "payment", "payment-1-a")
CANARY = Series(PAYMENT, "payment-canary", "payment-2-b", "read")


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def counts(requests: int, errors: int = 0, bucket: int = 10) -> Counts:
    spread = tuple(requests if i == bucket else 0 for i in range(BUCKETS))
    return Counts(requests, errors, requests + errors, errors, spread, ())


def world(*pods: tuple[str, str, str]) -> World:
    """A world of pods: name, version, and the Service that they are behind or nothing."""
    workloads = [
        Workload("shop", name, "10.0.0.1", (("app", name[:3]), ("version", version))) for name, version, _ in pods
    ]
    endpoints: dict = {}
    for (name, _, service), workload in zip(pods, workloads, strict=True):
        if service:
            found = endpoints.setdefault(("shop", service), {80: ()})
            found[80] += (Endpoint("10.0.0.1", 80, name, labels=workload.labels),)
    services = {key: Service(*key, ports=()) for key in endpoints}
    return World(services, {w.key: w for w in workloads}, endpoints)


def names(*worlds: World, clock: Clock | None = None) -> PodNames:
    made = PodNames(clock=clock or Clock())
    for known in worlds:
        made.learn(known)
    return made


def test_counts_of_one_caller_add_up_and_callers_stay_apart():
    clock = Clock()
    edges = Edges(clock=clock)
    for _ in range(3):
        clock.now += 1
        edges.add("shop/front-1", STABLE, counts(5))
    edges.add("shop/front-2", STABLE, counts(7))
    seconds, found = edges.read(60)
    assert seconds == 3
    assert {call: c.requests for call, c in found.items()} == {
        Call("shop/front-1", STABLE): 15,
        Call("shop/front-2", STABLE): 7,
    }


def test_old_counts_are_left_out_and_forgotten():
    clock = Clock()
    edges = Edges(clock=clock)
    edges.add("shop/front", STABLE, counts(5))
    clock.now += 30
    edges.add("shop/front", CANARY, counts(1))
    assert {c.series for c in edges.read(10)[1]} == {CANARY}
    assert {c.series for c in edges.read(60)[1]} == {STABLE, CANARY}
    clock.now += 2 * KEPT
    edges.add("shop/front", CANARY, counts(1))
    seconds, found = edges.read(KEPT)
    assert seconds == KEPT
    assert [c.requests for c in found.values()] == [1]
    assert len(edges._slots) == 1


def test_a_clock_that_is_set_back_loses_nothing():
    clock = Clock()
    edges = Edges(clock=clock)
    clock.now += 10
    edges.add("shop/front", STABLE, counts(5))
    clock.now -= 5
    edges.add("shop/front", STABLE, counts(5))
    assert sum(c.requests for c in edges.read(60)[1].values()) == 10


def test_what_is_held_is_bounded(monkeypatch):
    monkeypatch.setattr("mesh.telemetry.edges._MAX_ROWS", 10)
    clock = Clock()
    edges = Edges(clock=clock)
    for number in range(50):
        clock.now += 3
        edges.add(f"shop/front-{number}", STABLE, counts(1))
    assert sum(len(s.rows) for s in edges._slots) <= 11
    seconds, found = edges.read(KEPT)
    assert seconds <= 33, "what was dropped is not counted as quiet"
    assert sum(c.requests for c in found.values()) >= 10


def test_pods_become_services_and_versions():
    known = world(
        ("front-1-x", "v0", "front"),
        ("job-1", "v0", ""),
        ("payment-1-a", "v1", "payment"),
        ("payment-2-b", "v2", "payment-canary"),
    )
    calls = {
        Call("shop/front-1-x", STABLE): counts(90, 3),
        Call("shop/front-1-x", CANARY): counts(10, 10),
        Call("shop/job-1", STABLE): counts(1),
    }
    made = graph(10.0, calls, names(known))
    assert [(e.source.name, e.destination.name, e.backend, e.version, e.requests) for e in made.edges] == [
        ("front", "payment", "payment", "v1", 90),
        ("front", "payment", "payment-canary", "v2", 10),
        ("job", "payment", "payment", "v1", 1),
    ]
    assert [(t.version, t.requests) for t in made.services] == [("v1", 91), ("v2", 10)]
    first = made.edges[0]
    assert (first.rate, first.pods, first.error_rate) == (9.0, 1, pytest.approx(1 / 30))
    assert first.p50_ms is not None
    assert LATENCY_BOUNDS_MS[9] <= first.p50_ms <= LATENCY_BOUNDS_MS[10]


def test_a_pod_that_is_gone_is_still_known_by_its_name():
    before = world(("front-1-x", "v0", "front"), ("payment-1-a", "v1", "payment"))
    known = names(before, world(("front-1-y", "v0", "front")))
    (edge,) = graph(10.0, {Call("shop/front-1-x", STABLE): counts(4)}, known).edges
    assert (edge.source.name, edge.version) == ("front", "v1")


def test_a_pod_that_leaves_its_service_stays_what_it_was():
    known = names(world(("front-1-x", "v0", "front")), world(("front-1-x", "v0", "")))
    assert known.service("shop", "front-1-x") == "front"


def test_names_are_forgotten_when_no_count_can_need_them_any_more():
    clock = Clock()
    known = names(world(("front-1-x", "v0", "front")), clock=clock)
    clock.now += 3600
    known.learn(world())
    assert known.service("shop", "front-1-x") == "front", "it was there until now"
    clock.now += KEPT
    known.learn(world())
    assert known.service("shop", "front-1-x") == "front"
    clock.now += 2 * KEPT
    known.learn(world())
    assert known.service("shop", "front-1-x") == "front-1-x"


def test_a_request_without_a_pod_has_no_version_and_no_latency():
    none = Series(PAYMENT, "", "")
    (edge,) = graph(10.0, {Call("shop/a", none): Counts(3, 3)}, names(world(("a", "", "")))).edges
    assert (edge.backend, edge.version, edge.pods, edge.p50_ms, edge.error_rate) == ("", "", 0, None, 1.0)


def test_no_attempts_have_no_latency():
    assert quantile((), 0.5) is None
    assert quantile((0,) * BUCKETS, 0.5) is None


@given(st.lists(st.integers(0, 50), min_size=BUCKETS, max_size=BUCKETS).filter(any))
def test_quantiles_rise_and_lie_in_the_bucket_of_their_rank(spread):
    buckets = tuple(spread)
    shares = [0.0, 0.1, 0.5, 0.9, 0.99, 1.0]
    found = [quantile(buckets, share) for share in shares]
    assert found == sorted(found)
    for share, value in zip(shares[1:], found[1:], strict=True):
        below = sum(c for c, bound in zip(buckets, LATENCY_BOUNDS_MS, strict=False) if bound < value)
        assert below <= share * sum(buckets)
