"""Injection without an API server: manifests in, manifests with sidecars out. Pure."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from mesh.inject.choice import RefusedError
from mesh.inject.pods import inject

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mesh.inject.pods import InjectConfig

__all__ = ["inject_manifests", "template_path"]

_TEMPLATES: Final = {
    "Pod": (),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    **dict.fromkeys(
        ("DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"), ("spec", "template")
    ),
}


def template_path(kind: str) -> tuple[str, ...] | None:
    """Return where an object of a kind has its pod template; None for a kind that makes no pods."""
    return _TEMPLATES.get(kind)


def inject_manifests(manifests: Iterable[Any], config: InjectConfig) -> tuple[list[Any], list[str]]:
    """Return manifests with sidecars in all pods and pod templates that have not opted out, and warnings.

    What makes no pods is returned as it is. The manifests themselves are not changed.

    Raises:
        RefusedError: A pod cannot be in the mesh; the message names the object, the field and what to do.
    """
    made: list[Any] = []
    warnings: list[str] = []
    for manifest in manifests:
        after, said = _inject_one(manifest, config)
        made.append(after)
        warnings += said
    return made, warnings


def _inject_one(manifest: Any, config: InjectConfig) -> tuple[Any, list[str]]:
    if not isinstance(manifest, dict):
        return manifest, []
    if manifest.get("kind") == "List":
        items, warnings = inject_manifests(manifest.get("items") or [], config)
        return {**manifest, "items": items}, warnings
    path = template_path(str(manifest.get("kind")))
    if path is None:
        return manifest, []
    after = copy.deepcopy(manifest)
    pod: Any = after
    for key in path:
        pod = (pod or {}).get(key)
    if not isinstance(pod, dict):
        raise RefusedError(f"{_name(manifest)}: {'.'.join(path)} is missing")
    try:
        injection = inject(pod, config)
    except RefusedError as error:
        raise RefusedError(f"{_name(manifest)}: {error}") from None
    for operation in injection.patch:
        _apply(pod, operation)
    return after, [f"{_name(manifest)}: {warning}" for warning in injection.warnings]


def _apply(pod: dict[str, Any], operation: dict[str, Any]) -> None:
    """Apply one of the injector's operations, all of which are ``add`` to an object that is there or is made."""
    parts: Sequence[str] = [p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:]]
    node: Any = pod
    for part in parts[:-1]:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    node[parts[-1]] = operation["value"]


def _name(manifest: dict[str, Any]) -> str:
    metadata = manifest.get("metadata") or {}
    namespace = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{manifest.get('kind')} {namespace}{metadata.get('name') or metadata.get('generateName', '?')}"
