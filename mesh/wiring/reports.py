"""Tells the authors of resources what is wrong with them, as Kubernetes Events on the resource."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import TYPE_CHECKING, Any, Final

from mesh.wiring.kinds import EVENTS
from mesh.wiring.kube import KubeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mesh.resolve.problems import Problem
    from mesh.wiring.kube import Kube

__all__ = ["Reports"]

log = logging.getLogger(__name__)
_COMPONENT: Final = "coalmine-mesh"
_MESSAGE_LIMIT: Final = 1024
"""What the API server takes."""


class Reports:
    """Events for problems, each once; a restart says none twice, since the name follows from what is said.

    Args:
        kube: The client.
        now: The time, RFC 3339.
    """

    def __init__(self, kube: Kube, *, now: Callable[[], str]) -> None:
        self._kube = kube
        self._now = now
        self._told: set[Problem] = set()
        self._queue: asyncio.Queue[Problem] = asyncio.Queue()

    def tell(self, problems: tuple[Problem, ...]) -> None:
        """Take in all present problems; those that are gone may be told again when they come back."""
        present = set(problems)
        for problem in problems:
            if problem not in self._told:
                log.warning("%s %s/%s: %s", problem.ref.kind, problem.ref.namespace, problem.ref.name, problem.message)
                self._queue.put_nowait(problem)
        self._told = present

    async def run(self) -> None:
        """Write Events until cancelled."""
        while True:
            problem = await self._queue.get()
            try:
                await self._kube.create(EVENTS, _event(problem, self._now()))
            except KubeError as error:
                log.warning("Event on %s/%s: %s", problem.ref.namespace, problem.ref.name, error)


def _event(problem: Problem, now: str) -> dict[str, Any]:
    ref = problem.ref
    digest = hashlib.blake2b(f"{ref.uid} {problem.reason} {problem.message}".encode(), digest_size=8).hexdigest()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": ref.namespace, "name": f"{ref.name[:200]}.{digest}"},
        "involvedObject": {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "namespace": ref.namespace,
            "name": ref.name,
            "uid": ref.uid,
        },
        "type": "Warning",
        "reason": problem.reason,
        "message": problem.message[:_MESSAGE_LIMIT],
        "source": {"component": _COMPONENT},
        "reportingComponent": _COMPONENT,
        "reportingInstance": _COMPONENT,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
