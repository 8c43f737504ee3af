"""Which kinds are looked at, and under which API versions they are served."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

from coalmine.crds.definitions import DEFINITIONS
from coalmine.lint.findings import Finding, at
from mesh.api.httproute import GATEWAY_API_GROUP
from mesh.api.names import MESH_GROUP
from rollouts.api.names import GROUP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coalmine.crds.definitions import Definition
    from coalmine.lint.documents import Document

__all__ = ["OWN", "READ_ONLY", "definition_of", "envelope", "group_of", "is_own"]

OWN: Final = (GROUP, MESH_GROUP)
"""Groups that have our kinds only."""
READ_ONLY: Final[Mapping[str, str]] = {
    **dict.fromkeys(("Service", "Pod", "Namespace"), ""),
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet"), "apps"),
    "HorizontalPodAutoscaler": "autoscaling",
    "Canary": "flagger.app",
    "Rollout": "argoproj.io",
    **dict.fromkeys(("HTTPRoute", "GRPCRoute", "GatewayClass", "ReferenceGrant", "Gateway"), GATEWAY_API_GROUP),
}
"""Kinds of others, with their groups, that say something about ours."""
_BY_KIND: Final = {(d.group, d.kind): d for d in DEFINITIONS}
_TOP: Final = ("apiVersion", "kind", "metadata", "spec", "status")
_METADATA: Final = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
]
_LIKE: Final = 0.75


def group_of(value: Mapping[str, Any]) -> str:
    """Return an object's API group; empty for the core one."""
    return str(value.get("apiVersion", "")).rpartition("/")[0]


def definition_of(value: Mapping[str, Any]) -> Definition | None:
    """Return the definition of an object of a kind that the mesh or the controller reads; None for any other."""
    return _BY_KIND.get((group_of(value), str(value.get("kind"))))


def is_own(value: Mapping[str, Any]) -> bool:
    """Return whether an object claims to be of one of our groups."""
    return group_of(value) in OWN


def envelope(document: Document) -> Iterator[Finding]:
    """Yield what is wrong around the spec: kind, version, name, and what stands beside them."""
    value = document.value
    definition = definition_of(value)
    if definition is None:
        yield from _no_kind(document)
        return
    version = value["apiVersion"].rpartition("/")[2]
    if version not in definition.versions:
        fix = " or ".join(f"{definition.group}/{v}" for v in definition.versions)
        yield at(document, "CM0001", "apiVersion", f"there is no {version} of {definition.kind}: write {fix}")
    yield from _unknown(document, value, _TOP if definition.own else (*_TOP, "data"), "")
    yield from _metadata(document, definition)
    if "spec" not in value and definition.own:
        first = "spec.workloadRef.name" if definition.kind == "Rollout" else "spec"
        yield at(document, "CM0001", "", f"spec is missing: write at least {first}")


def _no_kind(document: Document) -> Iterator[Finding]:
    """A kind of ours in another group, or of our group and unknown; a kind of somebody else's is not judged."""
    kind, group = document.value["kind"], group_of(document.value)
    ours = {d.kind: d.group for d in DEFINITIONS if d.own}
    if group in OWN:
        near = difflib.get_close_matches(kind, ours, n=1)
        fix = f"did you mean {near[0]}? " if near else ""
        known = ", ".join(sorted(k for k, g in ours.items() if g == group))
        yield at(document, "CM0001", "kind", f"{group} has no {kind}: {fix}there is {known}")
    elif kind in ours and difflib.SequenceMatcher(None, group, ours[kind]).ratio() >= _LIKE:
        version = document.value["apiVersion"]
        right = next(d for d in DEFINITIONS if d.kind == kind)
        wish = f"{right.group}/{right.versions[0]}"
        yield at(document, "CM0001", "apiVersion", f"{version} is no group of ours: write {wish} for a {kind}")


def _metadata(document: Document, definition: Definition) -> Iterator[Finding]:
    meta = document.value.get("metadata")
    if not isinstance(meta, dict):
        yield at(document, "CM0001", "metadata", "metadata is missing: write at least metadata.name")
        return
    yield from _unknown(document, meta, _METADATA, "metadata")
    name = meta.get("name")
    if not name and not meta.get("generateName"):
        yield at(document, "CM0001", "metadata.name", "is missing: write a name")
    elif name is not None and not isinstance(name, str):
        yield at(document, "CM0001", "metadata.name", f"is {name!r}: write it in quotes")
    elif name and len(name) > definition.name_length:
        words = f"has {len(name)} characters: write at most {definition.name_length}"
        yield at(document, "CM0001", "metadata.name", words)
    elif name and not all(c.isascii() and (c.isdigit() or c.islower() or c in "-.") for c in name):
        words = f"is {name!r}: write lower-case letters, digits, '-' and '.'"
        yield at(document, "CM0001", "metadata.name", words)
    for part in ("labels", "annotations"):
        pairs = meta.get(part)
        if pairs is not None and not isinstance(pairs, dict):
            yield at(document, "CM0001", f"metadata.{part}", "is no mapping: write names and values")
        for key, text in (pairs or {}).items() if isinstance(pairs, dict) else ():
            if not isinstance(text, str):
                shown = str(text).lower() if isinstance(text, bool) else text
                words = f'is not text: write it in quotes, such as "{shown}"'
                yield at(document, "CM0001", f"metadata.{part}[{key}]", words)


def _unknown(
    document: Document, value: Mapping[str, Any], known: tuple[str, ...] | list[str], path: str
) -> Iterator[Finding]:
    for name in value:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            fix = f"did you mean {near[0]}? " if near else ""
            field = f"{path}.{name}" if path else name
            yield at(document, "CM0001", field, f"is not a field: {fix}remove it or write one of {', '.join(known)}")
