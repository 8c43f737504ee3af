"""Which mode a port has, by Istio's precedence."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.ir.services import Workload
from mesh.resolve.peers import index_peers
from mesh.resolve.rules import read_peer_authentication

POD = Workload("shop", "payment-1", "10.0.0.1", labels=(("app", "payment"), ("tier", "back")))


def rule(name: str, namespace: str = "shop", created: str = "2026-01-01T00:00:00Z", **spec: Any):
    meta = {"name": name, "namespace": namespace, "creationTimestamp": created}
    return read_peer_authentication(
        {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": meta, "spec": spec}
    )


def mtls(mode: str) -> dict[str, str]:
    return {"mode": mode}


CHOSEN = {"matchLabels": {"app": "payment"}}


def test_without_any_both_are_taken():
    assert index_peers([]).mode(POD, 8080) == "PERMISSIVE"


@pytest.mark.parametrize("root", ["coalmine-system", "istio-system"])
def test_one_in_the_root_namespace_is_about_the_mesh(root):
    assert index_peers([rule("default", root, mtls=mtls("STRICT"))]).mode(POD, 8080) == "STRICT"


def test_one_of_another_namespace_is_not_about_this_one():
    assert index_peers([rule("default", "other", mtls=mtls("STRICT"))]).mode(POD, 8080) == "PERMISSIVE"


def test_the_narrower_wins():
    rules = [
        rule("default", "istio-system", mtls=mtls("STRICT")),
        rule("default", mtls=mtls("DISABLE")),
        rule("payment", selector=CHOSEN, mtls=mtls("STRICT"), portLevelMtls={"9090": mtls("PERMISSIVE")}),
    ]
    assert index_peers(rules[:1]).mode(POD, 8080) == "STRICT"
    assert index_peers(rules[:2]).mode(POD, 8080) == "DISABLE"
    assert index_peers(rules).mode(POD, 8080) == "STRICT"
    assert index_peers(rules).mode(POD, 9090) == "PERMISSIVE"


@pytest.mark.parametrize("unset", [{}, {"mtls": {}}, {"mtls": mtls("UNSET")}])
def test_unset_means_what_the_wider_one_says(unset):
    rules = [rule("default", "istio-system", mtls=mtls("STRICT")), rule("default", **unset)]
    assert index_peers(rules).mode(POD, 8080) == "STRICT"
    rules.append(rule("payment", selector=CHOSEN, portLevelMtls={"8080": mtls("UNSET"), "9090": mtls("DISABLE")}))
    assert index_peers(rules).mode(POD, 8080) == "STRICT"
    assert index_peers(rules).mode(POD, 9090) == "DISABLE"


def test_all_labels_of_a_selector_must_be_there():
    found = index_peers([rule("a", selector={"matchLabels": {"app": "payment", "tier": "front"}}, mtls=mtls("STRICT"))])
    assert found.mode(POD, 8080) == "PERMISSIVE"


def test_an_empty_selector_is_the_namespace():
    assert index_peers([rule("a", selector={"matchLabels": {}}, mtls=mtls("STRICT"))]).mode(POD, 1) == "STRICT"


def test_of_two_for_the_same_the_older_is_used_and_the_other_told():
    young = rule("a-young", created="2026-02-01T00:00:00Z", mtls=mtls("DISABLE"))
    old = rule("b-old", mtls=mtls("STRICT"))
    found = index_peers([young, old])
    assert found.mode(POD, 8080) == "STRICT"
    (problem,) = found.problems
    assert (problem.ref.name, problem.reason) == ("a-young", "Shadowed")
    assert problem.message == "namespace shop has an older PeerAuthentication, b-old, which is used: merge the two"


def test_of_two_that_choose_a_pod_the_older_is_used_and_the_other_told():
    young = rule("a-young", created="2026-02-01T00:00:00Z", selector={"matchLabels": {"tier": "back"}})
    old = rule("b-old", selector=CHOSEN, mtls=mtls("STRICT"))
    found = index_peers([young, old])
    assert found.mode(POD, 8080) == "STRICT"
    assert found.problems == ()
    (problem,) = found.shadowed([POD, POD])
    assert problem.ref.name == "a-young"
    assert "pod payment-1 is chosen by an older PeerAuthentication, b-old" in problem.message


def test_ports_without_a_selector_have_no_effect_and_that_is_told():
    found = index_peers([rule("default", portLevelMtls={"8080": mtls("STRICT")})])
    assert found.mode(POD, 8080) == "PERMISSIVE"
    (problem,) = found.problems
    assert problem.message.startswith("spec.portLevelMtls has no effect without spec.selector.matchLabels")


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", "²"])
def test_what_is_no_port_is_refused_by_its_field(port):
    found = rule("a", selector=CHOSEN, portLevelMtls={port: mtls("STRICT")})
    assert found.spec is None
    (problem,) = found.problems
    assert problem.message.startswith(f"spec.portLevelMtls: {port!r} is no container port")


def test_a_mode_that_does_not_exist_is_refused():
    (problem,) = rule("a", mtls=mtls("strict")).problems
    assert problem.message.startswith("spec.mtls.mode")


def test_a_field_that_is_not_istios_is_told():
    (problem,) = rule("a", mtls={"mode": "STRICT", "hard": True}).problems
    assert problem.message.startswith("spec.mtls.hard is not implemented")
