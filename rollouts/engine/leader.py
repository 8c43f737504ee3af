"""Which of several replicas acts: a Lease (coordination.k8s.io/v1), as client-go's leader election keeps it.

Clocks of two machines are never compared. Whoever waits measures with its own clock for how long the Lease did not
change; whoever leads counts from before it sent the renewal that was accepted, and stops well before others may start.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from rollouts.engine.kube import ConflictError, KubeError, object_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from rollouts.engine.kube import Kube

__all__ = ["Elector", "LeaseSettings", "own_namespace", "since_boot"]

_LOG = logging.getLogger(__name__)
_API: Final = "coordination.k8s.io/v1"
_FAULTS: Final = (KubeError, aiohttp.ClientError, OSError, TimeoutError)
_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_SHARE_OF_LEADING: Final = 2 / 3
"""A holder that could not renew for this part of the lease stops; the rest is for what it had sent before."""
_TRIES: Final = 7.5
"""Tries to renew or to take over in one lease: 15 s, 10 s and 2 s are what Kubernetes' own controllers use."""


@dataclass(frozen=True)
class LeaseSettings:
    """Which Lease.

    Attributes:
        seconds: After how many seconds without a renewal another replica takes over.
    """

    namespace: str
    name: str
    seconds: int = 15


def own_namespace() -> str:
    """Return the pod's namespace; ``default`` outside of a pod."""
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.exists() else "default"


def since_boot() -> float:
    """Return seconds on a clock that goes on while the process, or the machine, sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Elector:
    """Takes the Lease, keeps it, and says for how long it is surely held."""

    def __init__(
        self,
        kube: Kube,
        settings: LeaseSettings,
        identity: str,
        *,
        clock: Callable[[], float] = since_boot,
        today: Callable[[], float] = time.time,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Make one that holds nothing yet.

        Args:
            kube: An unguarded connection: the Lease itself is written by those who do not lead.
            settings: Which Lease.
            identity: This process's name; no two processes ever have the same.
            clock: Seconds that never go back and do not stop while the process is stopped.
            today: Unix seconds, for people who read the Lease.
            pause: Waits for a time in seconds.
        """
        self._kube = kube
        self._settings = settings
        self._identity = identity
        self._clock = clock
        self._today = today
        self._pause = pause
        self._until = float("-inf")
        self._mine: dict[str, Any] | None = None
        self._number = 0
        self._seen: tuple[str, float] = ("", 0.0)

    def left(self) -> float:
        """Return for how many more seconds this process surely leads; not more than 0 where it does not."""
        return self._until - self._clock()

    async def run(self, duty: Callable[[], Awaitable[None]], waits: Callable[[], None]) -> None:
        """Do the duty whenever this process leads, until cancelled; then give the Lease back.

        Args:
            duty: Cancelled as soon as the Lease is lost. It does not return by itself; what it raises is raised.
            waits: Called when another process leads.
        """
        term: asyncio.Task[None] | None = None
        number = 0
        try:
            while True:
                await self._try()
                if term is not None and (term.done() or self.left() <= 0 or self._number != number):
                    await _end(term)
                    _LOG.warning("%s does not lead any more", self._identity)
                    term = None
                if term is None and self.left() > 0:
                    number = self._number
                    _LOG.info("%s leads", self._identity)
                    term = asyncio.ensure_future(_as_coroutine(duty))
                elif term is None:
                    waits()
                await self._rest(term)
        finally:
            if term is not None:
                await _end(term)
            await self._give_back()

    async def attempt(self) -> None:
        """Renew the Lease, or take it where it is free or its holder has been silent for too long.

        Raises:
            KubeError: The API server refuses, or cannot be reached.
        """
        try:
            await self._once()
        except ConflictError:  # somebody else wrote it: look who
            self._mine = None
            with contextlib.suppress(ConflictError):
                await self._once()

    async def _try(self) -> None:
        """Attempt it for as long as what is held lasts."""
        patience = max(self.left(), self._settings.seconds / _TRIES)
        try:
            async with asyncio.timeout(patience):
                await self.attempt()
        except _FAULTS as error:
            _LOG.warning("Lease %s: %s", self._path, str(error) or type(error).__name__)

    async def _rest(self, term: asyncio.Task[None] | None) -> None:
        """Wait until the next try, or until the duty ends, which it does only by an error."""
        seconds = self._settings.seconds / _TRIES
        if term is None:
            await self._pause(seconds)
            return
        pause = asyncio.ensure_future(_as_coroutine(lambda: self._pause(max(0.0, min(seconds, self.left())))))
        try:
            await asyncio.wait({term, pause}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()

    async def _once(self) -> None:
        asked = self._clock()
        lease = self._mine or await self._kube.request("GET", self._path)
        if lease is None:
            self._hold(asked, await self._create())
        elif self._mine or self._is_free(lease):
            self._hold(asked, await self._write(lease, self._identity))
        else:
            self._until = float("-inf")

    def _hold(self, asked: float, lease: dict[str, Any] | None) -> None:
        if lease is None:  # it was deleted just now
            self._mine = None
            return
        self._mine = lease
        self._number = int(lease["spec"].get("leaseTransitions") or 0)
        self._until = asked + self._settings.seconds * _SHARE_OF_LEADING

    def _is_free(self, lease: Mapping[str, Any]) -> bool:
        version, now = str(lease["metadata"]["resourceVersion"]), self._clock()
        if version != self._seen[0]:
            self._seen = (version, now)
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        lasts = float(spec.get("leaseDurationSeconds") or self._settings.seconds)
        return holder in {"", self._identity} or now - self._seen[1] >= lasts

    @property
    def _path(self) -> str:
        return object_path(_API, "Lease", self._settings.namespace, self._settings.name)

    async def _create(self) -> dict[str, Any] | None:
        metadata = {"namespace": self._settings.namespace, "name": self._settings.name}
        body = {"apiVersion": _API, "kind": "Lease", "metadata": metadata, "spec": self._spec({}, self._identity)}
        path = object_path(_API, "Lease", self._settings.namespace)
        answer = await self._kube.request("POST", path, body=body)
        if answer is None:
            raise KubeError(404, "NotFound", f"--lease-namespace: there is no namespace {self._settings.namespace}")
        return answer

    async def _write(self, lease: Mapping[str, Any], holder: str) -> dict[str, Any] | None:
        """Write it onto the very version that was read."""
        metadata = {k: lease["metadata"][k] for k in ("namespace", "name", "uid", "resourceVersion")}
        spec = self._spec(lease.get("spec") or {}, holder)
        return await self._kube.request(
            "PUT", self._path, body={"apiVersion": _API, "kind": "Lease", "metadata": metadata, "spec": spec}
        )

    def _spec(self, before: Mapping[str, Any], holder: str) -> dict[str, Any]:
        now = dt.datetime.fromtimestamp(self._today(), dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        same = before.get("holderIdentity") == holder
        return {
            "holderIdentity": holder,
            "leaseDurationSeconds": self._settings.seconds if holder else 1,
            "acquireTime": before.get("acquireTime", now) if same else now,
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + int(not same and bool(holder)),
        }

    async def _give_back(self) -> None:
        """Let another replica take over at once."""
        lease, self._mine = self._mine, None
        held, self._until = self.left() > 0, float("-inf")
        if lease is not None and held:
            with contextlib.suppress(*_FAULTS):
                async with asyncio.timeout(self._settings.seconds / _TRIES):
                    await self._write(lease, "")


async def _as_coroutine(call: Callable[[], Awaitable[object]]) -> None:
    await call()


async def _end(term: asyncio.Task[None]) -> None:
    """Cancel the duty and wait for its end; what it raised is raised."""
    term.cancel()
    await asyncio.wait({term})
    if not term.cancelled() and (error := term.exception()):
        raise error
