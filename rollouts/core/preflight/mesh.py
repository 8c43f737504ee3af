"""Whether the mesh can do its part: sidecars, mutual TLS, outlier detection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mesh.api.destinationrule import FULL_EJECTION_ANNOTATION
from mesh.api.names import INJECT_LABEL
from rollouts.api.preflight import PreflightResult
from rollouts.core.canary import canary_labels
from rollouts.core.preflight.facts import Finding, Kind, fails, listed, warns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rollouts.core.context import Context
    from rollouts.core.preflight.facts import Facts, PodFact

__all__ = ["mutual_tls", "names_service", "outlier_detection", "sidecars"]

_ERRORS: Final = 5
_SHARE: Final = 50


def sidecars(c: Context, f: Facts) -> Finding | None:
    """Do the pods of both versions have the mesh's sidecar?"""
    if without := _without(f.canary_pods):
        return fails(
            f"canary pods without the mesh's sidecar: {listed(without)}. {_injection(c, f)}; take the pod template's "
            f"own {INJECT_LABEL}: disabled out if it has one"
        )
    if without := _without(f.stable_pods):
        return fails(
            f"pods of Deployment {c.names.workload} without the mesh's sidecar: {listed(without)}. {_injection(c, f)}, "
            "and delete these pods one by one: their ReplicaSet makes them anew, with a sidecar"
        )
    return None


def _without(pods: Iterable[PodFact]) -> list[str]:
    return [p.name for p in pods if not p.sidecar]


def _injection(c: Context, f: Facts) -> str:
    namespace = c.o.subject.namespace
    if f.namespace_labels is not None and f.namespace_labels.get(INJECT_LABEL) == "enabled":
        return f"Namespace {namespace} asks for sidecars already: the pods are older than that, or opt out"
    return f"Label the namespace (kubectl label namespace {namespace} {INJECT_LABEL}=enabled)"


def mutual_tls(c: Context, f: Facts) -> Finding | None:
    """Can everybody talk to both versions as the PeerAuthentications ask?"""
    if c.o.service is None:
        return None
    own = c.deployment.template.get("metadata", {}).get("labels") or {}
    changed = canary_labels(own, c.deployment.spec["selector"], c.o.service.selector)
    ports = _target_ports(c)
    stable, canary = _strict(f, own, ports), _strict(f, changed, ports)
    if not (stable or canary):
        return _unread_mesh(f)
    named = f"PeerAuthentication {stable or canary}"
    if without := _without((*f.canary_pods, *f.stable_pods)):
        return fails(
            f"{named} takes mutual TLS only (STRICT), and {listed(without)} has no sidecar that could give or take it: give "
            "the pods one (see SidecarMissing), or set spec.mtls.mode: PERMISSIVE until they have"
        )
    if bool(stable) is not bool(canary):
        which = ("the stable pods", "the canary's") if stable else ("the canary's pods", "the stable ones")
        return warns(
            f"{named} is STRICT for {which[0]} and not for {which[1]}, whose labels differ: let its spec.selector name "
            "a label that is in no selector of the Deployment and the Service"
        )
    if without := _without(f.other_pods):
        return warns(
            f"{named} takes mutual TLS only (STRICT): callers without a sidecar are refused by both versions, and this "
            f"namespace has pods without one: {listed(without)}"
        )
    return None


def _unread_mesh(f: Facts) -> Finding | None:
    """Return that the mesh's own rules are not known, where they would matter to somebody."""
    why = f.unread.get(Kind.MESH_PEERS)
    if why is None or not _without((*f.canary_pods, *f.stable_pods, *f.other_pods)):
        return None
    return Finding(PreflightResult.UNKNOWN, f"could not be checked for the whole mesh: {why}")


def _target_ports(c: Context) -> set[str]:
    """Return the container ports behind the Service, as text."""
    containers = (c.deployment.template.get("spec") or {}).get("containers") or ()
    named = {p.get("name"): p.get("containerPort") for x in containers for p in x.get("ports") or ()}
    wanted = [p.get("targetPort") or p.get("port") for p in c.o.service.ports] if c.o.service else []
    return {str(named.get(port, port)) for port in wanted}


def _strict(f: Facts, labels: Mapping[str, str], ports: set[str]) -> str:
    """Return the PeerAuthentication by which one of the ports takes mutual TLS only; empty when all take plaintext."""
    rules = [*_selecting(f, labels), *_wide(f.of(Kind.PEERS)), *_wide(f.of(Kind.MESH_PEERS))]
    own = next(_selecting(f, labels), None)
    for port in sorted(ports):
        level = ((_spec(own).get("portLevelMtls") or {}).get(port) if own else None) or {}
        asked = [(own, level), *((rule, _spec(rule).get("mtls") or {}) for rule in rules)]
        rule, mode = next(((r, m["mode"]) for r, m in asked if m.get("mode") not in {None, "UNSET"}), (None, ""))
        if rule is not None and mode == "STRICT":
            return f"{rule['metadata'].get('namespace', '')}/{rule['metadata']['name']}"
    return ""


def _spec(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    return rule.get("spec") or {}


def _selecting(f: Facts, labels: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """Return the rule whose selector chooses the labels: the oldest one counts."""
    chosen = [r for r in f.of(Kind.PEERS) if _wanted(r) and _wanted(r).items() <= labels.items()]
    yield from sorted(chosen, key=_age)[:1]


def _wanted(rule: Mapping[str, Any]) -> Mapping[str, str]:
    return (_spec(rule).get("selector") or {}).get("matchLabels") or {}


def _wide(rules: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted((r for r in rules if not _wanted(r)), key=_age)[:1]


def _age(rule: Mapping[str, Any]) -> tuple[str, str]:
    return str(rule["metadata"].get("creationTimestamp", "")), str(rule["metadata"]["name"])


def outlier_detection(c: Context, f: Facts) -> Finding | None:
    """Can neither a bad minute take all pods out, nor everything stay in?"""
    namespace = c.o.subject.namespace
    for rule in f.of(Kind.DESTINATION_RULES):
        wanted = (_spec(rule).get("trafficPolicy") or {}).get("outlierDetection") or {}
        full = (rule["metadata"].get("annotations") or {}).get(FULL_EJECTION_ANNOTATION) == "true"
        if (
            full
            and wanted.get("maxEjectionPercent", 0) > _SHARE
            and names_service(_spec(rule), c.names.host, namespace)
        ):
            return fails(
                f"DestinationRule {rule['metadata']['name']} lets {wanted['maxEjectionPercent']} % of the pods be ejected at once: "
                "the whole canary at a bad moment, and its callers get 503 no healthy upstream. Write "
                f"spec.trafficPolicy.outlierDetection.maxEjectionPercent: {_SHARE}, or take annotation {FULL_EJECTION_ANNOTATION} off"
            )
    settings = c.outlier_detection
    if 0 < settings.consecutive_5xx_errors < _ERRORS:
        return warns(
            f"spec.outlierDetection.consecutive5xxErrors: {settings.consecutive_5xx_errors} ejects a pod after so few errors that a "
            f"bad minute of a dependency takes out pods that are well: write {_ERRORS} or more"
        )
    if settings.consecutive_5xx_errors == 0 or settings.max_ejection_percent == 0:
        return warns(
            "spec.outlierDetection never ejects a pod: one that only fails keeps its share of the requests. Write "
            f"consecutive5xxErrors: {_ERRORS} and maxEjectionPercent: {_SHARE}, or leave them out"
        )
    return None


def names_service(spec: Mapping[str, Any], service: str, namespace: str) -> bool:
    """Return whether a resource's ``host`` is a Service of a namespace."""
    host = str(spec.get("host", ""))
    return host in {service, f"{service}.{namespace}"} or host.startswith(f"{service}.{namespace}.svc")
