"""Kubernetes Events about pods, repeated ones counted instead of created again, sent in the background."""

from __future__ import annotations

import asyncio
import logging
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from coalmine.local.node.containers import timestamp
from coalmine.local.node.kube import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coalmine.local.node.kube import KubeApi

__all__ = ["EventRecorder"]

_LOG: Final = logging.getLogger(__name__)
_REMEMBERED: Final = 4096
_QUEUED: Final = 1000


class EventRecorder:
    """Records events; a full queue (the apiserver is away) drops them with a log line, pods go on."""

    def __init__(self, api: KubeApi, node_name: str) -> None:
        self._api = api
        self._source = {"component": "coalmine-node", "host": node_name}
        self._queue: asyncio.Queue[tuple[Mapping[str, Any], str, str, str]] = asyncio.Queue(_QUEUED)
        self._known: dict[tuple[str, str, str], tuple[str, int]] = {}

    def emit(self, pod: Mapping[str, Any], kind: str, reason: str, message: str) -> None:
        """Record an event about a pod; ``kind`` is Normal or Warning."""
        try:
            self._queue.put_nowait((pod, kind, reason, message))
        except asyncio.QueueFull:
            _LOG.warning("event dropped: %s %s: %s", pod["metadata"]["name"], reason, message)

    async def run(self) -> None:
        """Send what is recorded, for ever."""
        while True:
            pod, kind, reason, message = await self._queue.get()
            try:
                await self._send(pod, kind, reason, message)
            except ApiError as error:
                _LOG.debug("event %s of %s not sent: %s", reason, pod["metadata"]["name"], error)

    async def _send(self, pod: Mapping[str, Any], kind: str, reason: str, message: str) -> None:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/events"
        key = (metadata["uid"], reason, message)
        now = timestamp(datetime.now(UTC))
        if key in self._known:
            name, count = self._known[key]
            try:
                await self._api.patch(f"{path}/{name}", {"count": count + 1, "lastTimestamp": now})
            except ApiError as error:
                if error.status != 404:  # noqa: PLR2004 - Not Found: the event has expired, and is made anew
                    raise
            else:
                self._known[key] = (name, count + 1)
                return
        name = f"{metadata['name'][:230]}.{secrets.token_hex(8)}"
        reference = {"apiVersion": "v1", "kind": "Pod"} | {key: metadata[key] for key in ("namespace", "name", "uid")}
        await self._api.create(
            path,
            {
                "metadata": {"name": name, "namespace": metadata["namespace"]},
                "involvedObject": reference,
                "type": kind,
                "reason": reason,
                "message": message[:1024],
                "source": self._source,
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
            },
        )
        if len(self._known) >= _REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[key] = (name, 1)
