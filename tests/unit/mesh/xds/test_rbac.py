"""Policies as Envoy's filters: what comes with the routes, and what is decided beforehand."""

from __future__ import annotations

from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac

from mesh.ir.authz import Authorization, AuthzPolicy, AuthzRule, Condition, Pattern
from mesh.xds.rbac import Place, authorization_filters, network_filters, route_authorization

HERE = Place("10.0.0.1", 8080)
PORT = Condition("destination.port", (Pattern("exact", "8080"),))
OTHER_PORT = Condition("destination.port", (Pattern("exact", "9090"),))
GET = Condition("method", (Pattern("exact", "GET"),))


def told(*policies: AuthzPolicy, place: Place = HERE) -> dict[str, http_rbac.RBACPerRoute]:
    found = {}
    for name, packed in route_authorization(Authorization(policies), place).items():
        override = http_rbac.RBACPerRoute()
        assert packed.Unpack(override)
        found[name.rpartition(".")[2]] = override
    return found


def policy(action, *operations):
    return AuthzPolicy(
        "shop", "p", action, tuple(AuthzRule(f"r{i}", operations=(o,)) for i, o in enumerate(operations))
    )


def test_filters_alone_refuse_everything():
    for entry in authorization_filters():
        base = http_rbac.RBAC()
        assert entry.typed_config.Unpack(base)
        assert (base.HasField("rules"), base.rules.action, len(base.rules.policies)) == (True, rbac_pb2.RBAC.ALLOW, 0)


def test_where_no_policy_applies_the_filters_are_off():
    assert not any(override.HasField("rbac") for override in told().values())


def test_the_filters_of_the_listener_are_those_that_the_routes_speak_of():
    assert [f.name for f in authorization_filters()] == list(route_authorization(Authorization(), HERE))


def test_a_policy_for_another_port_allows_nothing_here_and_denies_nothing():
    allow, deny = told(policy("ALLOW", (OTHER_PORT,))), told(policy("DENY", (OTHER_PORT,)))
    assert allow["allow"].HasField("rbac")
    assert not allow["allow"].rbac.rules.policies
    assert not deny["deny"].HasField("rbac")


def test_the_port_is_decided_beforehand_and_the_rest_is_left():
    rules = told(policy("DENY", (PORT, GET)))["deny"].rbac.rules
    (permission,) = rules.policies["r0"].permissions
    (condition,) = permission.and_rules.rules
    assert condition.or_rules.rules[0].header.name == ":method"
    assert told(policy("DENY", (PORT,)))["deny"].rbac.rules.policies["r0"].permissions[0].any


def test_a_port_that_the_pod_does_not_declare_is_compared_by_envoy():
    (filter_,) = network_filters(Authorization((policy("DENY", (PORT,)),)), Place("10.0.0.1", 0))
    assert b"coalmine.authorization.deny" in filter_.SerializeToString()
    rules = told(policy("DENY", (PORT,)), place=Place("10.0.0.1", 0))["deny"].rbac.rules
    assert rules.policies["r0"].permissions[0].and_rules.rules[0].or_rules.rules[0].destination_port == 8080


def test_an_audit_says_by_which_rule():
    audit = told(policy("AUDIT", (GET,)))["audit"].rbac
    assert audit.rules.action == rbac_pb2.RBAC.LOG
    assert (list(audit.shadow_rules.policies), audit.shadow_rules_stat_prefix) == (["r0"], "audit_")


def test_tcp_ports_have_filters_only_for_what_applies():
    assert network_filters(Authorization(), HERE) == []
    names = [f.name for f in network_filters(Authorization((policy("ALLOW", (GET,)), policy("DENY", (GET,)))), HERE)]
    assert names == ["coalmine.authorization.deny", "coalmine.authorization.allow"]
