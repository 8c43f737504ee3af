"""VirtualServices, DestinationRules and TrafficSplits, parsed, and which of several for one host is used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from mesh.api.destinationrule import DestinationRuleSpec
from mesh.api.istio import unimplemented
from mesh.api.peerauthentication import PeerAuthenticationSpec
from mesh.api.serviceentry import ServiceEntrySpec
from mesh.api.sidecar import SidecarSpec
from mesh.api.trafficsplit import TrafficSplitSpec
from mesh.api.virtualservice import VirtualServiceSpec
from mesh.resolve.drchecks import check_destination_rule
from mesh.resolve.externals import check_service_entry
from mesh.resolve.hosts import service_key
from mesh.resolve.problems import Problem, Ref, ref_of
from mesh.resolve.vschecks import check_virtual_service

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

    from mesh.ir.services import ServiceKey

__all__ = [
    "Rule",
    "RuleIndex",
    "index_rules",
    "read_destination_rule",
    "read_peer_authentication",
    "read_rule",
    "read_service_entry",
    "read_sidecar",
    "read_traffic_split",
    "read_virtual_service",
]

SpecT = TypeVar("SpecT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Rule(Generic[SpecT]):
    """A resource with its parsed spec.

    Attributes:
        ref: The object.
        created: Its creation time, RFC 3339; of two for one host the older is used.
        generation: ``metadata.generation``.
        spec: The parsed spec; None when it is not valid.
        problems: What is wrong with it or not implemented.
        annotations: Its annotations, sorted.
    """

    ref: Ref
    created: str
    generation: int
    spec: SpecT | None
    problems: tuple[Problem, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()


def read_virtual_service(manifest: dict[str, Any]) -> Rule[VirtualServiceSpec]:
    """Return a parsed VirtualService."""
    rule = read_rule(manifest, VirtualServiceSpec)
    if rule.spec is None:
        return rule
    told = tuple(Problem(rule.ref, reason, text) for reason, text in check_virtual_service(rule.spec))
    return replace(rule, problems=(*rule.problems, *told))


def read_destination_rule(manifest: dict[str, Any]) -> Rule[DestinationRuleSpec]:
    """Return a parsed DestinationRule."""
    rule = read_rule(manifest, DestinationRuleSpec)
    said = check_destination_rule(rule.spec, dict(rule.annotations)) if rule.spec else ()
    return replace(rule, problems=(*rule.problems, *(Problem(rule.ref, reason, text) for reason, text in said)))


def read_peer_authentication(manifest: dict[str, Any]) -> Rule[PeerAuthenticationSpec]:
    """Return a parsed PeerAuthentication."""
    return read_rule(manifest, PeerAuthenticationSpec)


def read_service_entry(manifest: dict[str, Any]) -> Rule[ServiceEntrySpec]:
    """Return a parsed ServiceEntry."""
    rule = read_rule(manifest, ServiceEntrySpec)
    said = check_service_entry(rule.spec) if rule.spec else ()
    return replace(rule, problems=(*rule.problems, *(Problem(rule.ref, reason, text) for reason, text in said)))


def read_sidecar(manifest: dict[str, Any]) -> Rule[SidecarSpec]:
    """Return a parsed Sidecar."""
    return read_rule(manifest, SidecarSpec)


def read_traffic_split(manifest: dict[str, Any]) -> Rule[TrafficSplitSpec]:
    """Return a parsed TrafficSplit."""
    return read_rule(manifest, TrafficSplitSpec)


def read_rule(manifest: dict[str, Any], model: type[SpecT]) -> Rule[SpecT]:
    """Return a resource parsed by its model."""
    meta, ref = manifest["metadata"], ref_of(manifest)
    created, generation = meta.get("creationTimestamp") or "", meta.get("generation", 0)
    try:
        spec = model.model_validate(manifest.get("spec", {}))
    except ValidationError as error:
        problems = tuple(
            Problem(ref, "Invalid", _sentence(e["loc"], e["msg"].removeprefix("Value error, ")))
            for e in error.errors(include_url=False, include_context=False, include_input=False)
        )
        return Rule(ref, created, generation, None, problems)
    unknown = tuple(
        Problem(ref, "NotImplemented", f"{path} is not implemented by Coalmine's mesh and has no effect: remove it")
        for path in unimplemented(spec)
    )
    annotations = tuple(sorted((meta.get("annotations") or {}).items()))
    return Rule(ref, created, generation, spec, unknown, annotations)


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    """Return the message with its field; our own validators name it themselves."""
    path = "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return message if message.startswith("spec.") else f"{path}: {message}"


class RuleIndex(Generic[SpecT]):
    """Rules by the namespace they are in and the host they are about."""

    def __init__(self, rules: Mapping[tuple[str, ServiceKey], Rule[SpecT]], problems: tuple[Problem, ...]) -> None:
        self._rules = rules
        self.problems = problems

    def find(self, caller: str, host: ServiceKey) -> Rule[SpecT] | None:
        """Return the rule for callers in a namespace: the one in their own, or else the one in the Service's."""
        return self._rules.get((caller, host)) or self._rules.get((host[0], host))

    def externals(self, caller: str) -> list[str]:
        """Return the hosts that are no Services and that callers in the namespace have a rule for, sorted."""
        return sorted({host for (namespace, (of, host)) in self._rules if not of and namespace == caller})


def index_rules(
    rules: Iterable[Rule[SpecT]], hosts: Callable[[SpecT], Iterable[str]], known: Container[ServiceKey]
) -> RuleIndex[SpecT]:
    """Return the rules by host; of several for one host in one namespace the oldest is used, and the others are told.

    Args:
        rules: All of a kind.
        hosts: The host names of a spec.
        known: All Services.
    """
    chosen: dict[tuple[str, ServiceKey], Rule[SpecT]] = {}
    problems: list[Problem] = []
    for rule in sorted(rules, key=lambda r: (r.created, r.ref)):
        if rule.spec is None:
            continue
        for host in dict.fromkeys(hosts(rule.spec)):
            key = (rule.ref.namespace, service_key(host, rule.ref.namespace, known))
            first = chosen.setdefault(key, rule)
            if first is not rule:
                text = f"host {host} has an older {rule.ref.kind}, {first.ref.name}, which is used: merge the two"
                problems.append(Problem(rule.ref, "Shadowed", text))
    return RuleIndex(chosen, tuple(problems))
