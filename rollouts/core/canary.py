"""The canary's own Deployment and Service, made from the held template. Pure."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from rollouts.api.names import GROUP, REVISION_ANNOTATION, ROLE_LABEL, VERSION
from rollouts.core.labels import selects
from rollouts.core.naming import Names, suffixed
from rollouts.core.placement import spread_among_itself
from rollouts.core.templates import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollouts.core.observed import Service, Subject, Workload

__all__ = ["canary_deployment", "canary_labels", "canary_service", "capacity", "owner_reference", "selects"]

ROLE = "canary"
PORT_FIELDS = ("name", "port", "targetPort", "protocol", "appProtocol")
COPIED = ("strategy", "minReadySeconds")


def capacity(weight: int, stable_replicas: int) -> int:
    """Return how many pods the canary needs for ``weight`` percent: its share of the stable ones rounded up, at least one."""
    return max(1, -(-weight * stable_replicas // 100))


def canary_labels(
    labels: Mapping[str, str],
    deployment_selector: Mapping[str, Any],
    service_selector: Mapping[str, str],
    *,
    role: str = ROLE,
) -> dict[str, str]:
    """Return a pod's labels changed so that nothing of the stable side selects it; the others are kept.

    Every key that one of the selectors uses gets the canary's suffix on its value; a key that a selector only asks to
    exist is left out.
    """
    expressions = deployment_selector.get("matchExpressions") or ()
    keys = {*(deployment_selector.get("matchLabels") or {}), *service_selector, *(e["key"] for e in expressions)}
    dropped = {e["key"] for e in expressions if e["operator"] == "Exists"} - {*service_selector}
    changed = {k: suffixed(v, f"-{role}") if k in keys else v for k, v in labels.items() if k not in dropped}
    return {**changed, ROLE_LABEL: role}


def _selector(deployment: Workload, service: Service) -> dict[str, str]:
    """Return what selects the canary's pods and nothing else."""
    template = deployment.template.get("metadata", {}).get("labels") or {}
    labels = canary_labels(template, deployment.spec["selector"], service.selector)
    return {k: v for k, v in labels.items() if k == ROLE_LABEL or template.get(k) != v}


def owner_reference(subject: Subject) -> dict[str, Any]:
    """Return what makes an object the Rollout's, so that it goes with it."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Rollout",
        "name": subject.name,
        "uid": subject.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def _metadata(name: str, subject: Subject) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": subject.namespace,
        "labels": {ROLE_LABEL: ROLE},
        "ownerReferences": [owner_reference(subject)],
    }


def canary_deployment(
    subject: Subject, names: Names, deployment: Workload, service: Service, *, replicas: int, deadline: int
) -> dict[str, Any]:
    """Return the canary's Deployment, made from what ``deployment`` asks for now.

    Args:
        subject: The Rollout that owns it.
        names: The Rollout's names.
        deployment: The held Deployment.
        service: The Service whose requests are split.
        replicas: How many pods.
        deadline: Seconds after which the Deployment controller calls it failed.
    """
    template = plain(deployment.template)
    before = template["metadata"]["labels"]
    template["metadata"]["labels"] = after = canary_labels(before, deployment.spec["selector"], service.selector)
    spread_among_itself(template.get("spec") or {}, before, after)
    metadata = _metadata(names.canary_deployment, subject)
    metadata["annotations"] = {REVISION_ANNOTATION: deployment.revision}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            **{k: copy.deepcopy(deployment.spec[k]) for k in COPIED if k in deployment.spec},
            "replicas": replicas,
            "progressDeadlineSeconds": deadline,
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": _selector(deployment, service)},
            "template": template,
        },
    }


def canary_service(subject: Subject, names: Names, deployment: Workload, service: Service) -> dict[str, Any]:
    """Return the canary's Service: the same ports, the canary's pods."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(names.canary_service, subject),
        "spec": {
            "selector": _selector(deployment, service),
            "ports": [{k: p[k] for k in PORT_FIELDS if k in p} for p in service.ports],
        },
    }


def inseparable(deployment: Workload, service: Service) -> bool:
    """Return whether even the changed labels would be selected by the stable side."""
    labels: Iterable[tuple[str, str]] = (deployment.template.get("metadata", {}).get("labels") or {}).items()
    changed = canary_labels(dict(labels), deployment.spec["selector"], service.selector)
    return selects(deployment.spec["selector"], changed) or selects({"matchLabels": service.selector}, changed)
