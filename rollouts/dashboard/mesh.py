"""Asks the mesh's control plane what it knows. What it does not say is said in the view, never raised."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from rollouts.dashboard.calls import graph_view
from rollouts.dashboard.meshhealth import mesh_view
from rollouts.dashboard.polls import Poll

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from rollouts.dashboard.board import Board

__all__ = ["MeshClient", "polls_of"]

_SECONDS: Final = 60
_TIMEOUT: Final = aiohttp.ClientTimeout(total=4.0)
_MOST_BYTES: Final = 16 * 2**20
_OK: Final = 200
_NOT_FOUND: Final = 404
_GRAPH_EVERY: Final = 2.0
_HEALTH_EVERY: Final = 5.0


class MeshError(Exception):
    """The mesh did not say; the message is for people."""


class MeshClient:
    """The mesh's HTTP address."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token_file: Path | None) -> None:
        """Make one.

        Args:
            session: HTTP client.
            url: The control plane's address.
            token_file: Holds the token to show; read anew each time, as kubelets renew it in place.
        """
        self._session, self._url, self._token_file = session, url.rstrip("/"), token_file

    async def get(self, path: str, *, missing: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Return an answer.

        Args:
            path: Below the address.
            missing: What an older mesh, which does not have the page, is taken to have said.

        Raises:
            MeshError: There is none.
        """
        headers = {}
        try:
            if self._token_file is not None:
                headers["Authorization"] = f"Bearer {self._token_file.read_text().strip()}"
            async with self._session.get(self._url + path, headers=headers, timeout=_TIMEOUT) as answer:
                if answer.status == _NOT_FOUND and missing is not None:
                    return missing
                if answer.status != _OK:
                    raise MeshError(f"the mesh refuses {path}: {answer.status} {(await answer.text())[:200].strip()}")
                body = await answer.content.read(_MOST_BYTES)
                while chunk := await answer.content.read(_MOST_BYTES):
                    body += chunk
                    if len(body) > _MOST_BYTES:
                        raise MeshError(f"the mesh's answer to {path} is larger than {_MOST_BYTES >> 20} MiB")
            found = json.loads(body)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise MeshError(f"the mesh does not answer: {error or type(error).__name__}") from None
        if not isinstance(found, dict):
            raise MeshError(f"the mesh's answer to {path} is no object")
        return found


def polls_of(mesh: MeshClient, board: Board, clock: Callable[[], float]) -> dict[str, Poll]:
    """Return what is asked of the mesh while somebody looks, by topic."""

    async def graph() -> Mapping[str, Any]:
        try:
            answer = await mesh.get(f"/v1/graph?seconds={_SECONDS}")
            return graph_view(answer, _hosts(board), clock())
        except MeshError as error:
            return {**graph_view({}, {}, clock()), "problem": str(error)}

    async def health() -> Mapping[str, Any]:
        try:
            answers = await asyncio.gather(
                mesh.get("/v1/proxies"),
                mesh.get("/v1/certificates"),
                mesh.get("/v1/ejections", missing={}),
                mesh.get(f"/v1/graph?seconds={_SECONDS}"),
            )
            return mesh_view(*answers, clock())
        except MeshError as error:
            return {**mesh_view({}, {}, {}, {}, clock()), "problem": str(error)}

    return {"graph": Poll("graph", graph, _GRAPH_EVERY), "mesh": Poll("mesh", health, _HEALTH_EVERY)}


def _hosts(board: Board) -> dict[str, str]:
    """Return the Rollouts by the Service that they split."""
    found = {}
    for (namespace, name), rollout in board.rollouts.items():
        spec = rollout.get("spec") or {}
        host = spec.get("service") or (spec.get("workloadRef") or {}).get("name") or name
        found[f"{namespace}/{host}"] = f"{namespace}/{name}"
    return found
