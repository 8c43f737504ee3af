"""What the mesh has to tell the author of a resource."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Problem", "Ref", "ref_of"]


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """An object of the Kubernetes API."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """A sentence about an object, to be shown on it.

    Attributes:
        ref: The object.
        reason: One CamelCase word, as in a Kubernetes Event.
        message: Names the field and the fix.
    """

    ref: Ref
    reason: str
    message: str


def ref_of(manifest: dict[str, Any]) -> Ref:
    """Return the reference of an object as the API serves it."""
    meta = manifest["metadata"]
    return Ref(
        manifest.get("apiVersion", ""),
        manifest.get("kind", ""),
        meta.get("namespace", ""),
        meta["name"],
        meta.get("uid", ""),
    )
