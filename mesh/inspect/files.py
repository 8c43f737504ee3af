"""Manifests from files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from mesh.lint.findings import Finding, finding
from mesh.resolve.problems import Ref

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Read", "read_files"]

_SUFFIXES: Final = {".yaml", ".yml", ".json"}
_UNSCOPED: Final = {"Namespace", "Node", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}


@dataclass
class Read:
    """What was read.

    Attributes:
        manifests: Objects, each with a namespace where its kind has one.
        places: Where each was, ``file:line``, by kind, namespace and name.
        findings: What could not be read.
    """

    manifests: list[dict[str, Any]] = field(default_factory=list)
    places: dict[tuple[str, str, str], str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def place(self, ref: Ref) -> str:
        """Return where an object was read; empty when it was not in a file."""
        return self.places.get((ref.kind, ref.namespace, ref.name), "")


def read_files(path: Path, namespace: str) -> Read:
    """Return the objects in a file, or in all YAML and JSON files below a folder.

    Args:
        path: File or folder.
        namespace: Of objects that do not say theirs.
    """
    read = Read()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix in _SUFFIXES and p.is_file())
    for file in files:
        try:
            for line, document in _documents(file.read_text(encoding="utf-8")):
                for manifest in _objects(document):
                    _take(read, manifest, namespace, f"{file}:{line}")
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            text = f"is not YAML: {' '.join(str(error).split())}"
            read.findings.append(finding("CM0001", Ref("", "File", "", str(file), ""), "", text))
    return read


def _documents(text: str) -> Iterator[tuple[int, Any]]:
    """Yield each document with the number of its first line."""
    loader = yaml.SafeLoader(text)
    try:
        while loader.check_node():
            if (node := loader.get_node()) is not None:
                yield node.start_mark.line + 1, loader.construct_document(node)
    finally:
        loader.dispose()


def _objects(document: Any) -> Iterator[dict[str, Any]]:
    """Yield the Kubernetes objects in a document, those of a List too; anything else is not ours to judge."""
    if not isinstance(document, dict):
        return
    if str(document.get("kind", "")).endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _objects(item)
    elif isinstance(document.get("metadata"), dict) and document.get("kind") and document["metadata"].get("name"):
        yield document


def _take(read: Read, manifest: dict[str, Any], namespace: str, place: str) -> None:
    meta = manifest["metadata"]
    if manifest["kind"] not in _UNSCOPED:
        meta.setdefault("namespace", namespace)
    read.manifests.append(manifest)
    read.places.setdefault((manifest["kind"], meta.get("namespace", ""), meta["name"]), place)
