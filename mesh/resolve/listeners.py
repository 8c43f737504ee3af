"""Listeners of the Gateway API's Gateways: which can be used, and which routes each of them takes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from mesh.api.httproute import GATEWAY_API_GROUP
from mesh.resolve.gatewayhosts import bound_to, common, covers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mesh.api.gatewayapi import LabelSelector, Listener, SecretRef, StandardGatewaySpec
    from mesh.ir.gateways import Credential
    from mesh.ir.services import ServiceKey
    from mesh.resolve.grants import Grants
    from mesh.resolve.rules import Rule

__all__ = ["ROUTE_KINDS", "ListenerState", "Said", "Secrets", "admits", "narrowed", "read_listeners"]

Said = tuple[str, str] | None
"""Reason and sentence of a condition that does not hold; None where it holds."""
ROUTE_KINDS: Final = ("HTTPRoute", "GRPCRoute")
"""The kinds of routes that are read."""


@dataclass(frozen=True, slots=True)
class ListenerState:
    """A listener with what is said about it.

    Attributes:
        spec: The listener.
        binding: The name by which rules are bound to it.
        kinds: The kinds of routes that it takes.
        secret: Its Secret, by the name that it has in the translated Gateway.
        secret_namespaces: Namespaces of the Secrets that it may use.
        accepted: Why it is not carried out.
        conflicted: With what it cannot be together.
        resolved: Which reference leads nowhere.
        closed: Whether that reference is needed.
    """

    spec: Listener
    binding: str
    kinds: tuple[str, ...] = ROUTE_KINDS
    secret: str = ""
    secret_namespaces: frozenset[str] = frozenset()
    accepted: Said = None
    conflicted: Said = None
    resolved: Said = None
    closed: bool = False

    @property
    def usable(self) -> bool:
        """Whether a proxy opens it."""
        return not (self.accepted or self.conflicted or self.closed)

    @property
    def host(self) -> str:
        """Its host; ``*`` for every one."""
        return self.spec.hostname or "*"


@dataclass
class Secrets:
    """The Secrets of one Gateway.

    Attributes:
        grants: The references that are allowed.
        known: All Secrets that are known.
        home: Namespace of the Gateway's pods.
        used: Those that it uses, by the names that they have in the translated Gateway.
    """

    grants: Grants
    known: Mapping[ServiceKey, Credential]
    home: str
    used: dict[str, ServiceKey] = field(default_factory=dict)

    def find(self, path: str, ref: SecretRef, namespace: str) -> tuple[str, Said, bool]:
        """Return the name of a Secret in the translated Gateway, what is wrong, and whether it may be read.

        Args:
            path: Of the reference.
            ref: The reference.
            namespace: Of the Gateway.
        """
        key = (ref.namespace or namespace, ref.name)
        if ref.group not in {"", "core"} or ref.kind != "Secret":
            return "", ("InvalidCertificateRef", f"{path}: {ref.kind} is no Secret: write a Secret"), False
        if not self.grants.permit(("Gateway", namespace), "Secret", key):
            text = (
                f"{path}: Secret {key[1]} is in namespace {key[0]}, which has no ReferenceGrant for it: add one there"
            )
            return "", ("RefNotPermitted", text), False
        found = self.known.get(key)
        if found is None or found.problem or not found.chain:
            what = (
                (found.problem or "it has no tls.crt and tls.key") if found else "there is none, or it may not be read"
            )
            text = f"{path}: Secret {key[0]}/{key[1]}: {what}; the listener is closed until then (docs/gateway-api.md)"
            return "", ("InvalidCertificateRef", text), True
        # "~" is in no object's name, so that a name from elsewhere is never taken for one of the pods' own namespace.
        name = key[1] if key[0] == self.home else f"{key[1]}~{key[0]}"
        self.used[name] = key
        return name, None, True


def read_listeners(
    rule: Rule[StandardGatewaySpec], spec: StandardGatewaySpec, secrets: Secrets
) -> tuple[ListenerState, ...]:
    """Return the listeners of a Gateway with what is said about each."""
    hosts = Counter((x.port, x.hostname) for x in spec.listeners)
    protocols: dict[int, set[str]] = {}
    for listener in spec.listeners:
        protocols.setdefault(listener.port, set()).add(listener.protocol)
    found = []
    for listener in spec.listeners:
        path = f"spec.listeners[{listener.name}]"
        state = _read(ListenerState(listener, bound_to(rule.ref, listener.name)), path, rule.ref.namespace, secrets)
        if len(protocols[listener.port]) > 1:
            names = " and ".join(sorted(protocols[listener.port]))
            text = f"{path}.port: {listener.port} has {names}: give each a port of its own"
            state = replace(state, conflicted=("ProtocolConflict", text))
        elif hosts[listener.port, listener.hostname] > 1:
            text = f"{path}.hostname: port {listener.port} has several listeners for it: keep one"
            state = replace(state, conflicted=("HostnameConflict", text))
        found.append(state)
    return tuple(found)


def _read(state: ListenerState, path: str, namespace: str, secrets: Secrets) -> ListenerState:
    listener = state.spec
    if listener.protocol not in {"HTTP", "HTTPS"}:
        text = f"{path}.protocol: {listener.protocol} is not implemented: write HTTP or HTTPS"
        return replace(state, kinds=(), accepted=("UnsupportedProtocol", text))
    tls = listener.tls
    if listener.protocol == "HTTPS" and (tls is None or tls.mode != "Terminate"):
        text = f"{path}.tls.mode: only Terminate is implemented: write it, and certificateRefs"
        return replace(state, kinds=(), accepted=("UnsupportedProtocol", text))
    kinds = listener.allowed_routes.kinds
    if kinds:
        known = tuple(k.kind for k in kinds if k.group == GATEWAY_API_GROUP and k.kind in ROUTE_KINDS)
        state = replace(state, kinds=tuple(dict.fromkeys(known)))
        if len(known) < len(kinds):
            text = f"{path}.allowedRoutes.kinds: only {' and '.join(ROUTE_KINDS)} are implemented: remove the others"
            state = replace(state, resolved=("InvalidRouteKinds", text), closed=not known)
    return _secured(state, path, namespace, secrets) if listener.protocol == "HTTPS" and tls else state


def _secured(state: ListenerState, path: str, namespace: str, secrets: Secrets) -> ListenerState:
    refs = state.spec.tls.certificate_refs if state.spec.tls else ()
    if len(refs) != 1:
        text = f"{path}.tls.certificateRefs: write one Secret; {len(refs)} are not implemented"
        return replace(state, resolved=("InvalidCertificateRef", text), closed=True)
    name, said, permitted = secrets.find(f"{path}.tls.certificateRefs[0]", refs[0], namespace)
    spaces = frozenset({refs[0].namespace or namespace}) if permitted else frozenset[str]()
    if said:
        return replace(state, resolved=said, closed=True, secret_namespaces=spaces)
    return replace(state, secret=name, secret_namespaces=spaces)


def admits(state: ListenerState, own: str, kind: str, namespace: str, labels: Mapping[str, Mapping[str, str]]) -> bool:
    """Say whether a listener takes routes of a kind in a namespace.

    Args:
        state: The listener.
        own: The Gateway's namespace.
        kind: Of the route.
        namespace: Of the route.
        labels: Labels of all namespaces.
    """
    allowed = state.spec.allowed_routes.namespaces
    if kind not in state.kinds:
        return False
    if allowed.from_ == "Selector":
        return _chosen(allowed.selector, labels.get(namespace, {}))
    return allowed.from_ == "All" or (allowed.from_ == "Same" and namespace == own)


def _chosen(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    if any(labels.get(key) != value for key, value in selector.match_labels.items()):
        return False
    for rule in selector.match_expressions:
        holds = {
            "In": rule.key in labels and labels[rule.key] in rule.values,
            "NotIn": labels.get(rule.key) not in rule.values,
            "Exists": rule.key in labels,
            "DoesNotExist": rule.key not in labels,
        }
        if not holds[rule.operator]:
            return False
    return True


def narrowed(state: ListenerState, hostnames: Sequence[str], others: Iterable[ListenerState]) -> list[str]:
    """Return the hosts of a route at a listener; none where the two share none.

    Requests for a host are the most specific listener's of their port, so what is another's is left out.

    Args:
        state: The listener.
        hostnames: The route's; none is all.
        others: The Gateway's listeners.
    """
    found = {common(state.host, host.lower()) for host in hostnames or ("*",)} - {""}
    apart = [o.host for o in others if o.usable and o.spec.port == state.spec.port and o.host != state.host]
    narrower = [host for host in apart if covers(state.host, host)]
    return sorted(host for host in found if not any(covers(other, host) for other in narrower))
