"""Who called in plaintext: names for addresses, sums, bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mesh.ir.services import Workload
from mesh.resolve.objects import read_pod
from mesh.resolve.world import World
from mesh.telemetry import plaintext as seen
from mesh.telemetry.counters import Point
from mesh.xds import plaintext, standard

if TYPE_CHECKING:
    from collections.abc import Callable

PAYMENT = Workload("shop", "payment-1", "10.0.0.2", meshed=True, owner=("Deployment", "payment"))
JOB = Workload("batch", "cleanup-28-x", "10.0.0.9", owner=("CronJob", "cleanup"), node="n1", host="192.168.0.1")
FIELDS = {"requests": plaintext.REQUESTS, "connections": plaintext.CONNECTIONS, "refused": plaintext.REFUSED}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Cluster:
    """What is known, which tests change."""

    def __init__(self, *workloads: Workload) -> None:
        self.set(*workloads)

    def set(self, *workloads: Workload) -> None:
        self.world = World(services={}, workloads={w.key: w for w in workloads}, endpoints={})

    def __call__(self) -> World:
        return self.world


@pytest.fixture
def make(clock: Clock) -> Callable[[Cluster], seen.Plaintext]:
    return lambda cluster: seen.Plaintext(world=cluster, clock=clock)


def news(address: str, number: float = 1, *, field: str = "requests", port: str = "8080") -> dict[Point, tuple[float]]:
    return {Point(FIELDS[field], (address, port)): (number,)}


def calls(store: seen.Plaintext) -> dict[str, tuple[int, int, int]]:
    return {str(c.source): (c.requests, c.connections, c.refused) for c in store.report().calls}


def test_calls_are_summed_by_what_made_the_callers_pod(make, clock):
    store = make(Cluster(PAYMENT, JOB))
    store.add("shop/payment-1", news("10.0.0.9", 3))
    clock.now += 5
    store.add("shop/payment-1", news("10.0.0.9", 2) | news("10.0.0.9", 1, field="refused"))

    (call,) = store.report().calls
    assert (call.kind, call.workload, call.port) == ("Deployment", "payment", 8080)
    assert (call.requests, call.refused, call.first, call.last) == (5, 1, 1000.0, 1005.0)
    assert str(call.source) == "CronJob batch/cleanup (no sidecar)"


def test_other_stats_are_not_calls_in_plaintext_and_tell_when_anybody_called(make, clock):
    cluster = Cluster(PAYMENT)
    store = make(cluster)
    tags = ("destination", *[""] * (len(standard.TAGS) - 1))
    assert store.report().observed[0].called is None
    store.add("shop/payment-1", {Point(standard.REQUESTS, tags): (1.0,)})

    report = store.report()
    assert report.calls == ()
    assert report.observed[0].called == clock.now


def test_a_pod_that_calls_before_its_address_is_known_gets_its_name_all_the_same(make, clock):
    cluster = Cluster(PAYMENT)
    store = make(cluster)
    store.add("shop/payment-1", news("10.0.0.9", 4))
    assert store.report().calls == ()
    clock.now += 3
    cluster.set(PAYMENT, JOB)
    assert calls(store) == {"CronJob batch/cleanup (no sidecar)": (4, 0, 0)}


def test_an_address_that_stays_nobodys_is_outside_the_cluster(make, clock):
    store = make(Cluster(PAYMENT))
    store.add("shop/payment-1", news("203.0.113.7", 4, field="connections"))
    clock.now += 11
    assert calls(store) == {"203.0.113.7 (outside the cluster)": (0, 4, 0)}


def test_a_node_is_no_pod_on_its_network(make):
    agent = Workload("kube-system", "agent", "192.168.0.1", node="n1", host="192.168.0.1")
    store = make(Cluster(PAYMENT, agent))
    store.add("shop/payment-1", news("192.168.0.1"))
    (call,) = store.report().calls
    assert (call.source.kind, call.source.name) == ("Node", "n1")


def test_of_two_pods_with_one_address_the_one_that_runs_has_it(make):
    ended = Workload("batch", "old", "10.0.0.9", phase="Succeeded", owner=("Job", "old"))
    for order in ((JOB, ended), (ended, JOB)):
        store = make(Cluster(PAYMENT, *order))
        store.add("shop/payment-1", news("10.0.0.9"))
        # The one that runs; a Job that has ended may still be what is reported of, but cannot be told apart.
        assert [c.source.name for c in store.report().calls] == ["cleanup"]


def test_a_pod_that_is_gone_is_remembered(make):
    cluster = Cluster(PAYMENT, JOB)
    store = make(cluster)
    store.add("shop/payment-1", news("10.0.0.9"))
    cluster.set(PAYMENT)
    store.add("shop/payment-1", news("10.0.0.9"))
    assert calls(store) == {"CronJob batch/cleanup (no sidecar)": (2, 0, 0)}


def test_strangers_do_not_fill_the_memory(make, clock, monkeypatch):
    store = make(Cluster(PAYMENT, JOB))
    monkeypatch.setattr(seen, "MAX_ADDRESSES", 3)
    store.add("shop/payment-1", news("10.0.0.9"))
    for number in range(10):
        store.add("shop/payment-1", news(f"203.0.113.{number}"))
    clock.now += 11
    store.add("shop/payment-1", news("203.0.113.0"))
    clock.now += 11

    found = calls(store)
    assert len(found) == 5
    assert found["other addresses (outside the cluster)"] == (7, 0, 0)
    assert found["203.0.113.0 (outside the cluster)"] == (2, 0, 0)


def test_beyond_the_bound_those_that_called_longest_ago_go_and_that_is_said(make, clock, monkeypatch):
    monkeypatch.setattr(seen, "MAX_ROWS", 2)
    pods = [Workload("batch", f"j{n}", f"10.1.0.{n}", owner=("Job", f"j{n}")) for n in range(3)]
    store = make(Cluster(PAYMENT, *pods))
    for pod in pods:
        clock.now += 1
        store.add("shop/payment-1", news(pod.address))
    report = store.report()
    assert [c.source.name for c in report.calls] == ["j1", "j2"]
    assert report.left_out == 1


def test_it_is_said_since_when_and_by_how_many_a_workload_is_observed(make, clock):
    second = Workload("shop", "payment-2", "10.0.0.3", meshed=True, owner=("Deployment", "payment"))
    store = make(Cluster(PAYMENT, second, JOB))
    clock.now += 5
    store.tick({"shop/payment-1": clock.now})
    clock.now += 5
    store.tick({"shop/payment-1": clock.now})
    (found,) = store.report().observed
    assert (found.pods, found.reporting, found.since) == (2, 1, 1005.0)
    assert store.report().since == 1000.0


def test_the_last_two_minutes_are_known_by_pod(make, clock):
    store = make(Cluster(PAYMENT, JOB))
    store.add("shop/payment-1", news("10.0.0.9", 3))
    clock.now += 100
    store.add("shop/payment-1", news("10.0.0.9", 2) | news("10.0.0.9", 9, field="connections"))
    assert {a.pod: n for a, n in store.recent.read(120).items()} == {"payment-1": 5}
    assert list(store.recent.read(60).values()) == [2]
    clock.now += 121
    assert not store.recent.read(120)


@pytest.mark.parametrize(
    ("owner", "labels", "expected"),
    [
        (("ReplicaSet", "payment-7c9"), {"pod-template-hash": "7c9"}, ("Deployment", "payment")),
        (("ReplicaSet", "by-hand"), {}, ("ReplicaSet", "by-hand")),
        (("Job", "cleanup-29385730"), {}, ("CronJob", "cleanup")),
        (("Job", "import-2"), {}, ("Job", "import-2")),
        (("StatefulSet", "db"), {}, ("StatefulSet", "db")),
        (None, {}, ("Pod", "p")),
    ],
)
def test_what_made_a_pod(owner, labels, expected):
    meta = {"name": "p", "namespace": "n", "labels": labels}
    if owner:
        meta["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "controller": True}]
    assert read_pod({"metadata": meta}).maker == expected
