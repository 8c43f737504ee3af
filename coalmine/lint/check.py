"""All checks over all documents. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from coalmine.lint.findings import CODES, Finding
from coalmine.lint.kinds import READ_ONLY, definition_of, envelope, group_of, is_own
from coalmine.lint.mesh import mesh_findings
from coalmine.lint.rollouts import rollout_findings
from coalmine.lint.shapes import misshapen
from coalmine.lint.shelf import ARGO_ROLLOUT, Shelf
from coalmine.lint.specs import spec_findings
from mesh.api.httproute import HttpRouteSpec
from mesh.api.virtualservice import VirtualServiceSpec
from mesh.lint.findings import Severity
from rollouts.api.names import GROUP

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from coalmine.lint.documents import Document, Trouble

__all__ = ["lint", "unreadable"]

_UNSCOPED: Final = frozenset({"Namespace", "ClusterAnalysisTemplate", "GatewayClass"})
_MODELS: Final[Mapping[str, type[BaseModel]]] = {"VirtualService": VirtualServiceSpec, "HTTPRoute": HttpRouteSpec}
"""Kinds whose wrong specs the mesh tells of, and that the Rollouts' checks cannot read then."""


def unreadable(file: str, trouble: Trouble) -> Finding:
    """Return what is said of text that is no YAML."""
    words = f"cannot be read: {trouble.words}"
    return Finding(file, trouble.line, trouble.column, "CM0001", CODES["CM0001"].severity, "", "", words)


def lint(documents: Iterable[Document], namespace: str) -> tuple[list[Finding], int]:
    """Return what is wrong, by place, and how many objects were looked at.

    Args:
        documents: Objects of any kinds; what is neither ours nor has to do with ours is left alone.
        namespace: Of objects that do not say theirs.
    """
    looked_at = [d for d in documents if _concerns_us(d.value)]
    findings: list[Finding] = []
    for world in _worlds(looked_at, namespace):
        findings += _lint(world, namespace)
    return sorted(set(findings), key=lambda f: f.sort_key), len(looked_at)


def _worlds(documents: list[Document], namespace: str) -> list[list[Document]]:
    """Return what belongs together: all; or, where objects are there twice as for several clusters, each folder."""
    keys = [key for d in documents if (key := _key(d.value, namespace))]
    if len(set(keys)) == len(keys):
        return [documents]
    folders: dict[str, list[Document]] = {}
    for document in documents:
        folders.setdefault(document.file.rpartition("/")[0], []).append(document)
    return list(folders.values())


def _lint(documents: list[Document], namespace: str) -> list[Finding]:
    findings: list[Finding] = []
    shelf = Shelf()
    placed: dict[tuple[str, str, str], Document] = {}
    for document in documents:
        found = list(_alone(document))
        findings += found
        key = _key(document.value, namespace)
        if key is None:
            continue
        shelf.known.add(key)
        if key in placed or any(f.severity is Severity.ERROR for f in found) or not _readable(document.value):
            continue  # a patch of an object is not a second one
        placed[key] = document
        if _valid(document.value):
            shelf.put(key, document)
    findings += rollout_findings(shelf)
    theirs = [(space, d) for (kind, space, _), d in placed.items() if kind != ARGO_ROLLOUT]
    return [*findings, *mesh_findings(theirs, frozenset(_hosts(shelf)))]


def _concerns_us(value: Mapping[str, Any]) -> bool:
    kind, group = value["kind"], group_of(value)
    return definition_of(value) is not None or is_own(value) or READ_ONLY.get(kind) == group or kind in _OURS


_OURS: Final = frozenset({"Rollout", "AnalysisTemplate", "ClusterAnalysisTemplate", "TrafficSplit"})
"""Kinds whose group may be a slip of the pen."""


def _alone(document: Document) -> Iterator[Finding]:
    """Yield what is wrong with one object, whatever else there is."""
    yield from envelope(document)
    if definition_of(document.value) is None:
        return
    yield from spec_findings(document)
    for trouble in document.twice:
        yield Finding(
            document.file,
            trouble.line,
            trouble.column,
            "CM0001",
            Severity.ERROR,
            document.subject,
            "",
            trouble.words,
            document.source,
        )


def _key(value: Mapping[str, Any], default: str) -> tuple[str, str, str] | None:
    """Return kind, namespace and name; None for an object without a name."""
    meta = value.get("metadata")
    name, space = (meta.get("name"), meta.get("namespace")) if isinstance(meta, dict) else (None, None)
    if not name or not isinstance(name, str):
        return None
    kind, group = value["kind"], group_of(value)
    if kind == "Rollout" and group != GROUP:
        kind = ARGO_ROLLOUT
    elif kind == "Gateway":
        kind = f"Gateway.{group}"
    return kind, "" if kind in _UNSCOPED else str(space or default), name


def _readable(value: Mapping[str, Any]) -> bool:
    """Return whether the checks can read an object of somebody else's kind: it may be a patch of one."""
    return not any(True for _ in misshapen(value["kind"], value, own=definition_of(value) is not None))


def _valid(value: Mapping[str, Any]) -> bool:
    model = _MODELS.get(value["kind"])
    try:
        if model is not None:
            model.model_validate(value.get("spec") or {})
    except ValidationError:
        return False
    return True


def _hosts(shelf: Shelf) -> Iterator[tuple[str, str]]:
    """Yield namespace and name of the Services whose requests Rollouts split."""
    for (namespace, _), document in shelf.objects.get("Rollout", {}).items():
        spec = document.value["spec"]
        yield namespace, str(spec.get("service") or spec["workloadRef"]["name"])
