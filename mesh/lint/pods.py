"""Checks of pods: which of them should have a sidecar and have none."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mesh.api.names import INJECT_LABEL, ISTIO_NAMESPACE_LABEL, ISTIO_POD_LABEL, PROXY_CONTAINER
from mesh.lint.findings import Finding, Severity, finding
from mesh.lint.resources import Manifest, Workloads
from mesh.resolve.problems import Ref, ref_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mesh.lint.resources import Resources

__all__ = ["asks_for_sidecar", "on_the_hosts_network", "owner_of", "restartable", "without_sidecar"]

_SIDECARS: Final = (PROXY_CONTAINER, "istio-proxy")
"""Ours, and Istio's where it is in the cluster too."""
_SHOWN: Final = 3


class _Group(NamedTuple):
    owner: Ref
    code: str
    asked: str


def asks_for_sidecar(metadata: Mapping[str, Any], namespace: Mapping[str, str]) -> str:
    """Return which label asks for a sidecar in a pod, ``pod …`` or ``namespace …``; empty where none does.

    Args:
        metadata: The pod's, or its template's.
        namespace: The namespace's labels.
    """
    own = {**(metadata.get("annotations") or {}), **(metadata.get("labels") or {})}
    ours, istios = own.get(INJECT_LABEL), own.get(ISTIO_POD_LABEL)
    if ours is not None:
        return f"pod label {INJECT_LABEL}={ours}" if ours == "enabled" else ""
    if istios == "false":
        return ""
    for label in (INJECT_LABEL, ISTIO_NAMESPACE_LABEL):
        if (said := namespace.get(label)) is not None:
            return f"namespace label {label}={said}" if said == "enabled" else ""
    return f"pod label {ISTIO_POD_LABEL}={istios}" if istios == "true" else ""


def owner_of(pod: Manifest) -> Ref:
    """Return what a pod has to be restarted with: its Deployment, StatefulSet or DaemonSet, or else the pod itself."""
    meta = pod["metadata"]
    for owner in meta.get("ownerReferences") or ():
        name, kind = owner["name"], owner["kind"]
        if kind == "ReplicaSet" and (template := (meta.get("labels") or {}).get("pod-template-hash")):
            kind, name = "Deployment", name.removesuffix(f"-{template}")
        if kind in Workloads:
            return Ref("apps/v1", kind, meta.get("namespace", ""), name, "")
    return ref_of(pod)


def without_sidecar(resources: Resources) -> Iterator[Finding]:
    """CM0401, CM0402: a sidecar comes when a pod is made, so those that were there before the label have none."""
    groups: dict[_Group, list[str]] = defaultdict(list)
    for pod, asked in _asking(resources):
        if not pod["spec"].get("hostNetwork") and not _has_sidecar(pod):
            code = "CM0402" if asked.startswith("pod") else "CM0401"
            groups[_Group(owner_of(pod), code, asked)].append(pod["metadata"]["name"])
    for group, names in groups.items():
        yield _without(group, sorted(names))


def _without(group: _Group, names: list[str]) -> Finding:
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    count = "1 pod has" if len(names) == 1 else f"{len(names)} pods have"
    owner = group.owner
    if owner.kind in Workloads:
        fix = f"kubectl rollout restart -n {owner.namespace} {owner.kind.lower()}/{owner.name}, or coalmine mesh analyze --restart"
    else:
        fix = f"delete the {owner.kind} and make it anew"
    text = (
        f"{count} no sidecar ({shown}) though {group.asked} asks for one: made before the label, or while nobody "
        f"injected; restart: {fix}"
    )
    return finding(group.code, owner, "", text)


def on_the_hosts_network(resources: Resources) -> Iterator[Finding]:
    """CM0403: on the node's network there is no place for a sidecar's ports, and the injector refuses the pod."""
    for kind in Workloads:
        for workload in resources.of(kind):
            template = (workload.get("spec") or {}).get("template") or {}
            labels = resources.labels_of(workload["metadata"].get("namespace", ""))
            asked = asks_for_sidecar(template.get("metadata") or {}, labels)
            if asked and (template.get("spec") or {}).get("hostNetwork"):
                text = (
                    f"{asked} asks for a sidecar, so new pods are refused: set it to false, or label the pod template "
                    f"{INJECT_LABEL}: disabled (the pods are then called and call in the clear)"
                )
                yield finding("CM0403", ref_of(workload), "spec.template.spec.hostNetwork", text, Severity.ERROR)
    for pod, asked in _asking(resources):
        if pod["spec"].get("hostNetwork") and owner_of(pod).kind not in Workloads:
            text = f"{asked} asks for a sidecar, which cannot be: label the pod {INJECT_LABEL}: disabled to say so"
            yield finding("CM0403", ref_of(pod), "spec.hostNetwork", text)


def _asking(resources: Resources) -> Iterator[tuple[Manifest, str]]:
    """Yield the pods that live and should have a sidecar, with what asks for it."""
    for pod in resources.of("Pod"):
        meta, phase = pod["metadata"], (pod.get("status") or {}).get("phase")
        namespace = meta.get("namespace", "")
        if phase in {"Succeeded", "Failed"} or "deletionTimestamp" in meta or namespace == "kube-system":
            continue
        if asked := asks_for_sidecar(meta, resources.labels_of(namespace)):
            yield pod, asked


def _has_sidecar(pod: Manifest) -> bool:
    spec = pod["spec"]
    every = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    return any(c["name"] in _SIDECARS for c in every)


def restartable(found: Finding) -> bool:
    """Say whether restarting the finding's object mends it."""
    return found.code in {"CM0401", "CM0402"} and found.ref.kind in Workloads
