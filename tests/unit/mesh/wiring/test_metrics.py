"""What the mesh's control plane tells Prometheus of itself."""

from __future__ import annotations

import datetime as dt

import pytest

from mesh.ads.messages import Request
from mesh.ads.session import Session
from mesh.api.plaintext import Bypass
from mesh.api.trafficsplit import Backend, TrafficSplitSpec
from mesh.ca.authority import Authority
from mesh.ca.roots import first
from mesh.ir.services import Endpoint, Service, ServicePort, Workload
from mesh.resolve.problems import Problem, Ref
from mesh.resolve.rules import Rule
from mesh.resolve.world import World
from mesh.wiring.metrics import Facts, families
from mesh.xds.resources import CDS, EDS, Resource, Snapshot

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SPLIT = Ref("mesh.coalmine.dev/v1alpha1", "TrafficSplit", "shop", "payment", "u1")
FRONTEND = Workload("shop", "frontend-1", "10.0.0.1", meshed=True, owner=("Deployment", "frontend"))
CLUSTER = "outbound|80||payment.shop.svc.cluster.local"


@pytest.fixture
def world():
    pods = [Workload("shop", f"payment-{n}", f"10.0.1.{n}", meshed=True) for n in range(4)]
    spec = TrafficSplitSpec(service="payment", backends=(Backend(service="payment", weight=100),))
    return World(
        services={("shop", "payment"): Service("shop", "payment", (ServicePort("http", 80, 8080),))},
        workloads={w.key: w for w in (*pods, FRONTEND)},
        endpoints={("shop", "payment"): {80: tuple(Endpoint(w.address, 15006, w.name) for w in pods)}},
        traffic_splits=(Rule(SPLIT, "", 1, spec),),
    )


@pytest.fixture
def authority():
    return Authority(first(NOW), clock=lambda: NOW)


@pytest.fixture
def told(world, authority):
    """Returns what is told: values by name and labels."""

    def tell(now=100.0, **changes):
        facts = Facts(
            **{
                "world": world,
                "proxies": [],
                "authority": authority,
                "problems": (),
                "bypass": lambda _: None,
                "ejections": {},
                **changes,
            }
        )
        return {
            (s.name.removeprefix("coalmine_mesh_"), *s.labels.values()): s.value
            for family in families(facts, lambda: now)
            for s in family.samples
        }

    return tell


def connected(*, version: str = "c1", answered: bool = True, refused: str | None = None) -> Session:
    """A proxy that was sent its clusters at second 90."""
    session = Session()
    desired = {"a": Resource("a", version, b"")}
    session.offer(Snapshot({CDS: desired, EDS: {"a": Resource("a", "e1", b"")}}), 90.0)
    (sent,) = session.receive(Request(CDS, ("*",), (), {}), 90.0)
    if answered:
        session.receive(Request(CDS, nonce=sent.nonce, error=refused), 91.0)
    return session


def test_a_proxy_is_synced_stale_or_gone(told):
    found = told(proxies=[(FRONTEND, connected()), (FRONTEND, connected(answered=False)), (FRONTEND, None)])
    assert (found["proxies", "synced"], found["proxies", "stale"], found["proxies", "disconnected"]) == (1, 1, 1)
    assert found["sync_lag_seconds", "CDS"] == 10
    assert found["sync_lag_seconds", "EDS"] == 0, "it was not asked for"


def test_what_a_proxy_refuses_is_no_lag(told):
    found = told(proxies=[(FRONTEND, connected(refused="no such filter"))])
    assert (found["proxies", "stale"], found["refused_resources", "CDS"], found["sync_lag_seconds", "CDS"]) == (1, 1, 0)


def test_nobody_waits_where_nobody_is_connected(told):
    found = told(world=None)
    assert {found["sync_lag_seconds", kind] for kind in ("CDS", "EDS", "SDS", "LDS", "ECDS", "RDS")} == {0}


def test_certificates_say_when_the_first_of_a_kind_ends(told, authority):
    assert ("certificate_expiry_timestamp_seconds", "workload") not in told()
    authority.workload("shop/frontend-1", FRONTEND.identity)
    found = told()
    ends = {kind: found["certificate_expiry_timestamp_seconds", kind] for kind in ("root", "issuer", "workload")}
    assert NOW.timestamp() < ends["workload"] < ends["issuer"] < ends["root"]
    assert found["certificate_life_seconds",] == ends["workload"] - NOW.timestamp()


def test_problems_are_counted_by_reason(told):
    problems = (Problem(SPLIT, "Refused", "a"), Problem(SPLIT, "Refused", "b"), Problem(SPLIT, "Bypassed", "c"))
    found = told(problems=problems)
    assert (found["problems", "Refused"], found["problems", "Bypassed"]) == (2, 1)


def test_what_comes_around_a_split_is_a_share_and_nothing_is_zero(told):
    assert told()["bypass_ratio", "shop", "payment"] == 0
    around = Bypass(time="", seconds=120, requests=400, around=100)
    assert told(bypass={"u1": around}.get)["bypass_ratio", "shop", "payment"] == 0.25


def test_ejections_are_told_beside_their_cap_by_the_caller_nearest_to_it(told):
    found = told(ejections={"shop/frontend-1": {CLUSTER: 2}, "shop/payment-0": {CLUSTER: 1}, "shop/gone": {CLUSTER: 4}})
    assert found["ejected_endpoints", "shop", "payment"] == 2
    assert found["ejectable_endpoints", "shop", "payment"] == 2, "50 % of four"


def test_a_host_that_ejects_nobody_has_no_series(told):
    found = told(ejections={"shop/frontend-1": {CLUSTER: 0}})
    assert not [key for key in found if key[0] == "ejected_endpoints"]
