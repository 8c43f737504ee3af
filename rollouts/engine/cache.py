"""What is known of the cluster: fed by the watches, read by ``gather``. Only what decisions need is kept."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesh.api.names import PROXY_CONTAINER
from rollouts.api.names import PLURAL, ROLLOUT_LABEL
from rollouts.core.pods import pod_trouble
from rollouts.core.templates import images, revision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Cache", "Key", "Pod", "ReplicaSet"]

Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """What is kept of a ReplicaSet."""

    name: str
    uid: str
    owner: str
    revision: str
    images: tuple[str, ...]
    replicas: int


@dataclass(frozen=True, slots=True)
class Pod:
    """What is kept of a pod."""

    name: str
    uid: str
    owner: str
    labels: Mapping[str, str]
    started: str
    node: str
    trouble: str = ""
    sidecar: bool = False
    unscheduled: str = ""
    unscheduled_at: str = ""


def _slim(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without the bulk that nobody reads."""
    metadata = {k: v for k, v in body["metadata"].items() if k != "managedFields"}
    return {**body, "metadata": metadata}


def _owner(body: Mapping[str, Any]) -> str:
    owners: Iterable[Mapping[str, Any]] = body["metadata"].get("ownerReferences") or ()
    return next((str(o["uid"]) for o in owners if o.get("controller")), "")


def _replica_set(body: Mapping[str, Any]) -> ReplicaSet:
    template = body["spec"]["template"]
    replicas = int((body.get("status") or {}).get("replicas", 0))
    return ReplicaSet(
        name=body["metadata"]["name"],
        uid=body["metadata"]["uid"],
        owner=_owner(body),
        revision=revision(template),
        images=images(template),
        replicas=replicas,
    )


def _pod(body: Mapping[str, Any]) -> Pod | None:
    """Return what is kept of a pod; None of one that answers nothing any more."""
    status = body.get("status") or {}
    if body["metadata"].get("deletionTimestamp") or status.get("phase") in {"Succeeded", "Failed"}:
        return None
    spec = body.get("spec") or {}
    containers = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    unscheduled = _unscheduled(status)
    return Pod(
        name=body["metadata"]["name"],
        uid=body["metadata"]["uid"],
        owner=_owner(body),
        labels=dict(body["metadata"].get("labels") or {}),
        trouble=pod_trouble(body),
        started=str(status.get("startTime") or body["metadata"]["creationTimestamp"]),
        node=str(spec.get("nodeName") or ""),
        sidecar=any(c.get("name") == PROXY_CONTAINER for c in containers),
        unscheduled=str(unscheduled.get("message") or ""),
        unscheduled_at=str(unscheduled.get("lastTransitionTime") or ""),
    )


def _unscheduled(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the scheduler's words about a pod that it found no node for."""
    found = (c for c in status.get("conditions") or () if c.get("type") == "PodScheduled")
    return next((c for c in found if c.get("status") == "False" and c.get("reason") == "Unschedulable"), {})


class Cache:
    """Objects by kind, namespace and name."""

    def __init__(self) -> None:
        self.rollouts: dict[Key, dict[str, Any]] = {}
        self.deployments: dict[Key, dict[str, Any]] = {}
        self.services: dict[Key, dict[str, Any]] = {}
        self.splits: dict[Key, dict[str, Any]] = {}
        self.templates: dict[Key, dict[str, Any]] = {}
        """AnalysisTemplates, and with an empty namespace ClusterAnalysisTemplates."""
        self.cluster_templates = True
        """Whether those of the whole cluster are watched."""
        self._replica_sets: dict[str, dict[str, ReplicaSet]] = defaultdict(dict)
        self._pods: dict[str, dict[str, Pod]] = defaultdict(dict)
        self._listeners: list[Callable[[Key, Mapping[str, Any] | None], None]] = []

    def listen(self, listener: Callable[[Key, Mapping[str, Any] | None], None]) -> None:
        """Call ``listener`` with each Rollout that came, changed or went (None); it must not block."""
        self._listeners.append(listener)

    def put(self, plural: str, body: Mapping[str, Any]) -> None:
        """Remember an object's newest form."""
        namespace, name = body["metadata"].get("namespace", ""), body["metadata"]["name"]
        match plural:
            case "replicasets":
                self._replica_sets[namespace][name] = _replica_set(body)
            case "pods":
                pod = _pod(body)
                if pod is None:
                    self._pods[namespace].pop(name, None)
                else:
                    self._pods[namespace][name] = pod
            case _:
                self._plain(plural)[namespace, name] = slim = _slim(body)
                self._heard(plural, (namespace, name), slim)

    def drop(self, plural: str, namespace: str, name: str) -> None:
        """Forget an object."""
        match plural:
            case "replicasets":
                self._replica_sets[namespace].pop(name, None)
            case "pods":
                self._pods[namespace].pop(name, None)
            case _:
                self._plain(plural).pop((namespace, name), None)
                self._heard(plural, (namespace, name), None)

    def _heard(self, plural: str, key: Key, body: Mapping[str, Any] | None) -> None:
        if plural == PLURAL:
            for listener in self._listeners:
                listener(key, body)

    def known(self, plural: str) -> dict[Key, str]:
        """Return the uids of a kind's objects, by namespace and name."""
        if plural == "pods":
            return {(ns, name): x.uid for ns, pods in self._pods.items() for name, x in pods.items()}
        if plural == "replicasets":
            return {(ns, name): x.uid for ns, sets in self._replica_sets.items() for name, x in sets.items()}
        wide = plural.startswith("cluster")
        of_kind = {k: x for k, x in self._plain(plural).items() if wide is not bool(k[0])}
        return {key: str(x["metadata"].get("uid", "")) for key, x in of_kind.items()}

    def _plain(self, plural: str) -> dict[Key, dict[str, Any]]:
        return {
            "rollouts": self.rollouts,
            "deployments": self.deployments,
            "services": self.services,
            "trafficsplits": self.splits,
            "analysistemplates": self.templates,
            "clusteranalysistemplates": self.templates,
        }[plural]

    def replica_sets(self, namespace: str, owner: str) -> list[ReplicaSet]:
        """Return the ReplicaSets of a Deployment."""
        return [r for r in self._replica_sets[namespace].values() if r.owner == owner]

    def pods(self, namespace: str, selector: Mapping[str, str]) -> list[Pod]:
        """Return the pods that a Service's selector selects; none for an empty one."""
        if not selector:
            return []
        wanted = selector.items()
        return [p for p in self._pods[namespace].values() if all(p.labels.get(k) == v for k, v in wanted)]

    def pods_in(self, namespace: str) -> list[Pod]:
        """Return a namespace's pods."""
        return list(self._pods[namespace].values())

    def labelled(self, namespace: str, rollout: str) -> list[dict[str, Any]]:
        """Return the Deployments that carry a Rollout's label."""
        return [
            d
            for (ns, _), d in self.deployments.items()
            if ns == namespace and (d["metadata"].get("labels") or {}).get(ROLLOUT_LABEL) == rollout
        ]

    def all_rollouts(self) -> list[dict[str, Any]]:
        """Return all Rollouts."""
        return list(self.rollouts.values())

    def rollouts_in(self, namespace: str) -> list[dict[str, Any]]:
        """Return a namespace's Rollouts."""
        return [r for (ns, _), r in self.rollouts.items() if ns == namespace]
