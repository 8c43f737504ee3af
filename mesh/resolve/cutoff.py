"""Who would be cut off if only mutual TLS were taken, as far as was observed, and what bridges it. Pure."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mesh.api.peerauthentication import MutualTls, PeerAuthenticationSpec
from mesh.api.security import SECURITY_GROUP
from mesh.resolve.peers import ROOT_NAMESPACES, index_peers
from mesh.resolve.problems import Problem, Ref
from mesh.resolve.rules import Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mesh.api.plaintext import PlaintextCall, PlaintextReport
    from mesh.ir.identity import MtlsMode
    from mesh.ir.services import Workload
    from mesh.resolve.world import World

__all__ = ["CutOff", "bridges", "cut_off", "refusals", "strict", "with_rules"]

_VERSION: Final = f"{SECURITY_GROUP}/v1"
_Rules = tuple[Rule[PeerAuthenticationSpec], ...]


@dataclass(frozen=True, slots=True)
class CutOff:
    """A caller that would be, or is, refused.

    Attributes:
        call: What was seen of it.
        now: What the port takes now.
        pod: One of the pods that it calls.
        rule: What makes it STRICT.
    """

    call: PlaintextCall
    now: MtlsMode
    pod: Workload
    rule: Ref

    @property
    def already(self) -> bool:
        """It is refused as things stand."""
        return self.now == "STRICT"


def strict(namespace: str | None) -> Rule[PeerAuthenticationSpec]:
    """Return the PeerAuthentication that makes a namespace, or the whole mesh, STRICT."""
    ref = Ref(_VERSION, "PeerAuthentication", namespace or ROOT_NAMESPACES[0], "default", "")
    return Rule(ref, "", 0, PeerAuthenticationSpec(mtls=MutualTls(mode="STRICT")))


def with_rules(present: _Rules, new: Sequence[Rule[PeerAuthenticationSpec]]) -> _Rules:
    """Return the rules after ``new`` are applied.

    One replaces what has its name; one without a selector replaces what is without a selector in its namespace, too,
    since that is what is being asked about.
    """
    names = {(r.ref.namespace, r.ref.name) for r in new}
    wide = {_scope(r) for r in new if not _selects(r)}
    kept = [r for r in present if (r.ref.namespace, r.ref.name) not in names and (_selects(r) or _scope(r) not in wide)]
    return (*kept, *new)


def _scope(rule: Rule[PeerAuthenticationSpec]) -> str:
    """Return the namespace that a rule is about; empty for the whole mesh."""
    return "" if rule.ref.namespace in ROOT_NAMESPACES else rule.ref.namespace


def _selects(rule: Rule[PeerAuthenticationSpec]) -> bool:
    return bool(rule.spec and rule.spec.selector and rule.spec.selector.match_labels)


def cut_off(report: PlaintextReport, world: World, rules: _Rules) -> tuple[CutOff, ...]:
    """Return the callers that the rules would refuse, and those that are refused already.

    A sidecar that speaks plaintext to a port in DISABLE is not among them: it would speak mutual TLS.

    Args:
        report: What was seen.
        world: What is in the cluster.
        rules: The PeerAuthentications as they would be.
    """
    then = index_peers(rules)
    pods = _called(world)
    found = []
    for call in report.calls:
        pod = pods.get((call.namespace, call.kind, call.workload))
        if pod is None or then.mode(pod, call.port) != "STRICT" or (rule := then.rule(pod)) is None:
            continue
        now = world.peers.mode(pod, call.port)
        matters = call.refused if now == "STRICT" else call.taken
        if matters and not (now == "DISABLE" and call.source.sidecar):
            found.append(CutOff(call, now, pod, rule.ref))
    return tuple(found)


def _called(world: World) -> dict[tuple[str, str, str], Workload]:
    """Return a pod with a sidecar for each workload, by namespace, kind and name."""
    pods: dict[tuple[str, str, str], Workload] = {}
    for workload in world.workloads.values():
        if workload.meshed and not workload.gateway:
            pods.setdefault((workload.namespace, *workload.maker), workload)
    return pods


def bridges(found: Iterable[CutOff], world: World, rules: _Rules) -> list[dict[str, Any]]:
    """Return the PeerAuthentications that keep the ports in question open, and nothing else.

    Where the pods have one of their own already, it is that one with the ports added: of two only the older is used.
    """
    then = index_peers(rules)
    by_workload: dict[tuple[str, str, str], list[CutOff]] = defaultdict(list)
    for one in found:
        by_workload[one.call.namespace, one.call.kind, one.call.workload].append(one)
    made: dict[tuple[str, str], dict[str, Any]] = {}
    for (namespace, _, name), several in sorted(by_workload.items()):
        rule = then.rule(several[0].pod)
        if rule is not None and rule.spec is not None and _selects(rule):
            spec = made.get((namespace, rule.ref.name), {}).get("spec") or rule.spec.dump()
            name = rule.ref.name  # noqa: PLW2901 - that one is changed
        else:
            name = f"{name}-still-plaintext"[:253]  # noqa: PLW2901
            spec = {"selector": {"matchLabels": _labels(several[0].pod, world)}}
        made[namespace, name] = {
            "apiVersion": _VERSION,
            "kind": "PeerAuthentication",
            "metadata": {"name": name, "namespace": namespace},
            "spec": _opened(spec, {one.call.port for one in several}),
        }
    return list(made.values())


def _opened(spec: dict[str, Any], ports: set[int]) -> dict[str, Any]:
    """Return a spec with these ports in PERMISSIVE."""
    if 0 in ports:  # undeclared ones have no number to name
        spec = spec | {"mtls": {"mode": "PERMISSIVE"}}
    named = {str(port): {"mode": "PERMISSIVE"} for port in sorted(ports) if port}
    return spec | ({"portLevelMtls": {**spec.get("portLevelMtls", {}), **named}} if named else {})


def _labels(pod: Workload, world: World) -> dict[str, str]:
    """Return labels that choose a pod and its like: those of a Service in front of it, or else its own."""
    own = dict(pod.labels)
    chosen = [
        dict(s.selector)
        for _, s in sorted(world.services.items())
        if s.namespace == pod.namespace and s.selector and dict(s.selector).items() <= own.items()
    ]
    if chosen:
        return min(chosen, key=len)
    return {key: value for key, value in own.items() if "hash" not in key and "job" not in key and "uid" not in key}


def refusals(report: PlaintextReport, world: World, seconds: float) -> tuple[Problem, ...]:
    """Return what the authors of PeerAuthentications should be told: STRICT where plaintext was seen lately.

    Args:
        report: What was seen.
        world: What is in the cluster.
        seconds: How long ago is lately.
    """
    pods = _called(world)
    told: dict[tuple[Ref, str, str], set[str]] = defaultdict(set)
    for call in report.calls:
        pod = pods.get((call.namespace, call.kind, call.workload))
        if pod is None or call.last < report.now - seconds or world.peers.mode(pod, call.port) != "STRICT":
            continue
        if (rule := world.peers.rule(pod)) is not None:
            told[rule.ref, call.kind, call.workload].add(str(call.source))
    return tuple(
        Problem(
            ref,
            "CutsOff",
            f"spec: STRICT refuses callers that were seen to speak plaintext to {kind} {name}: "
            f"{', '.join(sorted(sources))}. Give them a sidecar, or bridge it with what coalmine mesh check-strict prints",
        )
        for (ref, kind, name), sources in sorted(told.items())
    )
