"""Who may send which requests to a workload, and which tokens it takes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

__all__ = [
    "HTTP_ONLY",
    "Action",
    "Attribute",
    "Authorization",
    "AuthzPolicy",
    "AuthzRule",
    "Clause",
    "Condition",
    "JwtRule",
    "Pattern",
    "request_principal_parts",
    "template_regex",
]

Action = Literal["ALLOW", "DENY", "AUDIT"]
Attribute = Literal[
    "principal",  # cluster.local/ns/<namespace>/sa/<account>, from the peer's certificate
    "namespace",  # its part
    "account",  # its parts, as <namespace>/<account>
    "source.ip",  # of the connection
    "remote.ip",  # of the client, from X-Forwarded-For where that is trusted
    "request.principal",  # <issuer>/<subject> of the token
    "claim",  # of the token, by path
    "header",
    "host",
    "method",
    "path",
    "destination.ip",
    "destination.port",
    "sni",
]
HTTP_ONLY: Final[frozenset[Attribute]] = frozenset({"request.principal", "claim", "header", "host", "method", "path"})


@dataclass(frozen=True, slots=True)
class Pattern:
    """How a value is compared.

    Attributes:
        kind: ``present`` is any value but an empty one; ``template`` is a path with ``{*}`` or ``{**}``; ``block`` is a
            block of addresses.
        value: The text; for a block, in CIDR notation.
    """

    kind: Literal["exact", "prefix", "suffix", "present", "template", "block"]
    value: str = ""


@dataclass(frozen=True, slots=True)
class Condition:
    """One of the patterns holds for an attribute of the request; negated: none of them does.

    Attributes:
        attribute: What is compared.
        patterns: With what; at least one.
        negated: Whether none may hold.
        name: The header's name in lower case, or the claim's path.
    """

    attribute: Attribute
    patterns: tuple[Pattern, ...]
    negated: bool = False
    name: tuple[str, ...] = ()


Clause = tuple[Condition, ...]
"""All of them hold."""


@dataclass(frozen=True, slots=True)
class AuthzRule:
    """A rule of a policy: one of the sources, one of the operations and all further conditions hold.

    Attributes:
        name: ``ns[shop]-policy[payment]-rule[0]``, as it is in Envoy's logs.
        sources: Alternatives; never empty, but a clause in it may be, which then always holds.
        operations: Alternatives, likewise.
        when: Further conditions.
    """

    name: str
    sources: tuple[Clause, ...] = ((),)
    operations: tuple[Clause, ...] = ((),)
    when: Clause = ()


@dataclass(frozen=True, slots=True)
class AuthzPolicy:
    """An AuthorizationPolicy that applies to a workload.

    Attributes:
        namespace: Its namespace.
        name: Its name.
        action: What it does with requests that match.
        rules: One must match.
        note: Why it does something else than what it says; empty when it does not.
    """

    namespace: str
    name: str
    action: Action
    rules: tuple[AuthzRule, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Authorization:
    """All policies of a workload, in a fixed order.

    A request is let through when no policy that denies matches it, and one that allows does or there is none.
    """

    policies: tuple[AuthzPolicy, ...] = ()

    def of(self, action: Action) -> tuple[AuthzPolicy, ...]:
        """Return the policies with this action."""
        return tuple(p for p in self.policies if p.action == action)

    def on_tcp(self) -> Authorization:
        """Return what holds for connections that are not HTTP, of which most cannot be known.

        As Istio documents it: a rule that allows and asks for something of HTTP never matches, one that denies or
        audits matches whatever it would be.
        """
        return Authorization(tuple(replace(p, rules=_rules_on_tcp(p)) for p in self.policies))


def _rules_on_tcp(policy: AuthzPolicy) -> tuple[AuthzRule, ...]:
    if policy.action == "ALLOW":
        return tuple(r for r in policy.rules if not any(c.attribute in HTTP_ONLY for c in _conditions(r)))
    return tuple(
        replace(
            rule,
            sources=tuple(_known_on_tcp(c) for c in rule.sources),
            operations=tuple(_known_on_tcp(c) for c in rule.operations),
            when=_known_on_tcp(rule.when),
        )
        for rule in policy.rules
    )


def _conditions(rule: AuthzRule) -> list[Condition]:
    return [condition for clause in (*rule.sources, *rule.operations, rule.when) for condition in clause]


def _known_on_tcp(clause: Clause) -> Clause:
    return tuple(c for c in clause if c.attribute not in HTTP_ONLY)


@dataclass(frozen=True, slots=True)
class JwtRule:
    """Tokens of one issuer that a workload takes.

    Attributes:
        issuer: The claim ``iss``.
        audiences: One of them must be in ``aud``; none asks for none.
        jwks: The JSON Web Key Set; empty when it is not known, and then every token is refused.
        from_headers: Header and prefix that carry a token; without any source of tokens ``Authorization: Bearer``.
        from_params: Query parameters that do.
        from_cookies: Cookies that do.
        payload_header: Header that passes on the payload, base64url; empty for none.
        forward: The token itself is passed on.
        claim_headers: Header and claim that are passed on.
        space_delimited: Claims whose words are compared one by one.
    """

    issuer: str
    audiences: tuple[str, ...] = ()
    jwks: str = ""
    from_headers: tuple[tuple[str, str], ...] = ()
    from_params: tuple[str, ...] = ()
    from_cookies: tuple[str, ...] = ()
    payload_header: str = ""
    forward: bool = False
    claim_headers: tuple[tuple[str, str], ...] = ()
    space_delimited: tuple[str, ...] = ()


def request_principal_parts(pattern: Pattern) -> tuple[Pattern, Pattern]:
    """Return how the issuer and the subject of a token are compared; an issuer may have slashes of its own."""
    before, slash, after = pattern.value.rpartition("/")
    anything = Pattern("present")
    if pattern.kind == "present":
        return anything, anything
    if not slash:
        return {
            "suffix": (anything, pattern),
            "prefix": (pattern, anything),
        }.get(pattern.kind, (pattern, Pattern("exact")))
    if pattern.kind == "suffix":
        return Pattern("suffix", before) if before else anything, Pattern("exact", after)
    if pattern.kind == "prefix":
        return Pattern("exact", before), Pattern("prefix", after) if after else anything
    return Pattern("exact", before), Pattern("exact", after)


def template_regex(template: str) -> str:
    """Return the regular expression of a path with ``{*}`` (one part) and ``{**}`` (any number of parts)."""
    known = {"{*}": "[^/]+", "{**}": ".*"}
    return "/".join(known.get(segment, re.escape(segment)) for segment in template.split("/"))
