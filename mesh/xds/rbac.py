"""AuthorizationPolicies as Envoy's RBAC.

HTTP: three filters (audit, deny, allow) stand in every inbound listener and refuse everything by themselves; what they
really do comes with the routes of each port, since routes change for the next request of an open connection while a
listener changes only for new connections. TCP: network filters in the listener.

What is known of a port beforehand (its number and the pod's address) is decided here, so that a rule means the port of
the pod however its packets got to the sidecar.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from envoy.config.listener.v3 import listener_components_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac

from mesh.xds.auditlog import AUDIT_PREFIX
from mesh.xds.messages import to_any
from mesh.xds.rbacmatch import permission, principal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf import any_pb2

    from mesh.ir.authz import Action, Authorization, AuthzPolicy, AuthzRule, Clause, Condition

__all__ = ["Place", "authorization_filters", "network_filters", "route_authorization"]

_ORDER: Final[tuple[Action, ...]] = ("AUDIT", "DENY", "ALLOW")
_ACTIONS: Final[dict[Action, rbac_pb2.RBAC.Action.ValueType]] = {
    "AUDIT": rbac_pb2.RBAC.LOG,
    "DENY": rbac_pb2.RBAC.DENY,
    "ALLOW": rbac_pb2.RBAC.ALLOW,
}
_PRINCIPALS: Final = frozenset(
    {"principal", "namespace", "account", "source.ip", "remote.ip", "request.principal", "claim"}
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where requests arrive.

    Attributes:
        address: IP of the pod.
        port: The application's port; 0 where all ports arrive that are not declared.
    """

    address: str
    port: int


def filter_name(action: Action) -> str:
    """Return the name of the filter with the policies of an action."""
    return f"coalmine.authorization.{action.lower()}"


def authorization_filters() -> list[hcm.HttpFilter]:
    """Return the filters of an inbound listener. Without what comes with the routes they refuse every request."""
    nothing = rbac_pb2.RBAC(action=rbac_pb2.RBAC.ALLOW)
    return [
        hcm.HttpFilter(name=filter_name(action), typed_config=to_any(http_rbac.RBAC(rules=nothing)))
        for action in _ORDER
    ]


def route_authorization(authorization: Authorization, place: Place) -> dict[str, any_pb2.Any]:
    """Return what the filters do with the requests of a port, as ``typed_per_filter_config``."""
    found = {}
    for action in _ORDER:
        override = http_rbac.RBACPerRoute()  # empty: the filter is off
        rules = _rules(authorization.of(action), action, place)
        if rules is not None:
            override.rbac.CopyFrom(http_rbac.RBAC(rules=rules, **_naming(rules, action)))
        found[filter_name(action)] = to_any(override)
    return found


def network_filters(authorization: Authorization, place: Place) -> list[listener_components_pb2.Filter]:
    """Return the filters of a TCP port's listener; none where no policy applies."""
    found = []
    for action in _ORDER:
        rules = _rules(authorization.on_tcp().of(action), action, place)
        if rules is not None:
            config = network_rbac.RBAC(rules=rules, stat_prefix="tcp.", **_naming(rules, action))
            found.append(listener_components_pb2.Filter(name=filter_name(action), typed_config=to_any(config)))
    return found


def _naming(rules: rbac_pb2.RBAC, action: Action) -> dict[str, Any]:
    """Return what makes an audit say by which rule: the action LOG alone says only that there is one."""
    if action != "AUDIT":
        return {}
    named = rbac_pb2.RBAC(action=rbac_pb2.RBAC.ALLOW, policies=rules.policies)
    return {"shadow_rules": named, "shadow_rules_stat_prefix": AUDIT_PREFIX}


def _rules(policies: Iterable[AuthzPolicy], action: Action, place: Place) -> rbac_pb2.RBAC | None:
    """Return Envoy's rules for policies of one action; None where they do nothing."""
    policies = tuple(policies)
    made = {rule.name: _policy(rule, place) for policy in policies for rule in policy.rules}
    matching = {name: policy for name, policy in made.items() if policy is not None}
    # Policies that allow refuse all else, even where no rule of theirs can match; others without a match do nothing.
    if not matching and not (action == "ALLOW" and policies):
        return None
    return rbac_pb2.RBAC(action=_ACTIONS[action], policies=matching)


def _policy(rule: AuthzRule, place: Place) -> rbac_pb2.Policy | None:
    """Return a rule; None where it cannot match at this place."""
    when_principal = tuple(c for c in rule.when if c.attribute in _PRINCIPALS)
    when_permission = tuple(c for c in rule.when if c.attribute not in _PRINCIPALS)
    permissions = [_permission(p) for c in rule.operations if (p := _here((*c, *when_permission), place)) is not None]
    if not permissions:
        return None
    principals = [_principal((*clause, *when_principal)) for clause in rule.sources]
    return rbac_pb2.Policy(permissions=permissions, principals=principals)


def _here(clause: Clause, place: Place) -> Clause | None:
    """Return a clause without what is known to hold at the place; None where something is known not to."""
    rest = []
    for condition in clause:
        known = _known(condition, place)
        if known is False:
            return None
        if known is None:
            rest.append(condition)
    return tuple(rest)


def _known(condition: Condition, place: Place) -> bool | None:
    if condition.attribute == "destination.port" and place.port:
        holds = any(p.value == str(place.port) for p in condition.patterns)
    elif condition.attribute == "destination.ip":
        address = ipaddress.ip_address(place.address)
        holds = any(address in ipaddress.ip_network(p.value, strict=False) for p in condition.patterns)
    else:
        return None
    return holds is not condition.negated


def _permission(clause: Clause) -> rbac_pb2.Permission:
    if not clause:
        return rbac_pb2.Permission(any=True)
    return rbac_pb2.Permission(and_rules=rbac_pb2.Permission.Set(rules=[_one_permission(c) for c in clause]))


def _one_permission(condition: Condition) -> rbac_pb2.Permission:
    alternatives = [permission(condition, pattern) for pattern in condition.patterns]
    found = rbac_pb2.Permission(or_rules=rbac_pb2.Permission.Set(rules=alternatives))
    return rbac_pb2.Permission(not_rule=found) if condition.negated else found


def _principal(clause: Clause) -> rbac_pb2.Principal:
    if not clause:
        return rbac_pb2.Principal(any=True)
    return rbac_pb2.Principal(and_ids=rbac_pb2.Principal.Set(ids=[_one_principal(c) for c in clause]))


def _one_principal(condition: Condition) -> rbac_pb2.Principal:
    alternatives = [principal(condition, pattern) for pattern in condition.patterns]
    found = rbac_pb2.Principal(or_ids=rbac_pb2.Principal.Set(ids=alternatives))
    return rbac_pb2.Principal(not_id=found) if condition.negated else found
