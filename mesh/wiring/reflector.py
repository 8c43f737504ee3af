"""A kind of object kept up to date: list, then watch; list again when the watch's position is gone."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from mesh.wiring.kube import AbsentError, GoneError, Kube, KubeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mesh.wiring.kube import Kind

__all__ = ["Reflector"]

log = logging.getLogger(__name__)
ItemT = TypeVar("ItemT")
_FIRST_DELAY: Final = 0.2
_LONGEST_DELAY: Final = 10.0
_ABSENT_DELAY: Final = 1.0
"""Seconds between two looks for a custom resource that the server does not know yet."""


class Reflector(Generic[ItemT]):
    """Objects of a kind, read into a form of ours as they come.

    Args:
        kube: The client.
        kinds: The kind in each version that will do, the preferred first.
        read: Makes an item of an object; what it raises is logged, and the object's last good item is kept.
        changed: Called after each change.
        optional: The server may not know the kind: then there are no objects until it does.

    Attributes:
        items: By namespace and name.
        kind: The kind in the version in use.
        synced: Set when ``items`` is complete for the first time.
    """

    def __init__(
        self,
        kube: Kube,
        kinds: Sequence[Kind],
        read: Callable[[dict[str, Any]], ItemT],
        changed: Callable[[], None],
        *,
        optional: bool = False,
    ) -> None:
        self._kube = kube
        self._kinds = kinds
        self._read = read
        self._changed = changed
        self._optional = optional
        self._versions: dict[tuple[str, str], str] = {}
        self.items: dict[tuple[str, str], ItemT] = {}
        self.kind = kinds[0]
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """Keep the items up to date until cancelled."""
        delay = _FIRST_DELAY
        position = ""
        while True:
            try:
                position = position or await self._list()
                delay = _FIRST_DELAY
                async for event in self._kube.watch(self.kind, position):
                    position = event.object["metadata"]["resourceVersion"]
                    self._take(event.type, event.object)
            except GoneError:
                position = ""
            except AbsentError as error:
                position = ""
                if not self._optional:
                    log.warning("%s", error)
                # What was known stays known: a server that starts up may say for a moment that a kind is unknown, and
                # a kind that is deleted has all its objects deleted before.
                self._sync()
                await asyncio.sleep(_ABSENT_DELAY)
            except KubeError as error:
                log.warning("%s; again in %.1f s", error, delay)
                position = position if error.status == 0 else ""
                await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311 - only so that not all come at once
                delay = min(delay * 2, _LONGEST_DELAY)

    async def _list(self) -> str:
        """Replace the items by what the server has; return the position to watch from."""
        for number, kind in enumerate(self._kinds, start=1):
            try:
                objects, position = await self._kube.list_all(kind)
            except AbsentError:
                if number == len(self._kinds):
                    raise
            else:
                self.kind = kind
                break
        present = set()
        for manifest in objects:
            present.add(_key(manifest))
            self._take("ADDED", manifest, quiet=True)
        for key in self.items.keys() - present:
            self._forget(key)
        self._sync()
        self._changed()
        return position

    def _sync(self) -> None:
        if not self.synced.is_set():
            self.synced.set()
            self._changed()

    def _take(self, event: str, manifest: dict[str, Any], *, quiet: bool = False) -> None:
        if event == "BOOKMARK":
            return
        key, version = _key(manifest), manifest["metadata"]["resourceVersion"]
        if event == "DELETED":
            self._forget(key)
        elif self._versions.get(key) == version:
            return
        else:
            try:
                item = self._read({**manifest, "apiVersion": self.kind.api_version, "kind": self.kind.kind})
            except Exception:
                log.exception("%s %s/%s cannot be read", self.kind.kind, *key)
                return
            self._versions[key] = version
            if self.items.get(key) == item:
                return
            self.items[key] = item
        if not quiet:
            self._changed()

    def _forget(self, key: tuple[str, str]) -> None:
        self.items.pop(key, None)
        self._versions.pop(key, None)


def _key(manifest: dict[str, Any]) -> tuple[str, str]:
    meta = manifest["metadata"]
    return meta.get("namespace", ""), meta["name"]
