"""The included mesh: TrafficSplit objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mesh.api.names import MESH_GROUP, MESH_VERSION
from mesh.api.trafficsplit import Backend, TrafficSplitSpec, TrafficSplitStatus
from rollouts.core.canary import owner_reference
from rollouts.core.observed import Traffic
from rollouts.routers.shapes import read_shape, written_shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.core.actions import SetTraffic
    from rollouts.core.observed import Subject

__all__ = ["CoalmineRouter"]


class CoalmineRouter:
    """Writes one TrafficSplit for each Rollout, with the Rollout's name and owned by it."""

    api_version = f"{MESH_GROUP}/{MESH_VERSION}"
    plural = "trafficsplits"

    def name(self, subject: Subject) -> str:
        """Return the name of the Rollout's split."""
        return subject.name

    def manifest(self, subject: Subject, wanted: SetTraffic) -> dict[str, Any]:
        """Return the TrafficSplit."""
        spec = TrafficSplitSpec(
            service=wanted.host,
            backends=tuple(Backend(service=s, weight=w) for s, w in wanted.weights.items()),
            outlier_detection=wanted.outlier_detection,
            **written_shape(wanted.shape),
        )
        return {
            "apiVersion": self.api_version,
            "kind": "TrafficSplit",
            "metadata": {
                "name": self.name(subject),
                "namespace": subject.namespace,
                "ownerReferences": [owner_reference(subject)],
            },
            "spec": _sparse(spec.dump()),
        }

    def observe(self, split: Mapping[str, Any]) -> Traffic:
        """Return what is written and what the proxies hold of it."""
        spec = TrafficSplitSpec.model_validate(split["spec"])
        status = TrafficSplitStatus.model_validate(split.get("status") or {})
        generation = split["metadata"]["generation"]
        held = status.acknowledged
        acknowledged = held is not None and held.generation == generation
        return Traffic(
            host=spec.service,
            weights={b.service: b.weight for b in spec.backends},
            outlier_detection=spec.outlier_detection,
            acknowledged=acknowledged,
            held=held.weights if held else None,
            proxies=f"{status.proxies.acknowledged}/{status.proxies.affected}"
            if status.observed_generation == generation
            else "",
            message="" if acknowledged else _missing(status, generation),
            shape=read_shape(spec),
        )


def _sparse(spec: dict[str, Any]) -> dict[str, Any]:
    """Leave out what says nothing."""
    return {k: v for k, v in spec.items() if v not in ([], {})}


def _missing(status: TrafficSplitStatus, generation: int) -> str:
    """Return a proxy's own words when it rejected this split, else which proxies are missing."""
    rejected = next((r for r in status.rejections if r.generation == generation), None)
    if rejected is not None:
        return f"proxy {rejected.proxy} rejected it: {rejected.message}"
    if status.observed_generation != generation:
        return "the mesh has not taken it up yet: is its control plane running?"
    if status.proxies.missing:
        return f"not acknowledged yet by {', '.join(status.proxies.missing)}"
    return ""
