"""What no watch tells: an object that was deleted while a watch was broken.

After the API server has forgotten a watch's position (410 Gone) kopf lists what exists and goes on; nobody says of the
rest that it is gone. So the names of all objects are asked for now and then, and what is kept of others is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from rollouts.engine.kube import KubeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from rollouts.engine.cache import Cache, Key
    from rollouts.engine.kube import Kube

__all__ = ["Kind", "Sweep"]

_LOG = logging.getLogger(__name__)
_EVERY_SECONDS: Final = 120.0
_PAGE: Final = "500"
_NAMES_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_FAULTS: Final = (KubeError, aiohttp.ClientError, OSError, TimeoutError)

Kind = tuple[str, str, str]
"""API group, version and plural name."""


class Sweep:
    """Drops from the cache what is not there any more."""

    def __init__(
        self,
        kube: Kube,
        cache: Cache,
        kinds: Iterable[Kind],
        vanished: Callable[[str, Key], None],
        *,
        namespaces: Sequence[str] = (),
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Make one.

        Args:
            kube: The API server.
            cache: What the watches feed.
            kinds: What they watch.
            vanished: Told of each object that was dropped: its kind's plural name, its namespace and name.
            namespaces: Those that are watched; none: the whole cluster.
            pause: Waits for a time in seconds.
        """
        self._kube = kube
        self._cache = cache
        self._kinds = tuple(kinds)
        self._vanished = vanished
        self._namespaces = namespaces
        self._pause = pause

    async def run(self) -> None:
        """Sweep now and then until cancelled."""
        while True:
            await self._pause(_EVERY_SECONDS)
            for kind in self._kinds:
                try:
                    await self.sweep(kind)
                except _FAULTS as error:
                    _LOG.debug("%s cannot be listed: %s", kind[2], error)
                except Exception:  # noqa: BLE001 - see below
                    # A look that only tidies up may never end the controller: this is a bug of ours.
                    _LOG.exception("%s cannot be compared with what is known", kind[2])

    async def sweep(self, kind: Kind) -> None:
        """Compare one kind. What appears, or is made anew under its name, while it is being listed is left alone.

        Raises:
            KubeError: It cannot be listed.
        """
        plural = kind[2]
        before = dict(self._cache.known(plural))
        present = {name async for page in self._pages(kind) for name in _names(page)}
        for key in before.keys() - present:
            if self._cache.known(plural).get(key) == before[key]:
                _LOG.warning("%s %s/%s is gone, and no watch had told of it", plural, *key)
                self._cache.drop(plural, *key)
                self._vanished(plural, key)

    async def _pages(self, kind: Kind) -> AsyncIterator[Mapping[str, Any]]:
        group, version, plural = kind
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        wide = not self._namespaces or plural.startswith("cluster")
        for path in [root] if wide else [f"{root}/namespaces/{n}" for n in self._namespaces]:
            query = {"limit": _PAGE}
            while True:
                page = await self._kube.request("GET", f"{path}/{plural}", query=query, accept=_NAMES_ONLY)
                if page is None:
                    raise KubeError(404, "NotFound", f"{path}/{plural}: there is no such kind of object")
                yield page
                if not (more := page["metadata"].get("continue")):
                    break
                query = {"limit": _PAGE, "continue": more}


def _names(page: Mapping[str, Any]) -> Iterator[Key]:
    for item in page["items"] or ():  # null where there are none
        yield item["metadata"].get("namespace", ""), item["metadata"]["name"]
