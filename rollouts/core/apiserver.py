"""What those who talk to the API server need of a connection. ``rollouts.engine.kube.Kube`` is the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Api"]


class Api(Protocol):
    """A connection to the API server."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> dict[str, Any] | None:
        """Return the answer; None when there is nothing at the path (404). Every other error is raised."""
