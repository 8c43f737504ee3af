"""The object that a refused configuration comes from is found, and only that one is left out."""

from __future__ import annotations

from typing import Any

from mesh.ads.gate import Refusal
from mesh.ir.services import ContainerPort, Endpoint, Service, ServicePort, Workload
from mesh.resolve.authz import read_authorization_policy
from mesh.resolve.rules import read_destination_rule, read_virtual_service
from mesh.resolve.world import World
from mesh.wiring.quarantine import Quarantine
from mesh.xds.resources import CDS, RDS, Snapshot
from mesh.xds.snapshots import SnapshotBuilder

SERVICES = {("shop", n): Service("shop", n, (ServicePort("http", 80, 8080),)) for n in ("payment", "orders")}
PODS = {("shop", n): {80: (Endpoint("10.0.0.2", 8080, n),)} for n in ("payment", "orders")}
CALLER = Workload("shop", "caller", "10.0.0.1", ports=(ContainerPort("http", 8080),))
READ: dict[str, tuple[str, Any]] = {
    "VirtualService": ("virtual_services", read_virtual_service),
    "DestinationRule": ("destination_rules", read_destination_rule),
    "AuthorizationPolicy": ("authorization_policies", read_authorization_policy),
}


def routing(name: str, host: str, timeout: str) -> dict[str, Any]:
    http = [{"route": [{"destination": {"host": host}}], "timeout": timeout}]
    return {"kind": "VirtualService", "metadata": {"name": name}, "spec": {"hosts": [host], "http": http}}


def rule(name: str, host: str, roots: str) -> dict[str, Any]:
    tls = {"mode": "SIMPLE", "caCertificates": roots}
    return {
        "kind": "DestinationRule",
        "metadata": {"name": name},
        "spec": {"host": host, "trafficPolicy": {"tls": tls}},
    }


def policy(name: str, path: str) -> dict[str, Any]:
    spec = {"rules": [{"to": [{"operation": {"paths": [path]}}]}]}
    return {"kind": "AuthorizationPolicy", "metadata": {"name": name}, "spec": spec}


def world(*manifests: dict[str, Any]) -> World:
    found: dict[str, tuple[Any, ...]] = {}
    for manifest in manifests:
        field, read = READ[manifest["kind"]]
        meta = {"namespace": "shop", "uid": manifest["metadata"]["name"], **manifest["metadata"]}
        found[field] = (*found.get(field, ()), read({**manifest, "metadata": meta}))
    return World(SERVICES, {CALLER.key: CALLER}, PODS, **found)


def built(made: World, proxy: str) -> Snapshot | None:
    namespace, _, name = proxy.partition("/")
    workload = made.workloads.get((namespace, name))
    builder = SnapshotBuilder()
    builder.begin()
    return builder.build(made.view(workload)) if workload else None


def refusal(made: World, type_url: str, name: str, *, final: bool = True) -> Refusal:
    snapshot = built(made, "shop/caller")
    assert snapshot is not None
    return Refusal("shop/caller", type_url, name, snapshot.of(type_url)[name].version, "no such file", final=final)


def told(quarantine: Quarantine) -> list[tuple[str, str, str]]:
    return [(p.ref.kind, p.ref.name, p.reason) for p in quarantine.problems]


PAYMENT = "outbound|80||payment.shop.svc.cluster.local"


def test_a_new_object_that_is_refused_is_left_out_until_it_changes():
    quarantine = Quarantine(built)
    quarantine.admit(world())
    bad = world(rule("a", "orders", "/fine"), rule("b", "payment", "/nowhere"), policy("p", "/a"))
    used = quarantine.admit(bad)
    assert used is bad
    assert quarantine.blame(refusal(used, CDS, PAYMENT), used)
    assert told(quarantine) == [("DestinationRule", "b", "Refused")]
    assert "no such file" in quarantine.problems[0].message
    used = quarantine.admit(bad)
    assert [r.ref.name for r in used.destination_rules] == ["a"]
    assert used.authorization_policies == bad.authorization_policies
    changed = world(rule("a", "orders", "/fine"), rule("b", "payment", "/there"))
    assert quarantine.admit(changed) is changed
    assert told(quarantine) == []


def test_what_an_object_said_before_stays_in_force():
    quarantine = Quarantine(built)
    quarantine.admit(world(routing("a", "payment", "1s"), routing("b", "orders", "1s")))
    used = quarantine.admit(world(routing("a", "payment", "1s"), routing("b", "orders", "2s")))
    assert quarantine.blame(refusal(used, RDS, "outbound"), used)
    used = quarantine.admit(world(routing("a", "payment", "1s"), routing("b", "orders", "2s")))
    assert used == world(routing("a", "payment", "1s"), routing("b", "orders", "1s"))
    assert built(used, "shop/caller").of(RDS).keys() == built(world(), "shop/caller").of(RDS).keys()


def test_after_two_bad_changes_the_last_good_one_counts():
    quarantine = Quarantine(built)
    quarantine.admit(world(routing("a", "payment", "1s")))
    for timeout in ("2s", "3s"):
        bad = world(routing("a", "payment", timeout))
        used = quarantine.admit(bad)
        assert used == bad
        assert quarantine.blame(refusal(used, RDS, "outbound"), used)
        assert quarantine.admit(bad) == world(routing("a", "payment", "1s"))


def test_several_refused_resources_of_one_object_blame_no_other():
    quarantine = Quarantine(built)
    quarantine.admit(world())
    used = quarantine.admit(world(routing("a", "orders", "1s")))
    quarantine.admit(used)
    used = quarantine.admit(world(routing("a", "orders", "1s"), rule("b", "*.shop.svc.cluster.local", "/nowhere")))
    first, second = (refusal(used, CDS, PAYMENT.replace("payment", n)) for n in ("payment", "orders"))
    assert quarantine.blame(first, used)
    assert not quarantine.blame(second, used)
    assert told(quarantine) == [("DestinationRule", "b", "Refused")]


def test_what_one_proxy_alone_refuses_is_told_and_stays():
    quarantine = Quarantine(built)
    quarantine.admit(world())
    bad = world(rule("b", "payment", "/nowhere"))
    used = quarantine.admit(bad)
    assert not quarantine.blame(refusal(used, CDS, PAYMENT, final=False), used)
    assert told(quarantine) == [("DestinationRule", "b", "RefusedByProxy")]
    assert quarantine.admit(bad) is bad


def test_objects_that_were_there_before_this_process_are_left_in():
    quarantine = Quarantine(built)
    used = quarantine.admit(world(rule("b", "payment", "/nowhere")))
    assert not quarantine.blame(refusal(used, CDS, PAYMENT), used)
    assert told(quarantine) == []


def test_a_deleted_object_is_forgotten():
    quarantine = Quarantine(built)
    quarantine.admit(world())
    used = quarantine.admit(world(rule("b", "payment", "/nowhere")))
    assert quarantine.blame(refusal(used, CDS, PAYMENT), used)
    quarantine.admit(world())
    assert told(quarantine) == []
