"""Pods that should have a sidecar and have none: they are older than the label, or injection failed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesh.api.names import PROXY_CONTAINER
from mesh.inject.choice import RefusedError, namespace_wants, pod_choice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Uninjected", "find_uninjected"]


@dataclass(frozen=True, slots=True, order=True)
class Uninjected:
    """A pod without the sidecar that it should have.

    Attributes:
        namespace: Its namespace.
        pod: Its name.
        owner: Kind and name of what made it, such as ``Deployment/payment``; empty for a pod of nobody's.
        restart: Whether a restart of the owner makes it anew, with a sidecar.
        reason: Why it has none.
    """

    namespace: str
    pod: str
    owner: str
    restart: bool
    reason: str


def find_uninjected(
    namespaces: Iterable[Mapping[str, Any]],
    pods: Iterable[Mapping[str, Any]],
    replica_sets: Iterable[Mapping[str, Any]] = (),
    *,
    istio_labels: bool = True,
) -> list[Uninjected]:
    """Return the pods without a sidecar whose namespace or own label asks for one.

    Args:
        namespaces: All of them, as the API serves them.
        pods: Those to look at.
        replica_sets: By these a pod's Deployment is found.
        istio_labels: Whether Istio's labels mean us.
    """
    wanted = {
        n["metadata"]["name"]: namespace_wants(n["metadata"].get("labels") or {}, istio_labels=istio_labels)
        for n in namespaces
    }
    deployments = {
        (r["metadata"]["namespace"], r["metadata"]["name"]): _controller(r["metadata"]) for r in replica_sets
    }
    found = []
    for pod in pods:
        metadata, spec = pod["metadata"], pod.get("spec") or {}
        if (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"} or "deletionTimestamp" in metadata:
            continue
        containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
        if any(c["name"] == PROXY_CONTAINER for c in containers) or not _wants(metadata, wanted):
            continue
        namespace = metadata["namespace"]
        kind, name = _controller(metadata)
        if kind == "ReplicaSet":
            kind, name = deployments.get((namespace, name)) or (kind, name)
        reason = "spec.hostNetwork: it cannot have one" if spec.get("hostNetwork") else "older than the label"
        restart = kind in {"Deployment", "StatefulSet", "DaemonSet"} and not spec.get("hostNetwork")
        found.append(Uninjected(namespace, metadata["name"], f"{kind}/{name}" if kind else "", restart, reason))
    return sorted(found)


def _wants(metadata: Mapping[str, Any], namespaces: Mapping[str, bool | None]) -> bool:
    try:
        own = pod_choice(metadata)
    except RefusedError:  # misspelt: it was made before anybody looked at it
        own = None
    return own if own is not None else bool(namespaces.get(metadata["namespace"]))


def _controller(metadata: Mapping[str, Any]) -> tuple[str, str]:
    owners = [o for o in metadata.get("ownerReferences") or [] if o.get("controller")]
    return (owners[0]["kind"], owners[0]["name"]) if owners else ("", "")
