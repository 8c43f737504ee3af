"""What pods are called: the workload that made them, and the name under which observers know it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mesh.ir.services import Workload

__all__ = ["canonical_name", "canonical_revision", "workload_name"]

_SUFFIX: Final = re.compile(r"-[a-z0-9]{5}")
_CANONICAL: Final = ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
_REVISIONS: Final = ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")


def workload_name(workload: Workload) -> str:
    """Return the name of what made the pod, as the labels that Kubernetes gives its pods tell it."""
    labels, name = dict(workload.labels), workload.name
    template = labels.get("pod-template-hash")
    if template and f"-{template}-" in name:
        return name.rpartition(f"-{template}-")[0]
    if job := labels.get("batch.kubernetes.io/job-name") or labels.get("job-name"):
        return job
    stem, _, last = name.rpartition("-")
    if "statefulset.kubernetes.io/pod-name" in labels and last.isdigit():
        return stem
    if "controller-revision-hash" in labels and _SUFFIX.fullmatch(f"-{last}"):
        return stem
    return name


def canonical_name(workload: Workload) -> str:
    """Return Istio's canonical service: what the pod's labels say it is, or else the workload's name."""
    labels = dict(workload.labels)
    return next((labels[key] for key in _CANONICAL if labels.get(key)), "") or workload_name(workload)


def canonical_revision(workload: Workload) -> str:
    """Return Istio's canonical revision; ``latest`` where the pod's labels tell none."""
    labels = dict(workload.labels)
    return next((labels[key] for key in _REVISIONS if labels.get(key)), "latest")
