"""Whether a request would pass a workload's policies, and which rule decides: what Envoy does, as a function."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mesh.ir.authz import request_principal_parts, template_regex
from mesh.ir.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mesh.ir.authz import Authorization, AuthzPolicy, AuthzRule, Clause, Condition, Pattern

__all__ = ["Decision", "Request", "decide"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request, or a connection that is not HTTP, as it reaches a workload.

    Attributes:
        principal: Of the peer's certificate, without ``spiffe://``; None over plaintext.
        source_ip: Of the connection.
        remote_ip: Of the client.
        host: The Host header.
        method: The method.
        path: The path, without query.
        headers: Further headers, by name in lower case.
        claims: Of the token; None without one.
        address: IP of the workload.
        port: The application's port.
        sni: Server name of the TLS handshake.
        protocol: ``tcp`` for a connection that is not HTTP.
    """

    principal: str | None = None
    source_ip: str = "127.0.0.1"
    remote_ip: str = "127.0.0.1"
    host: str = ""
    method: str = "GET"
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    claims: Mapping[str, Any] | None = None
    address: str = "127.0.0.1"
    port: int = 8080
    sni: str = ""
    protocol: Literal["http", "tcp"] = "http"


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a request.

    Attributes:
        reason: One sentence.
        rule: The rule that decided; empty where none did.
        audited: The rules that audit it.
        allowed: Whether it passes.
    """

    reason: str
    rule: str
    audited: tuple[str, ...]
    allowed: bool


def decide(authorization: Authorization, request: Request) -> Decision:
    """Return what becomes of a request under all policies of a workload."""
    held = authorization if request.protocol == "http" else authorization.on_tcp()
    audited = tuple(rule.name for rule in _matching(held.of("AUDIT"), request))
    denying, allowing = held.of("DENY"), held.of("ALLOW")
    if rule := next(_matching(denying, request), None):
        return Decision(f"denied by {rule.name}", rule.name, audited, allowed=False)
    if not allowing:
        return Decision("allowed: no policy denies it, and there is none that allows", "", audited, allowed=True)
    if rule := next(_matching(allowing, request), None):
        return Decision(f"allowed by {rule.name}", rule.name, audited, allowed=True)
    names = ", ".join(f"{p.namespace}/{p.name}" for p in allowing)
    return Decision(f"denied: none of the policies that allow matches it ({names})", "", audited, allowed=False)


def _matching(policies: Iterable[AuthzPolicy], request: Request) -> Iterator[AuthzRule]:
    """Return the rules that match, in Envoy's order."""
    rules = sorted((rule for policy in policies for rule in policy.rules), key=lambda rule: rule.name)
    return (rule for rule in rules if _matches(rule, request))


def _matches(rule: AuthzRule, request: Request) -> bool:
    return (
        any(_all(clause, request) for clause in rule.sources)
        and any(_all(clause, request) for clause in rule.operations)
        and _all(rule.when, request)
    )


def _all(clause: Clause, request: Request) -> bool:
    return all(_holds(condition, request) for condition in clause)


def _holds(condition: Condition, request: Request) -> bool:
    return any(_one(condition, pattern, request) for pattern in condition.patterns) is not condition.negated


def _one(condition: Condition, pattern: Pattern, request: Request) -> bool:
    match condition.attribute:
        case "claim":
            return _claim(request, condition.name, pattern)
        case "request.principal":
            issuer, subject = request_principal_parts(pattern)
            return _claim(request, ("iss",), issuer) and _claim(request, ("sub",), subject)
        case _:
            value = _value(condition, request)
            return value is not None and _compare(pattern, value)


def _value(condition: Condition, request: Request) -> str | None:
    """Return an attribute that is one text; None where the request does not have it."""
    match condition.attribute:
        case "principal":
            return request.principal
        case "namespace":
            identity = _identity(request)
            return identity.namespace if identity else None
        case "account":
            identity = _identity(request)
            return f"{identity.namespace}/{identity.service_account}" if identity else None
        case "header":
            return request.headers.get(condition.name[0])
        case "host":
            return request.host.lower()
        case _:
            known = {
                "source.ip": request.source_ip,
                "remote.ip": request.remote_ip,
                "destination.ip": request.address,
                "destination.port": str(request.port),
                "method": request.method,
                "path": request.path,
                "sni": request.sni,
            }
            return known[condition.attribute]


def _identity(request: Request) -> Identity | None:
    return Identity.parse(f"spiffe://{request.principal}") if request.principal else None


def _claim(request: Request, path: tuple[str, ...], pattern: Pattern) -> bool:
    value: Any = request.claims
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return False
        value = value[name]
    found = value if isinstance(value, list) else [value]
    return any(isinstance(text, str) and _compare(pattern, text) for text in found)


def _compare(pattern: Pattern, value: str) -> bool:
    match pattern.kind:
        case "exact":
            return value == pattern.value
        case "prefix":
            return value.startswith(pattern.value)
        case "suffix":
            return value.endswith(pattern.value)
        case "present":
            return value != ""
        case "template":
            return re.fullmatch(template_regex(pattern.value), value) is not None
        case "block":
            return ipaddress.ip_address(value) in ipaddress.ip_network(pattern.value, strict=False)
