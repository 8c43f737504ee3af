"""From RequestAuthentications to the tokens that one workload takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mesh.api.requestauthentication import RequestAuthenticationSpec
from mesh.ir.authz import JwtRule
from mesh.resolve.keysets import usable_keys
from mesh.resolve.problems import Problem
from mesh.resolve.rules import read_rule
from mesh.resolve.selection import Selection, selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesh.api import requestauthentication as api
    from mesh.ir.services import Service, ServiceKey, Workload
    from mesh.resolve.problems import Ref
    from mesh.resolve.rules import Rule

__all__ = ["JwtIndex", "key_source", "key_sources", "read_request_authentication"]

_SPACE_DELIMITED = ("permission", "scope")
"""Claims that are lists of words wherever they occur, as in Istio."""


def read_request_authentication(manifest: dict[str, Any]) -> Rule[RequestAuthenticationSpec]:
    """Return a parsed RequestAuthentication."""
    return read_rule({**manifest, "spec": manifest.get("spec") or {}}, RequestAuthenticationSpec)


def key_source(rule: api.JwtRule) -> str | None:
    """Return where the keys of a rule are fetched: a URL, or an issuer whose OpenID configuration names one.

    None for a rule that has them itself.
    """
    return None if rule.jwks else rule.jwks_uri or rule.issuer


def key_sources(rules: Iterable[Rule[RequestAuthenticationSpec]]) -> dict[str, api.JwtRule]:
    """Return all places that keys are fetched from, each with a rule that names it."""
    found = [jwt for rule in rules if rule.spec for jwt in rule.spec.jwt_rules]
    return {source: jwt for jwt in found if (source := key_source(jwt))}


class JwtIndex:
    """All RequestAuthentications, ready to be asked for those of a workload.

    A resource that cannot be read changes nothing: requests then have no token, and policies that ask for one refuse them.

    Args:
        rules: All of them.
        services: All Services, for targets.
        keys: What was fetched, by source.
        errors: Why it could not be fetched, by source. A rule whose keys were neither fetched nor refused yet waits.

    Attributes:
        problems: What their authors should be told.
    """

    def __init__(
        self,
        rules: Iterable[Rule[RequestAuthenticationSpec]],
        services: Mapping[ServiceKey, Service],
        keys: Mapping[str, str],
        errors: Mapping[str, str],
    ) -> None:
        self._rules: list[tuple[Selection, tuple[JwtRule, ...]]] = []
        problems: list[Problem] = []
        for rule in sorted(rules, key=lambda r: (r.ref.namespace, r.ref.name)):
            problems += rule.problems
            if rule.spec is None:
                continue
            chosen, wrong = selection(rule.spec, rule.ref, services)
            problems += wrong
            problems += [
                Problem(
                    rule.ref,
                    "Invalid",
                    f"spec.jwtRules[{index}].jwks: no key in it can be used: every token is refused",
                )
                for index, jwt in enumerate(rule.spec.jwt_rules)
                if jwt.jwks and not usable_keys(jwt.jwks)
            ]
            problems += [_unfetched(rule.ref, index, jwt, keys, errors) for index, jwt in _failing(rule.spec, errors)]
            ready = [jwt for jwt in rule.spec.jwt_rules if (key_source(jwt) or "") in {"", *keys, *errors}]
            self._rules.append((chosen, tuple(_resolve(jwt, keys) for jwt in ready)))
        self.problems = tuple(problems)

    def of(self, workload: Workload) -> tuple[JwtRule, ...]:
        """Return the rules that apply to a pod, by issuer."""
        found = [jwt for chosen, rules in self._rules if chosen.chooses(workload) for jwt in rules]
        return tuple(sorted(dict.fromkeys(found), key=lambda jwt: jwt.issuer))


def _failing(spec: RequestAuthenticationSpec, errors: Mapping[str, str]) -> list[tuple[int, api.JwtRule]]:
    return [(index, jwt) for index, jwt in enumerate(spec.jwt_rules) if key_source(jwt) in errors]


def _unfetched(ref: Ref, index: int, jwt: api.JwtRule, keys: Mapping[str, str], errors: Mapping[str, str]) -> Problem:
    source = key_source(jwt) or ""
    effect = "the last known keys are used" if source in keys else "every token is refused"
    field = "jwksUri" if jwt.jwks_uri else "issuer"
    text = f"spec.jwtRules[{index}].{field}: the keys cannot be fetched, {effect}: {errors[source]}"
    return Problem(ref, "KeysNotFetched", text)


def _resolve(rule: api.JwtRule, keys: Mapping[str, str]) -> JwtRule:
    source = key_source(rule)
    return JwtRule(
        issuer=rule.issuer,
        audiences=rule.audiences,
        jwks=usable_keys(rule.jwks or (keys.get(source, "") if source else "")),
        from_headers=tuple((h.name, h.prefix) for h in rule.from_headers),
        from_params=rule.from_params,
        from_cookies=rule.from_cookies,
        payload_header=rule.output_payload_to_header or "",
        forward=rule.forward_original_token,
        claim_headers=tuple((c.header, c.claim) for c in rule.output_claim_to_headers),
        space_delimited=tuple(sorted({*_SPACE_DELIMITED, *rule.space_delimited_claims})),
    )
