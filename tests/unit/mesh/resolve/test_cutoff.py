"""Who STRICT would cut off, and what keeps exactly those ports open."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.api.plaintext import PlaintextCall, PlaintextReport, Source
from mesh.ir.services import Service, Workload
from mesh.resolve.cutoff import bridges, cut_off, refusals, strict, with_rules
from mesh.resolve.rules import read_peer_authentication
from mesh.resolve.world import World

PAYMENT = Workload(
    "shop",
    "payment-7c-x",
    "10.0.0.2",
    (("app", "payment"), ("pod-template-hash", "7c")),
    meshed=True,
    owner=("Deployment", "payment"),
)
JOB = Source(kind="Job", namespace="batch", name="cleanup")


def peer(name: str, namespace: str = "shop", **spec: Any) -> Any:
    meta = {"name": name, "namespace": namespace}
    return read_peer_authentication(
        {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": meta, "spec": spec}
    )


def mode(name: str) -> dict[str, str]:
    return {"mode": name}


CHOOSES = {"matchLabels": {"app": "payment"}}


def world(*rules: Any, service: bool = True) -> World:
    payment = Service("shop", "payment", (), selector=(("app", "payment"),))
    return World(
        services={payment.key: payment} if service else {},
        workloads={PAYMENT.key: PAYMENT},
        endpoints={},
        peer_authentications=rules,
    )


def report(*calls: PlaintextCall) -> PlaintextReport:
    return PlaintextReport(now=1000.0, since=0.0, calls=calls)


def call(port: int = 8080, source: Source = JOB, last: float = 990.0, **counts: int) -> PlaintextCall:
    return PlaintextCall(
        namespace="shop",
        kind="Deployment",
        workload="payment",
        port=port,
        source=source,
        first=0.0,
        last=last,
        **(counts or {"requests": 3}),
    )


def names(found: Any) -> list[str]:
    return [c.call.source.name for c in found]


@pytest.mark.parametrize("namespace", ["shop", None])
def test_who_spoke_plaintext_is_cut_off_by_strict(namespace):
    here = world()
    (found,) = cut_off(report(call()), here, with_rules((), [strict(namespace)]))
    assert (found.now, found.already, found.call.taken) == ("PERMISSIVE", False, 3)


def test_another_namespaces_strict_cuts_nobody_off_here():
    assert not cut_off(report(call()), world(), with_rules((), [strict("other")]))


def test_narrower_rules_stay_in_force():
    rule = peer("p", selector=CHOOSES, mtls=mode("PERMISSIVE"))
    rules = with_rules((rule,), [strict("shop")])
    assert not cut_off(report(call()), world(rule), rules)


def test_the_asked_rule_replaces_the_namespaces_own():
    present = peer("old", mtls=mode("PERMISSIVE"))
    assert cut_off(report(call()), world(present), with_rules((present,), [strict("shop")]))
    same = peer("default", mtls=mode("STRICT"))
    assert with_rules((same,), [strict("shop")]) == (strict("shop"),)


def test_what_is_strict_already_matters_when_somebody_is_refused():
    here = world(peer("m", mtls=mode("STRICT")))
    rules = with_rules(here.peer_authentications, [strict("shop")])
    assert not cut_off(report(call(requests=5)), here, rules)
    (found,) = cut_off(report(call(refused=5)), here, rules)
    assert found.already


def test_a_sidecar_that_speaks_plaintext_to_a_port_that_takes_nothing_else_will_speak_mutual_tls():
    frontend = Source(kind="Deployment", namespace="shop", name="frontend", sidecar=True)
    disabled = world(peer("m", mtls=mode("DISABLE")))
    rules = with_rules(disabled.peer_authentications, [strict("shop")])
    assert names(cut_off(report(call(), call(source=frontend)), disabled, rules)) == ["cleanup"]
    # It did so on its own account, by pod IP for example.
    assert names(cut_off(report(call(source=frontend)), world(), rules)) == ["frontend"]


def test_the_bridge_keeps_only_these_ports_open_and_it_works():
    here = world()
    rules = with_rules((), [strict("shop")])
    found = cut_off(report(call(), call(9090, connections=1)), here, rules)
    (manifest,) = bridges(found, here, rules)

    assert manifest["metadata"] == {"name": "payment-still-plaintext", "namespace": "shop"}
    assert manifest["spec"] == {
        "selector": {"matchLabels": {"app": "payment"}},
        "portLevelMtls": {"8080": mode("PERMISSIVE"), "9090": mode("PERMISSIVE")},
    }
    bridged = with_rules(rules, [read_peer_authentication(manifest)])
    assert not cut_off(report(call(), call(9090, connections=1)), here, bridged)
    assert world(*bridged).peers.mode(PAYMENT, 7070) == "STRICT"


def test_the_bridge_changes_the_rule_that_the_pods_have():
    own = peer("own", selector=CHOOSES, mtls=mode("STRICT"), portLevelMtls={"9090": mode("DISABLE")})
    found = cut_off(report(call()), world(), (own,))
    (manifest,) = bridges(found, world(), (own,))
    assert manifest["metadata"]["name"] == "own"
    assert manifest["spec"]["portLevelMtls"] == {"8080": mode("PERMISSIVE"), "9090": mode("DISABLE")}
    assert not cut_off(report(call()), world(), with_rules((own,), [read_peer_authentication(manifest)]))


def test_the_bridge_of_undeclared_ports_and_of_pods_without_a_service():
    here = world(service=False)
    rules = with_rules((), [strict("shop")])
    (manifest,) = bridges(cut_off(report(call(0, connections=1)), here, rules), here, rules)
    assert manifest["spec"] == {"selector": CHOOSES, "mtls": mode("PERMISSIVE")}


def test_authors_are_told_who_is_refused():
    rule = peer("m", mtls=mode("STRICT"))
    (problem,) = refusals(report(call(), call(9090)), world(rule), 600)
    assert problem.ref.name == "m"
    assert problem.reason == "CutsOff"
    assert "Deployment payment: Job batch/cleanup (no sidecar)" in problem.message
    assert not refusals(report(call(last=100.0)), world(rule), 600)
    assert not refusals(report(call()), world(), 600)
