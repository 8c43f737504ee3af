"""The objects of some files, by kind, namespace and name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from coalmine.lint.documents import Document

__all__ = ["ARGO_ROLLOUT", "Shelf"]

ARGO_ROLLOUT: Final = "Rollout.argoproj.io"
"""Kind of Argo's Rollouts, beside ours."""


@dataclass
class Shelf:
    """Objects.

    Attributes:
        objects: Those that can be used, by kind, then by namespace and name.
        known: Kind, namespace and name of all, whether or not they can be used.
    """

    objects: dict[str, dict[tuple[str, str], Document]] = field(default_factory=dict)
    known: set[tuple[str, str, str]] = field(default_factory=set)

    def put(self, key: tuple[str, str, str], document: Document) -> None:
        """Add an object under kind, namespace and name."""
        kind, namespace, name = key
        self.objects.setdefault(kind, {})[namespace, name] = document

    def get(self, kind: str, namespace: str, name: str) -> Document | None:
        """Return an object; None where it cannot be used or is not in the files."""
        return self.objects.get(kind, {}).get((namespace, name))

    def of(self, kind: str, namespace: str) -> dict[str, Document]:
        """Return the objects of a kind in a namespace, by name."""
        return {name: d for (space, name), d in self.objects.get(kind, {}).items() if space == namespace}
