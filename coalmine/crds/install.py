"""The definitions in a cluster: made where they are absent, kept up to date where they are ours, others' left alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from coalmine.crds.definitions import DEFINITIONS
from mesh.wiring.kube import AbsentError, ConflictError, Kind, Kube

if TYPE_CHECKING:
    from coalmine.crds.definitions import Definition

__all__ = ["Outcome", "install"]

_CRDS: Final = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")
_PART: Final = "app.kubernetes.io/part-of"
_OURS: Final = "coalmine"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a definition.

    Attributes:
        name: The definition's.
        done: ``installed``, ``updated``, or ``theirs``: somebody else's, which serves as well.
        missing: Of somebody else's: why the mesh cannot read its resources; empty where it can.
    """

    name: str
    done: Literal["installed", "updated", "theirs"]
    missing: str = ""


async def install(kube: Kube, *, dry_run: bool = False) -> list[Outcome]:
    """Install every definition that is absent, and update those that are ours.

    Istio's own are left as they are, whether they come before or are installed later over ours: then their label is gone.

    Args:
        kube: The cluster.
        dry_run: Write nothing.

    Raises:
        KubeError: The API server refuses, or is out of reach.
    """
    return [await _install(kube, definition, dry_run=dry_run) for definition in DEFINITIONS]


async def _install(kube: Kube, definition: Definition, *, dry_run: bool) -> Outcome:
    present = await _present(kube, definition)
    if present is None:
        # Created, not applied: what somebody else installs at the same moment is not to be overwritten.
        if dry_run or await kube.create(_CRDS, definition.dump()):
            return Outcome(definition.name, "installed")
        present = await kube.get(_CRDS, "", definition.name)
    if not _is_ours(present):
        return Outcome(definition.name, "theirs", _missing(present, definition))
    if not dry_run:
        await _replace(kube, definition, present)
    return Outcome(definition.name, "updated")


async def _replace(kube: Kube, definition: Definition, present: dict[str, Any]) -> None:
    meta = {**present["metadata"], **definition.dump()["metadata"]}
    try:
        await kube.replace(_CRDS, {**present, "metadata": meta, "spec": definition.dump()["spec"]})
    except ConflictError:
        # Its status is written by the API server itself.
        fresh = await kube.get(_CRDS, "", definition.name)
        if _is_ours(fresh):
            await kube.replace(_CRDS, {**fresh, "spec": definition.dump()["spec"]})


async def _present(kube: Kube, definition: Definition) -> dict[str, Any] | None:
    try:
        return await kube.get(_CRDS, "", definition.name)
    except AbsentError:
        return None


def _is_ours(manifest: dict[str, Any]) -> bool:
    return bool((manifest["metadata"].get("labels") or {}).get(_PART) == _OURS)


def _missing(present: dict[str, Any], definition: Definition) -> str:
    served = [v["name"] for v in present["spec"]["versions"] if v.get("served")]
    if set(served) & set(definition.versions):
        return ""
    return (
        f"it serves {', '.join(served) or 'nothing'} and the mesh reads {', '.join(definition.versions)}: upgrade it, or "
        "delete it where nobody uses it"
    )
