"""Pod templates: what makes two of them the same release."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any, Final

__all__ = ["POD_TEMPLATE_HASH", "images", "plain", "revision"]

POD_TEMPLATE_HASH: Final = "pod-template-hash"
_REVISION_DIGITS = 10


def plain(template: dict[str, Any]) -> dict[str, Any]:
    """Return the template without what the Deployment controller adds to it in a ReplicaSet."""
    result = copy.deepcopy(template)
    metadata = {k: v for k, v in (result.get("metadata") or {}).items() if v is not None}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k != POD_TEMPLATE_HASH}
    metadata["labels"] = labels
    if not metadata.get("annotations"):
        metadata.pop("annotations", None)
    result["metadata"] = metadata
    return result


def revision(template: dict[str, Any]) -> str:
    """Return the template's revision: a hash that a Deployment's template and its ReplicaSet's share."""
    text = json.dumps(plain(template), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_REVISION_DIGITS]


def images(template: dict[str, Any]) -> tuple[str, ...]:
    """Return the images of the template's containers, in order."""
    containers = (template.get("spec") or {}).get("containers") or []
    return tuple(str(c["image"]) for c in containers if c.get("image"))
