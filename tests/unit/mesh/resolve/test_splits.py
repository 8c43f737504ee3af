"""How a split overlays destinations, and which splits are applied."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.api.destinationrule import FULL_EJECTION_ANNOTATION
from mesh.ir.services import Service, ServicePort
from mesh.ir.splits import Split
from mesh.ir.traffic import ClusterKey, Destination
from mesh.resolve.rules import read_destination_rule, read_traffic_split
from mesh.resolve.splits import HARMLESS, LIMITED, overlay, resolve_splits
from mesh.resolve.world import World

PORT = ServicePort("http", 80, 8080)
SERVICES = {("shop", n): Service("shop", n, (PORT,)) for n in ("payment", "payment-canary", "other")}


def split(**weights: int) -> dict[Any, Split]:
    pairs = tuple((n.replace("_", "-"), w) for n, w in weights.items())
    return {("shop", "payment"): Split("shop", "payment", "u", 1, "payment", pairs)}


def to(service: str, weight: int, subset: str = "") -> Destination:
    return Destination(ClusterKey("shop", service, 80, subset), weight)


def test_a_host_is_replaced_by_its_backends():
    assert overlay([to("payment", 100)], split(payment=90, payment_canary=10)) == (
        to("payment", 9),
        to("payment-canary", 1),
    )


def test_a_backend_without_weight_is_left_out():
    assert overlay([to("payment", 100)], split(payment=100, payment_canary=0)) == (to("payment", 1),)
    assert overlay([to("payment", 100)], split(payment=0, payment_canary=100)) == (to("payment-canary", 1),)


def test_weights_multiply_where_a_rule_splits_already():
    assert overlay([to("payment", 80), to("other", 20)], split(payment=75, payment_canary=25)) == (
        to("payment", 3),
        to("payment-canary", 1),
        to("other", 1),
    )


def test_the_hosts_own_backend_keeps_the_subset():
    assert overlay([to("payment", 1, "gold")], split(payment=50, payment_canary=50)) == (
        to("payment", 1, "gold"),
        to("payment-canary", 1),
    )


def test_shares_of_one_backend_by_several_ways_add_up():
    both = overlay([to("payment", 50), to("payment-canary", 50)], split(payment=50, payment_canary=50))
    assert both == (to("payment", 1), to("payment-canary", 3))


def test_a_split_reaches_its_own_host_only():
    assert overlay([to("other", 7)], split(payment=50, payment_canary=50)) == (to("other", 1),)


@given(st.integers(0, 100), st.lists(st.integers(0, 1000), min_size=1, max_size=4))
def test_shares_are_exact(weight, rule):
    destinations = [to("payment" if i % 2 == 0 else f"other{i}", w) for i, w in enumerate(rule)]
    found = overlay(destinations, split(payment=100 - weight, payment_canary=weight))
    total = sum(d.weight for d in found)
    canary = sum(d.weight for d in found if d.cluster.service == "payment-canary")
    wanted = sum(d.weight for d in destinations if d.cluster.service == "payment") * weight
    assert canary * sum(rule) * 100 == wanted * total
    assert all(d.weight > 0 for d in found)


def rule(name: str = "payment", created: str = "2026-01-01T00:00:00Z", **weights: int):
    backends = [{"service": n.replace("_", "-"), "weight": w} for n, w in weights.items()]
    return read_traffic_split(
        {
            "kind": "TrafficSplit",
            "metadata": {"name": name, "namespace": "shop", "uid": name, "creationTimestamp": created, "generation": 3},
            "spec": {"service": "payment", "backends": backends},
        }
    )


def problem(found):
    (only,) = found.problems
    return only.message


def test_a_good_split_is_applied():
    found = resolve_splits([rule(payment=90, payment_canary=10)], SERVICES)
    assert found.problems == ()
    assert found.applied["shop", "payment"].weights == (("payment", 90), ("payment-canary", 10))
    assert found.applied["shop", "payment"].generation == 3


def test_a_split_onto_a_missing_service_is_not_applied_at_all():
    found = resolve_splits([rule(payment=90, nosuch=10)], SERVICES)
    assert found.applied == {}
    assert problem(found) == "spec.backends[1].service: there is no Service nosuch in namespace shop: create it"


def test_a_missing_service_without_weight_does_no_harm():
    assert resolve_splits([rule(payment=100, nosuch=0)], SERVICES).problems == ()


def test_a_backend_needs_the_hosts_ports():
    services = {**SERVICES, ("shop", "odd"): Service("shop", "odd", (ServicePort("http", 81, 1),))}
    found = resolve_splits([rule(payment=90, odd=10)], services)
    assert problem(found) == "spec.backends[1].service: Service odd has no port 80, which payment has: add it"


def test_a_split_of_a_missing_host_is_not_applied():
    found = resolve_splits([rule(payment=100)], {})
    assert problem(found) == "spec.service: there is no Service payment in namespace shop: create it"


def test_of_two_splits_of_one_host_the_older_is_applied():
    young, old = rule("young", "2026-02-01T00:00:00Z", payment=100), rule("old", payment=50, other=50)
    found = resolve_splits([young, old], SERVICES)
    assert found.applied["shop", "payment"].name == "old"
    assert problem(found) == "spec.service: payment is already split by the older TrafficSplit old: delete one"


def test_weights_that_do_not_add_up_are_told_with_their_field():
    (bad,) = rule(payment=90, payment_canary=20).problems
    assert (bad.reason, bad.message) == (
        "Invalid",
        "spec.backends: the weights add up to 110: make them add up to 100",
    )


@pytest.mark.parametrize(
    ("percent", "annotations", "told"),
    [
        (50, {}, []),
        (51, {}, [LIMITED]),
        (100, {}, [LIMITED]),
        (100, {FULL_EJECTION_ANNOTATION: "true"}, []),
    ],
)
def test_an_ejection_that_is_held_to_half_is_told_and_hinders_nothing(percent, annotations, told):
    backends = [{"service": "payment", "weight": 90}, {"service": "payment-canary", "weight": 10}]
    spec = {"service": "payment", "backends": backends, "outlierDetection": {"maxEjectionPercent": percent}}
    meta = {"name": "payment", "namespace": "shop", "uid": "u"}
    rule = {"metadata": {**meta, "annotations": annotations}, "spec": {"host": "payment"}}
    world = World(
        SERVICES,
        {},
        {},
        destination_rules=(read_destination_rule(rule),),
        traffic_splits=(read_traffic_split({"metadata": meta, "spec": spec}),),
    )
    assert [p.reason for p in world.problems] == told
    assert set(told) <= HARMLESS
    assert {
        u.policy.outlier_detection.max_ejection_percent for u in world.outbound("shop", ("payment",)).upstreams
    } == {50 if told else percent}
