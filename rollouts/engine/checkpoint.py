"""What was measured in a release, kept in a ConfigMap of the Rollout's, so that a restart of everything loses nothing.

It is written now and then, not at each look: what came after the last writing is asked for again.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rollouts.api.names import FIELD_MANAGER, ROLLOUT_LABEL
from rollouts.core.canary import owner_reference
from rollouts.engine.kube import APPLY, object_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.core.observed import Subject
    from rollouts.engine.kube import Kube

__all__ = ["MOST_BYTES", "Checkpoint", "CheckpointStore", "TooLargeError"]

_LOG = logging.getLogger(__name__)
MOST_BYTES: Final = 700_000
"""A ConfigMap may have 1 MiB; base64 makes four bytes of three."""


class TooLargeError(Exception):
    """More was measured than a ConfigMap holds."""


@dataclass(frozen=True)
class Checkpoint:
    """What was measured of one release.

    Attributes:
        release: Which release, and from which source.
        bounds: The latency bounds in force.
        ledger: ``Ledger.dump()``; empty where nothing was counted.
        share: When the present step began, and both versions' requests in it.
        values: ``Measurements.dump()``.
    """

    release: str
    bounds: tuple[float, ...] | None = None
    ledger: bytes = b""
    share: tuple[float, int, int] = (0.0, 0, 0)
    values: Mapping[str, Any] = field(default_factory=dict)

    def manifest(self, subject: Subject) -> dict[str, Any]:
        """Return the ConfigMap.

        Raises:
            TooLargeError: It would be larger than a ConfigMap may be.
        """
        values = zlib.compress(json.dumps(self.values).encode())
        if (size := len(values) + len(self.ledger)) > MOST_BYTES:
            raise TooLargeError(
                f"{size / 1000:,.0f} kB were measured, more than a ConfigMap holds: a restart of the controller would "
                "read again what the source still has"
            )
        head = {"release": self.release, "bounds": self.bounds, "share": self.share}
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": _name(subject),
                "namespace": subject.namespace,
                "labels": {ROLLOUT_LABEL: subject.name},
                "ownerReferences": [owner_reference(subject)],
            },
            "data": {"head": json.dumps(head)},
            "binaryData": {
                "ledger": base64.b64encode(self.ledger).decode(),
                "values": base64.b64encode(values).decode(),
            },
        }

    @classmethod
    def read(cls, manifest: Mapping[str, Any]) -> Checkpoint:
        """Return what a ConfigMap holds.

        Raises:
            ValueError: It is not one of ours, or of another version.
        """
        try:
            head = json.loads(manifest["data"]["head"])
            binary = {key: base64.b64decode(text, validate=True) for key, text in manifest["binaryData"].items()}
            bounds, (since, canary, baseline) = head["bounds"], head["share"]
            return cls(
                release=str(head["release"]),
                bounds=None if bounds is None else tuple(map(float, bounds)),
                ledger=binary.get("ledger", b""),
                share=(float(since), int(canary), int(baseline)),
                values=dict(json.loads(zlib.decompress(binary["values"]))),
            )
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error, zlib.error) as error:
            raise ValueError(f"what was measured before cannot be read: {error}") from None


class CheckpointStore:
    """Reads and writes the ConfigMaps."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    async def load(self, subject: Subject, release: str) -> Checkpoint:
        """Return what is kept of a release; an empty one where nothing usable is kept."""
        found = await self._kube.request("GET", _path(subject))
        if found is None:
            return Checkpoint(release)
        try:
            kept = Checkpoint.read(found)
        except ValueError as error:
            _LOG.warning("%s/%s: %s; it is measured anew", subject.namespace, subject.name, error)
            return Checkpoint(release)
        return kept if kept.release == release else Checkpoint(release)

    async def save(self, subject: Subject, checkpoint: Checkpoint) -> None:
        """Write it.

        Raises:
            TooLargeError: See there.
            KubeError: The API server refuses.
        """
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        manifest = checkpoint.manifest(subject)
        await self._kube.request("PATCH", _path(subject), query=query, body=manifest, content_type=APPLY)

    async def delete(self, subject: Subject) -> None:
        """Remove it: the release has ended."""
        await self._kube.request("DELETE", _path(subject))


def _name(subject: Subject) -> str:
    """By the uid: no user's ConfigMap is called so, and a Rollout that was made anew starts anew."""
    return f"coalmine-evidence-{subject.uid}"


def _path(subject: Subject) -> str:
    return object_path("v1", "ConfigMap", subject.namespace, _name(subject))
