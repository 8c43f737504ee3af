"""The objects of a Rollout as a tree: Deployments, their ReplicaSets, their pods."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from rollouts.views.looks import Tone
from rollouts.views.words import age, images_words, unix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Node", "belongs", "tree_of"]

Obj = dict[str, Any]
_ROLE: Final = "coalmine.dev/role"
_REVISION: Final = "deployment.kubernetes.io/revision"
_ORDER: Final = {"stable": 0, "canary": 1, "baseline": 2}
_STARTING: Final = frozenset({"ContainerCreating", "PodInitializing"})


@dataclass(frozen=True)
class Node:
    """One object.

    Attributes:
        kind: Deployment, ReplicaSet or Pod.
        name: Its name.
        symbol: One character for its tone, so that no tree needs colours.
        tone: How it is.
        role: Of a Deployment: stable, canary or baseline.
        words: How it is, in words.
        images: The tags of its images.
        age: As kubectl writes it.
        children: What it owns.
    """

    kind: str
    name: str
    symbol: str
    tone: Tone
    role: str = ""
    words: str = ""
    images: str = ""
    age: str = ""
    children: tuple[Node, ...] = ()


_SYMBOLS: Final = {Tone.GOOD: "✔", Tone.BUSY: "◌", Tone.WAITING: "‖", Tone.BAD: "✖", Tone.IDLE: "·"}


def belongs(deployment: Mapping[str, Any], rollout: Mapping[str, Any]) -> bool:
    """Return whether a Deployment is a Rollout's: its workload, or one that it made."""
    workload = ((rollout.get("spec") or {}).get("workloadRef") or {}).get("name")
    return deployment["metadata"]["name"] == workload or _owned_by(deployment, rollout)


def tree_of(
    rollout: Mapping[str, Any],
    deployments: Iterable[Obj],
    replica_sets: Iterable[Obj],
    pods: Iterable[Obj],
    now: float,
) -> tuple[Node, ...]:
    """Return the Rollout's Deployments with all below them: stable first, then canary, then fresh stable pods.

    Args:
        rollout: The Rollout.
        deployments: Of its namespace; those of others are left out.
        replica_sets: Of its namespace. Empty old ones are left out.
        pods: Of its namespace.
        now: Unix seconds, for the ages.
    """
    sets, all_pods = list(replica_sets), list(pods)
    nodes = [_deployment(d, sets, all_pods, now) for d in deployments if belongs(d, rollout)]
    return tuple(sorted(nodes, key=lambda n: (_ORDER.get(n.role, 9), n.name)))


def _deployment(obj: Obj, sets: Sequence[Obj], pods: Sequence[Obj], now: float) -> Node:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    role = (obj["metadata"].get("labels") or {}).get(_ROLE) or "stable"
    wanted, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
    failed = any(
        c.get("type") == "Progressing" and c.get("reason") == "ProgressDeadlineExceeded" and c.get("status") == "False"
        for c in status.get("conditions") or ()
    )
    words = [f"{ready}/{wanted} ready"]
    if spec.get("paused"):
        words.append("change held")
    if failed:
        words.append("marked as failed")
    tone = Tone.BAD if failed else Tone.GOOD if ready >= wanted else Tone.BUSY
    mine = [s for s in sets if _owned_by(s, obj) and _alive(s, pods)]
    mine.sort(key=lambda s: -_revision(s))
    node = _node("Deployment", obj, tone, now, role=role, words=", ".join(words), images=_images(spec["template"]))
    return replace(node, children=tuple(_replica_set(s, pods, now) for s in mine))


def _replica_set(obj: Obj, pods: Sequence[Obj], now: float) -> Node:
    wanted = (obj.get("spec") or {}).get("replicas", 0)
    ready = (obj.get("status") or {}).get("readyReplicas", 0)
    tone = Tone.IDLE if not wanted else Tone.GOOD if ready >= wanted else Tone.BUSY
    number = _revision(obj)
    words = f"{ready}/{wanted} ready" + (f", revision {number}" if number else "")
    children = sorted((p for p in pods if _owned_by(p, obj)), key=lambda p: str(p["metadata"]["name"]))
    node = _node("ReplicaSet", obj, tone, now, words=words, images=_images(obj["spec"]["template"]))
    return replace(node, children=tuple(_pod(p, now) for p in children))


def _pod(obj: Obj, now: float) -> Node:
    status = obj.get("status") or {}
    containers = status.get("containerStatuses") or ()
    sidecars = [
        c
        for c in status.get("initContainerStatuses") or ()
        if c["name"] in _restarting((obj.get("spec") or {}).get("initContainers") or ())
    ]
    every = [*sidecars, *containers]
    ready, restarts = sum(bool(c.get("ready")) for c in every), sum(c.get("restartCount", 0) for c in every)
    words, tone = _pod_words(obj, status, [*(status.get("initContainerStatuses") or ()), *containers])
    text = f"{words} {ready}/{len(every)}" if every else words
    if restarts:
        text += f", {restarts} restart{'s' if restarts > 1 else ''}"
    return _node("Pod", obj, tone, now, words=text)


def _pod_words(obj: Obj, status: Obj, containers: Sequence[Obj]) -> tuple[str, Tone]:
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating", Tone.IDLE
    for container in containers:
        state = container.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        if waiting.get("reason") and waiting["reason"] not in _STARTING:
            return str(waiting["reason"]), Tone.BAD
        if ended.get("exitCode"):
            return ended.get("reason") or "Error", Tone.BAD
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    if conditions.get("PodScheduled", {}).get("status") == "False":
        return str(conditions["PodScheduled"].get("reason") or "Unschedulable"), Tone.BAD
    phase = status.get("phase") or "Pending"
    if phase == "Running":
        ready = conditions.get("Ready", {}).get("status") == "True"
        return ("Running", Tone.GOOD) if ready else ("not ready", Tone.BUSY)
    return phase, {"Succeeded": Tone.IDLE, "Failed": Tone.BAD}.get(phase, Tone.BUSY)


def _node(kind: str, obj: Obj, tone: Tone, now: float, *, role: str = "", words: str = "", images: str = "") -> Node:
    created = unix(obj["metadata"].get("creationTimestamp"))
    old = "" if created is None else age(now - created)
    return Node(kind, obj["metadata"]["name"], _SYMBOLS[tone], tone, role=role, words=words, images=images, age=old)


def _images(template: Mapping[str, Any]) -> str:
    return images_words(c["image"] for c in (template.get("spec") or {}).get("containers") or () if c.get("image"))


def _restarting(containers: Iterable[Obj]) -> set[str]:
    """Return the names of native sidecars, which count as containers."""
    return {c["name"] for c in containers if c.get("restartPolicy") == "Always"}


def _alive(replica_set: Obj, pods: Sequence[Obj]) -> bool:
    wanted = (replica_set.get("spec") or {}).get("replicas", 0) or (replica_set.get("status") or {}).get("replicas", 0)
    return bool(wanted) or any(_owned_by(p, replica_set) for p in pods)


def _owned_by(obj: Mapping[str, Any], owner: Mapping[str, Any]) -> bool:
    uid = owner["metadata"].get("uid")
    return any(r.get("uid") == uid for r in obj["metadata"].get("ownerReferences") or ()) if uid else False


def _revision(obj: Obj) -> int:
    text = (obj["metadata"].get("annotations") or {}).get(_REVISION, "")
    return int(text) if text.isdigit() else 0
