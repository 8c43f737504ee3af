"""From AuthorizationPolicies to what holds for one workload.

Nothing that is wrong or not implemented ever lets more requests through than its author wrote: a rule that allows is left
out, one that denies is kept without the part, and a policy that cannot be read allows nothing or denies everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from mesh.api.authorizationpolicy import DRY_RUN_ANNOTATION, AuthorizationPolicySpec
from mesh.api.istio import unimplemented
from mesh.api.security import WorkloadSelector
from mesh.ir.authz import Attribute, Authorization, AuthzPolicy, AuthzRule, Clause, Condition, Pattern
from mesh.resolve.problems import Problem
from mesh.resolve.rules import Rule, read_rule
from mesh.resolve.selection import Selection, selection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mesh.api import authorizationpolicy as api
    from mesh.ir.authz import Action
    from mesh.ir.services import Service, ServiceKey, Workload

__all__ = ["AuthzIndex", "PolicyRule", "read_authorization_policy"]

_KEYS: Final[dict[str, Attribute]] = {
    "source.ip": "source.ip",
    "remote.ip": "remote.ip",
    "source.namespace": "namespace",
    "source.principal": "principal",
    "source.serviceAccount": "account",
    "request.auth.principal": "request.principal",
    "destination.ip": "destination.ip",
    "destination.port": "destination.port",
    "connection.sni": "sni",
}
_CLAIMS: Final = {"request.auth.audiences": "aud", "request.auth.presenter": "azp"}


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """An AuthorizationPolicy as it was written.

    Attributes:
        rule: It, parsed.
        salvaged: Of one that cannot be parsed, what tells whom it is for and what it does.
        dry_run: It decides nothing.
    """

    rule: Rule[AuthorizationPolicySpec]
    salvaged: AuthorizationPolicySpec | None = None
    dry_run: bool = False

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with it or not implemented, whatever else is in the cluster."""
        found = [*self.rule.problems, *(self._problem("NotImplemented", text) for text in self._unimplemented())]
        if self.salvaged:
            effect = "denies everything" if self.salvaged.action in {"DENY", "CUSTOM"} else "matches no request"
            found.append(self._problem("Invalid", f"spec: until it is corrected the policy applies and {effect}"))
        return tuple(found)

    def _problem(self, reason: str, text: str) -> Problem:
        return Problem(self.rule.ref, reason, text)

    def _unimplemented(self) -> Iterator[str]:
        spec = self.rule.spec or self.salvaged
        if self.dry_run:
            yield f"metadata.annotations[{DRY_RUN_ANNOTATION}]: the policy decides nothing, and no dry run is reported"
        elif spec and spec.action == "CUSTOM":
            yield "spec.action: CUSTOM is not implemented: what the rules match is denied, since nobody can be asked"
        for index, rule in enumerate(self.rule.spec.rules if self.rule.spec else ()):
            for at, when in enumerate(rule.when):
                if _attribute(when) is None:
                    yield f"spec.rules[{index}].when[{at}].key: {when.key} is not implemented"
            if spec and spec.action == "ALLOW" and _partial(rule):
                yield f"spec.rules[{index}]: a part of it is not implemented, so it allows nothing"


def read_authorization_policy(manifest: dict[str, Any]) -> PolicyRule:
    """Return a parsed AuthorizationPolicy."""
    annotations = manifest["metadata"].get("annotations") or {}
    dry_run = str(annotations.get(DRY_RUN_ANNOTATION, "")).lower() == "true"
    rule = read_rule({**manifest, "spec": manifest.get("spec") or {}}, AuthorizationPolicySpec)
    salvaged = _salvage(manifest.get("spec")) if rule.spec is None else None
    return PolicyRule(rule, salvaged, dry_run)


def _salvage(spec: Any) -> AuthorizationPolicySpec:
    """Return selector and action of a spec that is not valid; what cannot be read is taken for the strictest."""
    spec = spec if isinstance(spec, dict) else {}
    selector: WorkloadSelector | None = None
    try:
        selector = WorkloadSelector.model_validate(spec.get("selector") or {})
    except ValidationError:
        selector = None
    action = spec.get("action")
    known = isinstance(action, str) and action in {"DENY", "AUDIT", "CUSTOM"}
    return AuthorizationPolicySpec(selector=selector, action=action if known else "ALLOW")


class AuthzIndex:
    """All AuthorizationPolicies, ready to be asked for those of a workload.

    Args:
        policies: All of them.
        services: All Services, for targets.

    Attributes:
        problems: What their authors should be told.
    """

    def __init__(self, policies: Iterable[PolicyRule], services: Mapping[ServiceKey, Service]) -> None:
        self._policies: list[tuple[Selection, AuthzPolicy]] = []
        problems: list[Problem] = []
        for policy in sorted(policies, key=lambda p: (p.rule.ref.namespace, p.rule.ref.name)):
            problems += policy.problems
            spec = policy.rule.spec or policy.salvaged
            if spec is None:
                continue
            chosen, wrong = selection(spec, policy.rule.ref, services)
            problems += wrong
            if not policy.dry_run:
                self._policies.append((chosen, _resolve(policy, spec)))
        self.problems = tuple(problems)

    def of(self, workload: Workload) -> Authorization:
        """Return the policies that apply to a pod, those of the whole mesh among them."""
        return Authorization(tuple(policy for chosen, policy in self._policies if chosen.chooses(workload)))


def _resolve(policy: PolicyRule, spec: AuthorizationPolicySpec) -> AuthzPolicy:
    ref = policy.rule.ref
    name = f"ns[{ref.namespace}]-policy[{ref.name}]"
    action: Action = "DENY" if spec.action == "CUSTOM" else spec.action
    if policy.rule.spec is None:
        everything = (AuthzRule(f"{name}-rule[0]"),) if action == "DENY" else ()
        return AuthzPolicy(ref.namespace, ref.name, action, everything, "it is not valid")
    note = "CUSTOM is not implemented, so it denies" if spec.action == "CUSTOM" else ""
    rules = [
        _rule(f"{name}-rule[{index}]", rule, ref.namespace)
        for index, rule in enumerate(spec.rules)
        if action != "ALLOW" or not _partial(rule)
    ]
    return AuthzPolicy(ref.namespace, ref.name, action, tuple(rules), note)


def _partial(rule: api.Rule) -> bool:
    """Say whether the mesh does not understand all of a rule."""
    return bool(unimplemented(rule)) or any(_attribute(w) is None for w in rule.when)


def _rule(name: str, rule: api.Rule, namespace: str) -> AuthzRule:
    return AuthzRule(
        name=name,
        sources=tuple(_source(entry.source, namespace) for entry in rule.from_) or ((),),
        operations=tuple(_operation(entry.operation) for entry in rule.to) or ((),),
        when=tuple(c for when in rule.when for c in _when(when, namespace)),
    )


def _source(source: api.Source, namespace: str) -> Clause:
    return (
        *_both("principal", source.principals, source.not_principals),
        *_both("request.principal", source.request_principals, source.not_request_principals),
        *_both("namespace", source.namespaces, source.not_namespaces),
        *_both("account", source.service_accounts, source.not_service_accounts, namespace=namespace),
        *_both("source.ip", source.ip_blocks, source.not_ip_blocks),
        *_both("remote.ip", source.remote_ip_blocks, source.not_remote_ip_blocks),
    )


def _operation(operation: api.Operation) -> Clause:
    return (
        *_both("host", operation.hosts, operation.not_hosts),
        *_both("method", operation.methods, operation.not_methods),
        *_both("path", operation.paths, operation.not_paths),
        *_both("destination.port", operation.ports, operation.not_ports),
    )


def _attribute(when: api.Condition) -> tuple[Attribute, tuple[str, ...]] | None:
    """Return what a condition is about, with the header's or claim's name; None for what the mesh does not know."""
    if when.header:
        return "header", (when.header,)
    if when.claim:
        return "claim", when.claim
    if when.key in _CLAIMS:
        return "claim", (_CLAIMS[when.key],)
    return (_KEYS[when.key], ()) if when.key in _KEYS else None


def _when(when: api.Condition, namespace: str) -> Clause:
    known = _attribute(when)
    if known is None:
        return ()
    attribute, name = known
    return _both(attribute, when.values, when.not_values, name=name, namespace=namespace)


def _both(
    attribute: Attribute,
    values: tuple[str, ...],
    not_values: tuple[str, ...],
    *,
    name: tuple[str, ...] = (),
    namespace: str = "",
) -> Clause:
    """Return the conditions of a field and of its negation."""
    return tuple(
        Condition(attribute, tuple(_pattern(attribute, v, namespace) for v in found), negated, name)
        for found, negated in ((values, False), (not_values, True))
        if found
    )


def _pattern(attribute: Attribute, value: str, namespace: str) -> Pattern:
    match attribute:
        case "source.ip" | "remote.ip" | "destination.ip":
            return Pattern("block", value)
        case "destination.port":
            return Pattern("exact", str(int(value)))
        case "account":
            return Pattern("exact", value if "/" in value else f"{namespace}/{value}")
        case "path" if "{*}" in value or "{**}" in value:
            return Pattern("template", value)
        case "host":
            return _text(value.lower())
        case _:
            return _text(value)


def _text(value: str) -> Pattern:
    if value == "*":
        return Pattern("present")
    if value.startswith("*"):
        return Pattern("suffix", value[1:])
    return Pattern("prefix", value[:-1]) if value.endswith("*") else Pattern("exact", value)
