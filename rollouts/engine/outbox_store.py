"""The queue of notifications of one Rollout in its ConfigMap: changed in memory, stored before anybody relies on it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from rollouts.api.names import ROLLOUT_LABEL
from rollouts.core.canary import owner_reference
from rollouts.engine.kube import ConflictError, KubeError, object_path
from rollouts.notify.outbox import MOST_AGE, MOST_AGE_AT_FIRST, Box

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollouts.core.observed import Subject
    from rollouts.engine.kube import Kube

__all__ = ["BoxStore"]

_LOG = logging.getLogger(__name__)
_MOST_CONFLICTS: Final = 8


class BoxStore:
    """One Rollout's box. Changes made at the same time are stored together."""

    def __init__(self, kube: Kube, subject: Subject) -> None:
        """Make one that was not loaded yet.

        Args:
            kube: The connection of one who writes only while it leads.
            subject: The Rollout; its ConfigMap is named by its uid, and goes with it.
        """
        self._kube = kube
        self._subject = subject
        self._stored = Box()
        self._version: str | None = None
        self._changes: list[Callable[[Box], Box]] = []
        self._lock = asyncio.Lock()
        self._progress = asyncio.Event()
        self.box = Box()
        """With all changes, stored or not."""
        self.most_age = MOST_AGE_AT_FIRST
        """How old, in seconds, what is put in may be."""
        self.failing = False
        """Whether the API server did not take the last writing."""

    async def load(self) -> None:
        """Read what is stored.

        Raises:
            KubeError: The API server refuses.
        """
        await self._read()
        if self._stored != Box():
            self.most_age = MOST_AGE

    async def progress(self) -> None:
        """Wait until something was stored, or could not be."""
        self._progress.clear()
        await self._progress.wait()

    def say_progress(self) -> None:
        """Wake those who wait for progress."""
        self._progress.set()

    def say_failure(self, words: str) -> None:
        """Say that the API server cannot be reached, or refuses."""
        self.failing = True
        self._progress.set()
        _LOG.warning("ConfigMap %s/%s: %s", self._subject.namespace, self.name, words)

    def change(self, change: Callable[[Box], Box]) -> None:
        """Change it in memory; the change may be applied again to another box."""
        self._changes.append(change)
        self.box = change(self.box)

    async def flush(self) -> None:
        """Store every change made so far.

        Raises:
            KubeError: The API server refuses; the changes are kept.
        """
        mine = tuple(self._changes)
        async with self._lock:
            if any(change in self._changes for change in mine):
                await self._write()

    async def _write(self) -> None:
        for _ in range(_MOST_CONFLICTS):
            changes = len(self._changes)
            box = self.box
            try:
                answer = await self._put(box)
            except ConflictError:  # an answer of ours that was lost, or the last words of an earlier leader
                await self._read()
                continue
            self._version = str(answer["metadata"]["resourceVersion"])
            self._stored, self.failing = box, False
            del self._changes[:changes]
            return
        raise KubeError(409, "Conflict", f"ConfigMap {self.name} is written by somebody else all the time")

    async def _put(self, box: Box) -> dict[str, Any]:
        path = object_path("v1", "ConfigMap", self._subject.namespace)
        metadata: dict[str, Any] = {
            "name": self.name,
            "namespace": self._subject.namespace,
            "labels": {ROLLOUT_LABEL: self._subject.name},
            "ownerReferences": [owner_reference(self._subject)],
        }
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **box.dump()}
        if self._version is not None:
            metadata["resourceVersion"] = self._version
            answer = await self._kube.request("PUT", f"{path}/{self.name}", body=manifest)
            if answer is not None:
                return answer
            del metadata["resourceVersion"]  # somebody deleted it
            self._version = None
        answer = await self._kube.request("POST", path, body=manifest)
        if answer is None:
            raise KubeError(404, "NotFound", f"there is no namespace {self._subject.namespace}")
        return answer

    async def _read(self) -> None:
        path = object_path("v1", "ConfigMap", self._subject.namespace, self.name)
        found = await self._kube.request("GET", path)
        self._stored, self._version, self.failing = Box(), None, False
        if found is not None:
            self._version = str(found["metadata"]["resourceVersion"])
            try:
                self._stored = Box.read(found)
            except ValueError as error:
                _LOG.warning("ConfigMap %s/%s: %s: it begins anew", self._subject.namespace, self.name, error)
                self.most_age = 0.0  # rather not at all than twice
        self.box = self._stored
        for change in self._changes:
            self.box = change(self.box)

    @property
    def name(self) -> str:
        """The ConfigMap's name: by the uid, as no user's is called so, and a Rollout made anew starts anew."""
        return f"coalmine-notifications-{self._subject.uid}"
