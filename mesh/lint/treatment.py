"""Checks of DestinationRules, outlier detection apart."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from mesh.lint.findings import Finding, Severity, finding
from mesh.lint.resources import Manifest, dicts
from mesh.lint.routing import host_name, is_external
from mesh.resolve.problems import ref_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mesh.ir.services import ServiceKey
    from mesh.lint.resources import Resources
    from mesh.resolve.problems import Ref

__all__ = [
    "empty_subsets",
    "overlapping_subsets",
    "policies",
    "several_for_one_host",
    "unknown_hosts",
    "upgrades_to_http2",
]

_HTTP2: Final = ("http2", "grpc", "grpc-web", "h2c", "kubernetes.io/h2c")


def policies(resources: Resources) -> Iterator[tuple[Ref, ServiceKey, str, Mapping[str, str], dict[str, Any]]]:
    """Yield every traffic policy of valid rules: the rule, its host, path, labels of the subset, and the policy.

    Policies of ports come after the one that holds them.
    """
    written = {ref_of(m): m for m in resources.of("DestinationRule")}
    for rule, _, key in resources.destination_rules():
        spec = written.get(rule.ref, {}).get("spec") or {}
        owners: list[tuple[str, Mapping[str, str], dict[str, Any]]] = [("spec", {}, spec)]
        owners += [(f"spec.subsets[{i}]", s.get("labels") or {}, s) for i, s in enumerate(dicts(spec.get("subsets")))]
        for path, labels, owner in owners:
            policy = owner.get("trafficPolicy")
            if isinstance(policy, dict):
                here = f"{path}.trafficPolicy"
                yield rule.ref, key, here, labels, policy
                for number, port in enumerate(dicts(policy.get("portLevelSettings"))):
                    yield rule.ref, key, f"{here}.portLevelSettings[{number}]", labels, port


def unknown_hosts(resources: Resources) -> Iterator[Finding]:
    """CM0102: a DestinationRule for a host that is not there has no effect."""
    for rule, spec, key in resources.destination_rules():
        if key in resources.world.services or is_external(resources, key[1]) or spec.host.startswith("*"):
            continue
        namespace = key[0] or rule.ref.namespace
        text = f"{spec.host} is no Service and no ServiceEntry: correct the name, or create it"
        if key[0]:
            text = f"there is no Service {key[1]} in namespace {namespace}: correct the name or create it"
        severity = None
        if not resources.knows("Service", "ServiceEntry", namespace=namespace):
            text, severity = f"{text} (none is in these files)", Severity.INFO
        yield finding("CM0102", rule.ref, "spec.host", text, severity)


def several_for_one_host(resources: Resources) -> Iterator[Finding]:
    """CM0105: Istio keeps one and drops the rest in silence; say what this mesh does."""
    rules: dict[tuple[str, ServiceKey], list[Ref]] = defaultdict(list)
    for rule, _, key in resources.destination_rules():
        rules[rule.ref.namespace, key].append(rule.ref)
    told = {p.ref for p in resources.world.problems if p.reason == "Shadowed"}
    for (_, key), refs in rules.items():
        if len(refs) > 1 and not told.intersection(refs):
            names = ", ".join(f"{r.namespace}/{r.name}" for r in refs)
            text = f"{host_name(key)} has {len(refs)} DestinationRules ({names}), which act together: one is easier to read"
            yield finding("CM0105", refs[-1], "spec.host", text, Severity.INFO)


def upgrades_to_http2(resources: Resources) -> Iterator[Finding]:
    """CM0205: an application that speaks HTTP/1 only answers an HTTP/2 connection with an error."""
    written = {(m["metadata"].get("namespace"), m["metadata"]["name"]): m for m in resources.of("Service")}
    for ref, key, path, _, policy in policies(resources):
        wish = ((policy.get("connectionPool") or {}).get("http") or {}).get("h2UpgradePolicy")
        if wish != "UPGRADE" or key not in written:
            continue
        plain = [p for p in _ports(written[key], policy) if not _speaks_http2(p)]
        if plain:
            ports = ", ".join(f"{p.get('name') or 'unnamed'} ({p['port']})" for p in plain)
            text = (
                f"UPGRADE speaks HTTP/2 to {host_name(key)}, whose port {ports} says HTTP/1: where the application "
                "does not speak it every request fails; remove it, or name the port http2-… (appProtocol: kubernetes.io/h2c)"
            )
            yield finding("CM0205", ref, f"{path}.connectionPool.http.h2UpgradePolicy", text)


def _ports(service: Manifest, policy: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the ports that a policy is for."""
    ports = dicts((service.get("spec") or {}).get("ports"))
    number = (policy.get("port") or {}).get("number")
    return [p for p in ports if number in {None, p.get("port")} and p.get("protocol", "TCP") == "TCP"]


def _speaks_http2(port: Mapping[str, Any]) -> bool:
    said = str(port.get("appProtocol") or port.get("name") or "").lower()
    return said in _HTTP2 or said.partition("-")[0] in _HTTP2 or said.startswith("grpc-web")


def overlapping_subsets(resources: Resources) -> Iterator[Finding]:
    """CM0206: a pod in two subsets gets requests of both, so a split between them is not what it says."""
    for rule, spec, key in resources.destination_rules():
        endpoints = resources.world.endpoints.get(key, {})
        pods = {e.pod: dict(e.labels) for found in endpoints.values() for e in found}
        for (i, first), (j, second) in combinations(enumerate(spec.subsets), 2):
            one, two = first.labels, second.labels
            shared = sorted(pod for pod, labels in pods.items() if _within(one, labels) and _within(two, labels))
            if shared:
                names = f"pod {shared[0]}" if len(shared) == 1 else f"{len(shared)} pods, such as {shared[0]},"
                text = (
                    f"{names} of {host_name(key)} is also in subset {first.name}"
                    if len(shared) == 1
                    else (f"{names} of {host_name(key)} are also in subset {first.name}")
                )
            elif _within(one, two) or _within(two, one):
                text = f"every pod of subset {(second if _within(one, two) else first).name} is also in subset "
                text += (first if _within(one, two) else second).name
            else:
                continue
            fix = "add a label that only one of them has, such as version"
            yield finding("CM0206", rule.ref, f"spec.subsets[{j}].labels", f"{text} (spec.subsets[{i}]): {fix}")


def empty_subsets(resources: Resources) -> Iterator[Finding]:
    """CM0207: requests to a subset without pods are answered with 503."""
    for rule, spec, key in resources.destination_rules():
        pods = [e for found in resources.world.endpoints.get(key, {}).values() for e in found]
        for number, subset in enumerate(spec.subsets):
            if pods and not any(_within(subset.labels, dict(pod.labels)) for pod in pods):
                labels = ", ".join(f"{k}={v}" for k, v in sorted(subset.labels.items())) or "none"
                text = (
                    f"no ready pod of {host_name(key)} has the labels of subset {subset.name} ({labels}), so requests to "
                    "it get 503: correct the labels, or start its pods before you send requests to it"
                )
                yield finding("CM0207", rule.ref, f"spec.subsets[{number}].labels", text)


def _within(wanted: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return wanted.items() <= labels.items()
