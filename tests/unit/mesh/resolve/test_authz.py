"""AuthorizationPolicies: whom they are for, what they mean, and that nothing wrong ever lets more through."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.ir.authz import Authorization
from mesh.ir.services import Service, ServicePort, Workload
from mesh.resolve.authz import AuthzIndex, read_authorization_policy
from mesh.resolve.decide import Request, decide
from mesh.xds.rbac import Place, network_filters, route_authorization

POD = Workload("shop", "payment-1", "10.0.0.1", labels=(("app", "payment"), ("version", "v1")))
FRONTEND = "cluster.local/ns/shop/sa/frontend"
SERVICES = {
    ("shop", "payment"): Service("shop", "payment", (ServicePort("http", 80, 8080),), selector=(("app", "payment"),)),
    ("shop", "loose"): Service("shop", "loose", (ServicePort("http", 80, 8080),)),
}


def policy(spec: Any, *, name: str = "p", namespace: str = "shop", annotations: dict[str, str] | None = None) -> Any:
    meta = {"name": name, "namespace": namespace, "uid": name, "annotations": annotations}
    kind = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy"}
    return read_authorization_policy({**kind, "metadata": meta, "spec": spec})


def applied(*policies: Any, pod: Workload = POD) -> Authorization:
    return AuthzIndex(policies, SERVICES).of(pod)


def passes(*policies: Any, **request: Any) -> bool:
    return decide(applied(*policies), Request(**request)).allowed


def told(*policies: Any) -> list[str]:
    return [p.message for p in AuthzIndex(policies, SERVICES).problems]


def test_without_a_policy_everything_passes():
    assert passes()


@pytest.mark.parametrize("spec", [{}, None, {"rules": []}, {"action": "ALLOW"}])
def test_a_policy_that_allows_nothing_denies_everything(spec):
    assert not passes(policy(spec))
    assert told(policy(spec)) == []


def test_an_empty_rule_matches_everything():
    assert passes(policy({"rules": [{}]}))
    assert not passes(policy({"rules": [{}], "action": "DENY"}))


def test_denial_goes_before_permission_and_audits_decide_nothing():
    everything = policy({"rules": [{}]}, name="a")
    delete = {"to": [{"operation": {"methods": ["DELETE"]}}]}
    policies = (everything, policy({"action": "DENY", "rules": [delete]}, name="b"))
    assert passes(*policies, method="GET")
    assert not passes(*policies, method="DELETE")
    audit = decide(applied(policy({"action": "AUDIT", "rules": [{}]}, name="c")), Request())
    assert (audit.allowed, audit.audited) == (True, ("ns[shop]-policy[c]-rule[0]",))


@pytest.mark.parametrize(
    ("spec", "namespace", "chosen"),
    [
        ({}, "shop", True),
        ({}, "web", False),
        ({}, "istio-system", True),
        ({}, "coalmine-system", True),
        ({"selector": {"matchLabels": {"app": "payment"}}}, "shop", True),
        ({"selector": {"matchLabels": {"app": "payment", "version": "v2"}}}, "shop", False),
        ({"selector": {"matchLabels": {"version": "v1"}}}, "istio-system", True),
        ({"targetRefs": [{"kind": "Service", "group": "", "name": "payment"}]}, "shop", True),
        ({"targetRef": {"kind": "Service", "group": "core", "name": "payment"}}, "shop", True),
        ({"targetRefs": [{"kind": "Service", "name": "payment"}]}, "web", False),
        ({"targetRefs": [{"kind": "Service", "name": "loose"}]}, "shop", False),
        ({"targetRefs": [{"kind": "Gateway", "group": "gateway.networking.k8s.io", "name": "g"}]}, "shop", False),
    ],
)
def test_a_policy_is_for_a_mesh_a_namespace_labels_or_a_service(spec, namespace, chosen):
    assert bool(applied(policy(spec, namespace=namespace)).policies) is chosen


def test_targets_that_choose_nobody_are_told():
    gateway = {"kind": "Gateway", "group": "gateway.networking.k8s.io", "name": "g"}
    first, second = told(policy({"targetRefs": [gateway, {"kind": "Service", "name": "nosuch"}]}))
    assert first == "spec.targetRefs: kind Gateway is not implemented and chooses no pod: name a Service"
    assert second == "spec.targetRefs: there is no Service nosuch in namespace shop: create it"


@pytest.mark.parametrize(
    ("rule", "request_", "matches"),
    [
        ({"from": [{"source": {"principals": [FRONTEND]}}]}, {"principal": FRONTEND}, True),
        ({"from": [{"source": {"principals": ["*"]}}]}, {}, False),
        ({"from": [{"source": {"notPrincipals": [FRONTEND]}}]}, {}, True),
        ({"from": [{"source": {"namespaces": ["sh*"]}}]}, {"principal": FRONTEND}, True),
        ({"from": [{"source": {"namespaces": ["sh"]}}]}, {"principal": FRONTEND}, False),
        ({"from": [{"source": {"serviceAccounts": ["frontend"]}}]}, {"principal": FRONTEND}, True),
        ({"from": [{"source": {"serviceAccounts": ["front"]}}]}, {"principal": FRONTEND}, False),
        ({"from": [{"source": {"serviceAccounts": ["web/frontend"]}}]}, {"principal": FRONTEND}, False),
        ({"from": [{"source": {"ipBlocks": ["10.0.0.0/8"]}}]}, {"source_ip": "10.9.9.9"}, True),
        ({"to": [{"operation": {"paths": ["/a/{*}/c"]}}]}, {"path": "/a/b/c"}, True),
        ({"to": [{"operation": {"paths": ["/a/{*}/c"]}}]}, {"path": "/a/b/b/c"}, False),
        ({"to": [{"operation": {"paths": ["/a/{**}"]}}]}, {"path": "/a/b/b/c"}, True),
        ({"to": [{"operation": {"hosts": ["*.Example.com"]}}]}, {"host": "API.example.COM"}, True),
        ({"to": [{"operation": {"ports": ["08080"]}}]}, {"port": 8080}, True),
        ({"when": [{"key": "request.headers[X-Team]", "values": ["fin*"]}]}, {"headers": {"x-team": "finance"}}, True),
        ({"when": [{"key": "request.headers[X-Team]", "notValues": ["a"]}]}, {}, True),
        ({"when": [{"key": "request.auth.claims[a][b]", "values": ["c"]}]}, {"claims": {"a": {"b": ["c"]}}}, True),
        ({"when": [{"key": "request.auth.audiences", "values": ["c"]}]}, {"claims": {"aud": "c"}}, True),
    ],
)
def test_a_condition_compares_as_documented(rule, request_, matches):
    assert passes(policy({"rules": [rule]}), **request_) is matches
    assert told(policy({"rules": [rule]})) == []


@pytest.mark.parametrize(
    ("action", "rule", "passes_"),
    [
        ("ALLOW", {"to": [{"operation": {"methods": ["GET"]}}]}, False),
        ("ALLOW", {"from": [{"source": {"requestPrincipals": ["*"]}}]}, False),
        ("ALLOW", {"to": [{"operation": {"ports": ["5432"]}}]}, True),
        ("DENY", {"to": [{"operation": {"methods": ["GET"], "ports": ["5432"]}}]}, False),
        ("DENY", {"to": [{"operation": {"methods": ["GET"], "ports": ["80"]}}]}, True),
    ],
)
def test_what_only_http_has_never_allows_and_always_denies_on_tcp(action, rule, passes_):
    request = {"protocol": "tcp", "port": 5432, "claims": {"iss": "a", "sub": "b"}}
    assert passes(policy({"action": action, "rules": [rule]}), **request) is passes_


def test_a_part_that_is_not_implemented_never_allows_and_denies_without_it():
    rule = {"from": [{"source": {"principals": [FRONTEND], "regions": ["eu"]}}]}
    allow, deny = policy({"rules": [rule]}), policy({"action": "DENY", "rules": [rule]})
    assert not passes(allow, principal=FRONTEND)
    assert not passes(deny, principal=FRONTEND)
    assert passes(deny)
    assert told(allow)[0].startswith("spec.rules[0].from[0].source.regions is not implemented")
    assert told(allow)[1] == "spec.rules[0]: a part of it is not implemented, so it allows nothing"


def test_custom_denies_what_it_matches_since_nobody_can_be_asked():
    custom = policy(
        {"action": "CUSTOM", "provider": {"name": "opa"}, "rules": [{"to": [{"operation": {"paths": ["/a"]}}]}]}
    )
    assert (passes(custom, path="/a"), passes(custom, path="/b")) == (False, True)
    (message,) = told(custom)
    assert message.startswith("spec.action: CUSTOM is not implemented")


def test_a_dry_run_decides_nothing_and_says_so():
    dry = policy({}, annotations={"istio.io/dry-run": "true"})
    assert passes(dry)
    (message,) = told(dry)
    assert message.startswith("metadata.annotations[istio.io/dry-run]: the policy decides nothing")


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"from": [{"source": {"ipBlocks": ["10.0.0.0/33"]}}]}, "spec.rules[0].from[0].source.ipBlocks[0]"),
        ({"to": [{"operation": {"ports": ["http"]}}]}, "spec.rules[0].to[0].operation.ports[0]"),
        ({"to": [{"operation": {"paths": ["/a{*}"]}}]}, "spec.rules[0].to[0].operation.paths[0]"),
        ({"to": [{"operation": {"paths": ["/{**}/{*}"]}}]}, "spec.rules[0].to[0].operation.paths[0]"),
        ({"from": [{"source": {"serviceAccounts": ["a/b/c"]}}]}, "spec.rules[0].from[0].source.serviceAccounts[0]"),
        ({"from": [{"source": {"serviceAccounts": ["a"], "namespaces": ["b"]}}]}, "spec.rules[0].from[0].source"),
        ({"when": [{"key": "source.ip"}]}, "spec.rules[0].when[0]"),
        ({"when": [{"key": "source.ip", "values": ["x"]}]}, "spec.rules[0].when[0]"),
    ],
)
def test_a_policy_that_cannot_be_read_names_the_field_and_lets_nothing_through(rule, field):
    selector = {"selector": {"matchLabels": {"app": "payment"}}}
    allow, deny = (policy({**selector, "action": action, "rules": [rule]}) for action in ("ALLOW", "DENY"))
    assert told(allow)[0].startswith(f"{field}: ")
    assert told(deny)[1] == "spec: until it is corrected the policy applies and denies everything"
    assert not passes(policy({"rules": [{}]}, name="all"), deny)
    assert not passes(allow)
    other = Workload("shop", "other", "10.0.0.2")
    assert applied(allow, pod=other) == Authorization(), "it is still for the pods that it chooses"


WORDS = """selector matchLabels targetRefs action rules from to when source operation principals paths notPaths ipBlocks
ports hosts key values kind name namespaces"""
NAMES = st.sampled_from(WORDS.split())
TEXTS = st.sampled_from(
    ["ALLOW", "DENY", "AUDIT", "*", "/a/{*}", "10.0.0.0/8", "80", "source.ip", "Service"]
) | st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70000) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=4), inner, max_size=4),
    max_leaves=25,
)
SOURCE = st.dictionaries(
    st.sampled_from(
        ["principals", "notPrincipals", "namespaces", "requestPrincipals", "serviceAccounts", "ipBlocks", "x"]
    ),
    st.lists(TEXTS, max_size=3),
    max_size=3,
)
OPERATION = st.dictionaries(
    st.sampled_from(["hosts", "methods", "paths", "notPaths", "ports", "x"]), st.lists(TEXTS, max_size=3), max_size=3
)
WHEN = st.fixed_dictionaries(
    {
        "key": st.sampled_from(["request.headers[a]", "request.auth.claims[a][b]", "source.ip", "destination.ip", "x"])
        | st.text()
    },
    optional={"values": st.lists(TEXTS, max_size=2), "notValues": st.lists(TEXTS, max_size=2)},
)
RULES = st.fixed_dictionaries(
    {},
    optional={
        "from": st.lists(st.fixed_dictionaries({"source": SOURCE}), max_size=2),
        "to": st.lists(st.fixed_dictionaries({"operation": OPERATION}), max_size=2),
        "when": st.lists(WHEN, max_size=2),
    },
)
SPECS = st.fixed_dictionaries(
    {"rules": st.lists(RULES, max_size=3)},
    optional={"action": st.sampled_from(["ALLOW", "DENY", "AUDIT", "CUSTOM", "X"])},
)


@given(JSON | SPECS)
def test_no_resource_crashes_anything(spec):
    found = applied(policy(spec))
    assert decide(found, Request()).reason
    assert decide(found, Request(protocol="tcp")).reason
    for message in route_authorization(found, Place("10.0.0.1", 8080)).values():
        assert message.SerializeToString() is not None
    for filter_ in network_filters(found, Place("10.0.0.1", 8080)):
        assert filter_.SerializeToString()


@given(SPECS)
def test_what_is_wrong_never_lets_more_through(spec):
    """Where anything is told of a policy that allows, a request passes by a rule of which nothing is told."""
    made = policy({**spec, "action": "ALLOW"})
    decision = decide(applied(made), Request(principal=FRONTEND))
    wrong = {int(m.split("[")[1].split("]")[0]) for m in told(made) if m.startswith("spec.rules[")}
    if decision.allowed:
        assert decision.rule
        assert int(decision.rule.rpartition("[")[2].rstrip("]")) not in wrong
