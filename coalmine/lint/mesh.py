"""The mesh's resources: what ``coalmine mesh analyze`` says of files, each at its own line."""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from coalmine.crds.istio import FIELDS
from coalmine.lint.findings import Finding, at
from coalmine.lint.near import near_name
from mesh.lint.analyze import analyze
from mesh.lint.findings import Severity
from mesh.lint.resources import read_resources
from mesh.resolve.hosts import service_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coalmine.crds.istio import Tree
    from coalmine.lint.documents import Document
    from mesh.lint.findings import Finding as MeshFinding
    from mesh.lint.resources import Resources

__all__ = ["mesh_findings"]

_OTHERS: Final = frozenset({"Service", "Pod", "Namespace", "Deployment", "StatefulSet", "DaemonSet"})
"""Kinds that are judged only where our resources are about them."""
_PART: Final = re.compile(r"\.([^.\[]+)|\[[^\]]*\]")
_MISSING: Final = re.compile(r"there is no (Service|Gateway) (?:[^\s/:]+/)?([^\s:]+)")
_ELSEWHERE: Final = ("(none is in these files)", "no DestinationRule defines", "is no Service and no ServiceEntry")
"""Said of what may well be in the cluster."""
_MISFITS: Final = frozenset({"CM0301"})
"""Said of a Rollout's Service already, where it stops releases."""


def mesh_findings(placed: Sequence[tuple[str, Document]], split: frozenset[tuple[str, str]]) -> Iterator[Finding]:
    """Yield what the mesh's checks find.

    Args:
        placed: Objects that can be read, each with its namespace.
        split: Namespace and name of the Services of Rollouts.
    """
    manifests, by_uid = [], {}
    for number, (namespace, document) in enumerate(placed):
        uid = str(number)
        meta = {**document.value["metadata"], "uid": uid}
        if namespace:
            meta["namespace"] = namespace
        manifests.append({**document.value, "metadata": meta})
        by_uid[uid] = document
    resources = read_resources(manifests, complete=False)
    ours = _ours(resources) | split
    for found in analyze(resources):
        origin = by_uid.get(found.ref.uid)
        if origin is None or (found.ref.kind in _OTHERS and not _about(found, ours, resources, split)):
            continue
        if (settled := _settled(found, resources)) is not None:
            yield _finding(origin, settled)


def _settled(found: MeshFinding, resources: Resources) -> MeshFinding | None:
    """Return a finding about what is missing only where the files have something of nearly that name."""
    missing = _MISSING.search(found.message)
    if missing is None:
        return None if any(words in found.message for words in _ELSEWHERE) else found
    kind, name = missing.groups()
    known = [m["metadata"]["name"] for m in resources.of(kind) if m["metadata"].get("namespace") == found.ref.namespace]
    if name in known:
        return found
    near = near_name(name, known)
    words = f"names {kind} {name}, which these files do not have: did you mean {near}?"
    return replace(found, severity=Severity.WARNING, message=words) if near else None


def _finding(document: Document, found: MeshFinding) -> Finding:
    """Return a mesh's finding; a field that Istio has not either is a slip of the pen."""
    tree = FIELDS.get(found.ref.kind) if found.code == "CM0002" else None
    unknown = _unknown(found.field, tree) if tree is not None else None
    if unknown is None:
        return at(document, found.code, found.field, found.message, found.severity)
    name, known = unknown
    near = difflib.get_close_matches(name, known, n=1)
    fix = f"did you mean {near[0]}? " if near else ""
    words = f"is not a field of {found.ref.kind}: {fix}remove it or write one of {', '.join(sorted(known))}"
    return replace(at(document, "CM0001", found.field, words), severity=Severity.ERROR)


def _unknown(path: str, tree: Tree) -> tuple[str, list[str]] | None:
    """Return the last name of a path and the names that may stand there, where Istio's API does not have it."""
    names = [part for part in _PART.findall(path) if part]
    place: Any = tree
    for name in names[:-1]:
        place = place.get(name)
        if place is None:
            return None
    return (names[-1], list(place)) if names and names[-1] not in place else None


def _ours(resources: Resources) -> frozenset[tuple[str, str]]:
    """Return the Services that resources of ours are about."""
    found = {d.key for d in resources.destinations()}
    found |= {key for _, _, key in resources.destination_rules()}
    for ref, spec in resources.virtual_services():
        hosts = spec.get("hosts") or ()
        found |= {service_key(str(host), ref.namespace, resources.world.services) for host in hosts}
    for rule in resources.world.traffic_splits:
        if rule.spec is not None:
            found |= {(rule.ref.namespace, n) for n in (rule.spec.service, *(b.service for b in rule.spec.backends))}
    return frozenset(found)


def _about(
    found: MeshFinding, ours: frozenset[tuple[str, str]], resources: Resources, split: frozenset[tuple[str, str]]
) -> bool:
    """Say whether a Service, or a workload behind one, has to do with our resources."""
    ref = found.ref
    if ref.kind == "Service":
        key = (ref.namespace, ref.name)
        return key in ours and not (found.code in _MISFITS and key in split)
    manifest = next((m for m in resources.of(ref.kind) if m["metadata"].get("uid") == ref.uid), None)
    if manifest is None or ref.kind == "Namespace":
        return False
    template = manifest if ref.kind == "Pod" else manifest["spec"]["template"]
    labels = (template.get("metadata") or {}).get("labels") or {}
    services = (resources.world.services.get(key) for key in ours)
    return any(
        s and s.namespace == ref.namespace and s.selector and set(s.selector) <= labels.items() for s in services
    )
