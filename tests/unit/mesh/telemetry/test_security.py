"""What was mutual TLS between whom, and what came around the mesh."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from mesh.api.peerauthentication import MutualTls, PeerAuthenticationSpec
from mesh.api.plaintext import Source
from mesh.ir.services import Endpoint, Service, Workload
from mesh.resolve.problems import Ref
from mesh.resolve.rules import Rule
from mesh.resolve.world import World
from mesh.telemetry.around import MOST_AROUND, around
from mesh.telemetry.counters import Counts, Host, Point, Series
from mesh.telemetry.edges import Call
from mesh.telemetry.graph import graph
from mesh.telemetry.plaintext import Arrival
from mesh.telemetry.podnames import PodNames
from mesh.telemetry.security import Secured, Security
from mesh.xds import standard

JOB = Source(kind="CronJob", namespace="batch", name="cleanup")
OUTSIDE = Source(kind="Address", name="203.0.113.7")
MESHED = Source(kind="Deployment", namespace="shop", name="frontend", sidecar=True)
PEER = "spiffe://cluster.local/ns/shop/sa/payment"


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def asked(*, peer="-", backend="shop/payment", flags="-", reporter="source", stat=standard.REQUESTS) -> Point:
    tags = {"reporter": reporter, "peer": peer, "backend": backend, "flags": flags, "code": "200"}
    return Point(stat, tuple(tags.get(name, "-") for name in standard.TAGS))


@pytest.fixture
def world() -> World:
    pods = [Workload("shop", name, "10.0.0.1", (("app", name[:5]),), meshed=True) for name in ("payment-1", "front-1")]
    endpoints = {("shop", "payment"): {80: (Endpoint("10.0.0.1", 80, "payment-1"),)}}
    services = {key: Service(*key, ports=()) for key in endpoints}
    rule = Rule(
        Ref("", "PeerAuthentication", "shop", "m", ""), "", 1, PeerAuthenticationSpec(mtls=MutualTls(mode="DISABLE"))
    )
    return World(services, {w.key: w for w in pods}, endpoints, peer_authentications=(rule,))


@pytest.fixture
def names(world) -> PodNames:
    made = PodNames(clock=Clock())
    made.learn(world)
    return made


def test_requests_are_counted_by_whether_the_called_side_proved_who_it_is():
    clock = Clock()
    security = Security(clock=clock)
    security.add("shop/front-1", {asked(peer=PEER): (5.0,), asked(): (2.0,)})
    security.add("shop/front-1", {asked(peer=PEER): (1.0,)})
    assert security.read(60) == {
        Secured("shop/front-1", "shop", "payment", mutual=True): 6,
        Secured("shop/front-1", "shop", "payment", mutual=False): 2,
    }
    clock.now += 200
    assert not security.read(60)


@pytest.mark.parametrize(
    "point",
    [
        asked(flags="UH"),
        asked(backend="-/-"),
        asked(reporter="destination", peer=PEER),
        asked(stat=standard.OPENED, peer=PEER),
    ],
    ids=["reached nobody", "no Service", "the called side's own count", "a connection"],
)
def test_what_tells_nothing_is_not_counted(point):
    security = Security(clock=Clock())
    security.add("shop/front-1", {point: (5.0,)})
    assert not security.read(60)


def test_an_edge_has_the_share_of_mutual_tls_to_its_backend(names):
    series = Series(Host("shop", "payment"), "payment", "payment-1")
    canary = series._replace(backend="payment-canary")
    calls = {Call("shop/front-1", series): Counts(requests=8), Call("shop/front-1", canary): Counts(requests=1)}
    secured = {
        Secured("shop/front-1", "shop", "payment", mutual=True): 6,
        Secured("shop/front-1", "shop", "payment", mutual=False): 2,
    }
    found = graph(60, calls, names, secured)
    assert [(e.backend, e.mutual) for e in found.edges] == [("payment", 0.75), ("payment-canary", None)]


def test_calls_around_the_mesh_are_edges_to_the_service_that_the_pods_are_behind(names, world):
    found = around(
        60,
        {
            "requests": {Arrival("shop", "payment-1", 8080, JOB): 30},
            "refused": {Arrival("shop", "payment-1", 0, OUTSIDE): 4},
        },
        world,
        names,
    )
    assert [(e.source, e.destination.name, e.requests, e.refused, e.rate) for e in found] == [
        (OUTSIDE, "payment", 0, 4, 0.0),
        (JOB, "payment", 30, 0, 0.5),
    ]
    assert found[1].words == "CronJob batch/cleanup (no sidecar)"


def test_plaintext_that_a_port_asks_for_is_no_bypass(names, world):
    calls = {Arrival("shop", "payment-1", 8080, MESHED): 30}
    assert around(60, {"requests": calls}, world, names) == ()


def test_of_very_many_those_with_the_most_calls_are_told(names, world):
    sources = [Source(kind="Address", name=f"192.0.2.{n}") for n in range(MOST_AROUND + 5)]
    calls = {Arrival("shop", "payment-1", 8080, source): number for number, source in enumerate(sources, start=1)}
    found = around(60, {"requests": calls}, world, names)
    assert len(found) == MOST_AROUND
    assert min(e.requests for e in found) == 6
