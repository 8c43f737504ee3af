"""What comes around a split: whose it is, how much, and how it skews the weights."""

from __future__ import annotations

import pytest

from mesh.api.peerauthentication import MutualTls, PeerAuthenticationSpec
from mesh.api.plaintext import Source
from mesh.api.trafficsplit import Backend, TrafficSplitSpec
from mesh.ir.services import Endpoint, Service, ServicePort, Workload
from mesh.resolve.problems import Ref
from mesh.resolve.rules import Rule
from mesh.resolve.world import World
from mesh.telemetry.bypass import BypassNotes, bypasses
from mesh.telemetry.counters import Counts, Host, Series
from mesh.telemetry.edges import Call
from mesh.telemetry.plaintext import Arrival

SPLIT = Ref("mesh.coalmine.dev/v1alpha1", "TrafficSplit", "shop", "payment", "u1")
JOB = Source(kind="CronJob", namespace="batch", name="cleanup")
MESHED = Source(kind="Deployment", namespace="shop", name="frontend", sidecar=True)
FRONTEND = Workload("shop", "frontend-1", "10.0.0.1", meshed=True, owner=("Deployment", "frontend"))


def pod(name: str, address: str) -> Workload:
    return Workload("shop", name, address, meshed=True, owner=("Deployment", name))


def world(mode: str = "PERMISSIVE", *, split: bool = True) -> World:
    pods = [pod("stable", "10.0.0.2"), pod("canary", "10.0.0.3"), FRONTEND]
    spec = TrafficSplitSpec(
        service="payment",
        backends=(Backend(service="payment", weight=90), Backend(service="payment-canary", weight=10)),
    )
    # The host's own Service chooses all pods, as it may.
    behind = {"payment": pods[:2], "payment-canary": pods[1:2]}
    rule = Rule(
        Ref("", "PeerAuthentication", "shop", "m", ""), "", 1, PeerAuthenticationSpec(mtls=MutualTls(mode=mode))
    )
    return World(
        services={("shop", name): Service("shop", name, (ServicePort("http", 80, 8080),)) for name in behind},
        workloads={w.key: w for w in pods},
        endpoints={
            ("shop", name): {80: tuple(Endpoint(w.address, 15006, w.name) for w in found)}
            for name, found in behind.items()
        },
        traffic_splits=(Rule(SPLIT, "", 1, spec),) if split else (),
        peer_authentications=(rule,),
    )


def arrivals(source: Source = JOB, **pods: int) -> dict[Arrival, int]:
    return {Arrival("shop", name, 8080, source): number for name, number in pods.items()}


def asked(host: str, backend: str, number: int) -> dict[Call, Counts]:
    return {Call("shop/frontend-1", Series(Host("shop", host), backend, "p")): Counts(requests=number)}


def test_nothing_comes_around_where_all_is_split():
    (found,) = bypasses(world(), {}, asked("payment", "payment", 90) | asked("payment", "payment-canary", 10))
    assert (found.total, found.percent, found.notable) == (100, 0.0, False)
    assert found.shares == {"payment": 90.0, "payment-canary": 10.0}


def test_what_comes_around_is_told_by_source_and_skews_the_weights():
    calls = asked("payment", "payment", 90) | asked("payment", "payment-canary", 10)
    (found,) = bypasses(world(), arrivals(stable=50, canary=50), calls)

    assert found.percent == 50.0
    assert found.shares == {"payment": 70.0, "payment-canary": 30.0}
    summary = found.summary(120.0, "now")
    assert (summary.requests, summary.around, summary.percent) == (200, 100, 50.0)
    assert [(s.source, s.requests) for s in summary.sources] == [("CronJob batch/cleanup (no sidecar)", 100)]
    text = found.message()
    assert "50 % of the requests to payment come around the split" in text
    assert "payment-canary 30 % instead of 10 %" in text


def test_a_sidecar_that_asks_for_a_backend_itself_comes_around():
    (found,) = bypasses(world(), {}, asked("payment", "payment", 80) | asked("payment-canary", "payment-canary", 20))
    assert found.around == {"payment-canary": 20}
    assert list(found.sources) == ["Deployment shop/frontend, which asks for payment-canary"]


def test_plaintext_of_a_sidecar_is_split_where_the_port_takes_nothing_else():
    calls = asked("payment", "payment", 90)
    (disabled,) = bypasses(world("DISABLE"), arrivals(MESHED, stable=90), calls)
    assert disabled.percent == 0.0
    (permissive,) = bypasses(world(), arrivals(MESHED, stable=10), calls)
    assert permissive.percent == 10.0


def test_other_services_and_other_pods_do_not_count():
    (found,) = bypasses(world(), arrivals(other=100), asked("catalog", "catalog", 100))
    assert found.total == 0
    assert found.shares == {}
    assert bypasses(world(split=False), arrivals(stable=1), {}) == ()


@pytest.mark.parametrize(("through", "around", "notable"), [(90, 10, True), (90, 9, False), (9000, 20, False)])
def test_little_is_not_worth_a_word(through, around, notable):
    (found,) = bypasses(world(), arrivals(stable=around), asked("payment", "payment", through))
    assert found.notable is notable


def test_events_are_not_repeated_for_every_percent():
    notes = BypassNotes()

    def told(around: int, source: Source = JOB) -> list[str]:
        found = bypasses(world(), arrivals(source, stable=around), asked("payment", "payment", 100))
        return [p.message[:4] for p in notes.update(found)]

    assert told(5) == []
    assert told(25) == ["20 %"]
    assert told(30) == ["20 %"]
    assert told(100) == ["50 %"]
    assert told(90, JOB.model_copy(update={"name": "report"})) == ["47 %"]
    assert told(95) == ["47 %"]
    assert told(0) == []
