"""Jobs that measure, and those of hooks: created once, then looked at until they have ended."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from analysis.providers.base import ConfigurationError, SourceError, UnavailableError
from rollouts.engine.kube import ConflictError, KubeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from rollouts.engine.kube import Kube

__all__ = ["OwnedJobs"]

PAUSES: Final = (0.25, 0.5, 1.0, 2.0, 5.0)
"""Seconds between looks at a Job; the last one stays."""
_ENDED: Final = frozenset({"Complete", "Failed"})
_PASSING: Final = frozenset({0, 408, 429})
_SERVER_ERRORS: Final = 500
_FAULTS: Final = (KubeError, aiohttp.ClientError, OSError, TimeoutError)


class OwnedJobs:
    """Jobs of one Rollout (``analysis.providers.base.Jobs``)."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        owner: Mapping[str, Any],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Make Jobs in a namespace.

        Args:
            kube: The API server.
            namespace: Where the Rollout is.
            owner: The owner reference of the Rollout: its Jobs go when it goes.
            pause: Waits for a time in seconds.
        """
        self._kube = kube
        self._path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._owner = dict(owner)
        self._pause = pause

    async def run(self, job: Mapping[str, Any]) -> Mapping[str, Any]:
        """Create a Job unless there is one of its name, wait until it has ended, and return it as it is then.

        Raises:
            ConfigurationError: The API server refuses it.
            UnavailableError: The API server cannot be reached, or the Job was deleted before it ended.
        """
        return await self.ended(await self.begun(job))

    async def begun(self, job: Mapping[str, Any]) -> Mapping[str, Any]:
        """Create a Job unless there is one of its name, and return it. See ``run``."""
        return await self._get(job["metadata"]["name"]) or await self._create(job)

    async def ended(self, found: Mapping[str, Any]) -> Mapping[str, Any]:
        """Wait until a Job has ended, and return it as it is then. See ``run``."""
        name = found["metadata"]["name"]
        looks = 0
        while not _has_ended(found):
            await self._pause(PAUSES[min(looks, len(PAUSES) - 1)])
            looks += 1
            again = await self._get(name)
            if again is None:
                msg = f"Job {name} was deleted before it ended"
                raise UnavailableError(msg)
            found = again
        return found

    async def delete(self, name: str) -> None:
        """Delete a Job and its pods; one that is gone is no matter.

        Raises:
            KubeError: The API server refuses.
        """
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        await self._kube.request("DELETE", f"{self._path}/{name}", body=options)

    async def _get(self, name: str) -> dict[str, Any] | None:
        try:
            return await self._kube.request("GET", f"{self._path}/{name}")
        except _FAULTS as error:
            raise _fault(name, error) from error

    async def _create(self, job: Mapping[str, Any]) -> dict[str, Any]:
        name = job["metadata"]["name"]
        body = {**job, "metadata": {**job["metadata"], "ownerReferences": [self._owner]}}
        try:
            return await self._kube.request("POST", self._path, body=body) or body
        except ConflictError:
            # Another replica of the controller was faster.
            return await self._get(name) or body
        except _FAULTS as error:
            raise _fault(name, error) from error


def _has_ended(job: Mapping[str, Any]) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return any(condition["type"] in _ENDED and condition["status"] == "True" for condition in conditions)


def _fault(name: str, error: Exception) -> SourceError:
    if isinstance(error, KubeError) and error.status < _SERVER_ERRORS and error.status not in _PASSING:
        return ConfigurationError(f"Job {name} cannot be run: {error}: correct job.spec, or what the controller may do")
    return UnavailableError(f"Job {name} cannot be run now: {str(error) or type(error).__name__}")
