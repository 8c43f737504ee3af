"""Checks of Services and of the workloads behind them."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import TYPE_CHECKING, Any, Final

from mesh.lint.findings import Finding, Severity, finding
from mesh.lint.resources import Manifest, Workloads, dicts
from mesh.resolve.objects import version_of
from mesh.resolve.problems import ref_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mesh.lint.resources import Resources

__all__ = ["overlapping_selectors", "several_workloads", "shared_backends", "unclear_protocols"]

_PROTOCOLS: Final = frozenset(
    {"grpc", "grpc-web", "h2c", "http", "http2", "https", "mongo", "mysql", "postgres", "redis", "tcp", "tls", "udp"}
)
_OTHERS: Final = {
    443: "tls", 3306: "mysql", 5432: "postgres", 5672: "tcp", 6379: "redis", 8443: "tls", 9092: "tcp", 27017: "mongo",
}  # fmt: skip
"""Ports that hardly ever carry HTTP in the clear."""


def several_workloads(resources: Resources) -> Iterator[Finding]:
    """CM0301: requests are shared in proportion to pods, which few people mean."""
    for service in resources.of("Service"):
        meta, selector = service["metadata"], (service.get("spec") or {}).get("selector") or {}
        if not selector:
            continue
        chosen = [
            w for w in _workloads(resources, meta.get("namespace", "")) if selector.items() <= _template(w).items()
        ]
        subsets = resources.subsets((meta.get("namespace", ""), meta["name"])).values()
        if len(chosen) < 2 or _told_apart(chosen, list(subsets)):  # noqa: PLR2004 - two
            continue
        names = ", ".join(f"{w['kind']} {w['metadata']['name']}" for w in chosen)
        versions = [version_of(tuple(_template(w).items())) for w in chosen]
        if len(set(versions)) == len(versions) and all(versions):
            text = (
                f"chooses the pods of {names}, which get requests in proportion to their numbers: name a subset for each "
                "in a DestinationRule to route between them"
            )
            yield finding("CM0301", ref_of(service), "spec.selector", text, Severity.INFO)
        else:
            text = (
                f"chooses the pods of {names}, which share the requests though nothing tells their versions apart: add a "
                "label to the selector that only one has, or a version label to each pod template"
            )
            yield finding("CM0301", ref_of(service), "spec.selector", text)


def _told_apart(workloads: list[Manifest], subsets: list[Mapping[str, str]]) -> bool:
    """Say whether each workload's pods are in a subset, and in one that no other is in."""
    found = [
        {i for i, labels in enumerate(subsets) if labels.items() <= _template(workload).items()}
        for workload in workloads
    ]
    return all(found) and all(not one & two for one, two in combinations(found, 2))


def overlapping_selectors(resources: Resources) -> Iterator[Finding]:
    """CM0302: kubectl, autoscalers and disruption budgets take the other's pods for its own."""
    for kind in Workloads:
        for one, two in permutations(resources.of(kind), 2):
            meta, other = one["metadata"], two["metadata"]
            selector = (one.get("spec") or {}).get("selector") or {}
            labels = selector.get("matchLabels") or {}
            if not labels or selector.get("matchExpressions") or meta.get("namespace") != other.get("namespace"):
                continue
            if labels.items() <= _template(two).items():
                text = (
                    f"also selects the pods of {kind} {other['name']}: add a label, such as version, that only its own "
                    "pods have (a selector cannot be changed: delete the workload and make it anew)"
                )
                yield finding("CM0302", ref_of(one), "spec.selector.matchLabels", text)


def shared_backends(resources: Resources) -> Iterator[Finding]:
    """CM0303: a split between two Services with the same pods splits nothing."""
    world = resources.world
    for rule in world.traffic_splits:
        backends = rule.spec.backends if rule.spec else ()
        for (_, first), (number, second) in combinations(enumerate(backends), 2):
            pods = [
                {
                    e.pod
                    for found in world.endpoints.get((rule.ref.namespace, b.service), {}).values()
                    for e in found
                    if e.pod
                }
                for b in (first, second)
            ]
            if shared := sorted(pods[0] & pods[1]):
                text = (
                    f"Services {first.service} and {second.service} both choose pod {shared[0]}, so the weights are not "
                    "the shares: give each a selector of its own"
                )
                yield finding("CM0303", rule.ref, f"spec.backends[{number}].service", text)


def unclear_protocols(resources: Resources) -> Iterator[Finding]:
    """CM0304: the mesh takes a port for HTTP unless its name or appProtocol says otherwise."""
    for service in resources.of("Service"):
        spec = service.get("spec") or {}
        if not spec.get("selector") or service["metadata"].get("namespace") == "kube-system":
            continue
        for number, port in enumerate(dicts(spec.get("ports"))):
            said = str(port.get("name") or "").lower()
            if port.get("appProtocol") or port.get("protocol", "TCP") != "TCP":
                continue
            if said in _PROTOCOLS or said.partition("-")[0] in _PROTOCOLS:
                continue
            yield _unclear(service, number, port)


def _unclear(service: Manifest, number: int, port: Mapping[str, Any]) -> Finding:
    name = str(port.get("name") or "")
    likely = _OTHERS.get(port["port"])
    called = f"name {name} does not say" if name else "without a name does not say"
    wish = likely or "http"
    text = (
        f"port {port['port']} {called} what it carries, and is taken for HTTP: name it {wish}{'-' + name if name else ''}, "
        f"or tcp{'-' + name if name else ''} for anything else, or set appProtocol"
    )
    field = f"spec.ports[{number}].name"
    return finding("CM0304", ref_of(service), field, text, Severity.WARNING if likely else None)


def _workloads(resources: Resources, namespace: str) -> list[Manifest]:
    return [w for kind in Workloads for w in resources.of(kind) if w["metadata"].get("namespace", "") == namespace]


def _template(workload: Manifest) -> dict[str, str]:
    """Return the labels of the pods that a workload makes."""
    template = (workload.get("spec") or {}).get("template") or {}
    labels: dict[str, str] = (template.get("metadata") or {}).get("labels") or {}
    return labels
