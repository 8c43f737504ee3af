"""The contract of every router: from a wanted split to an object for a mesh, and from its status to what the proxies hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.core.actions import SetTraffic
    from rollouts.core.observed import Subject, Traffic

__all__ = ["Router"]


class Router(Protocol):
    """Moves traffic. Pure: it only translates; the engine reads and writes the objects."""

    api_version: str
    plural: str

    def name(self, subject: Subject) -> str:
        """Return the name of the Rollout's split."""

    def manifest(self, subject: Subject, wanted: SetTraffic) -> dict[str, Any]:
        """Return the object that asks the mesh for the split."""

    def observe(self, split: Mapping[str, Any]) -> Traffic:
        """Return what is written and what the proxies hold of it."""
