"""An experiment's fresh baseline: pods of the stable version, started beside the canary and as new as it is. Pure.

Old pods are warm, and have survived what kills young ones: a comparison with them mixes the release with their age.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from rollouts.api.names import REVISION_ANNOTATION, ROLE_LABEL
from rollouts.core.actions import Apply, Delete
from rollouts.core.canary import COPIED, PORT_FIELDS, canary_labels, owner_reference
from rollouts.core.context import ACK_PATIENCE, DRAIN_SECONDS
from rollouts.core.fresh import StartBaseline
from rollouts.core.machine import State
from rollouts.core.templates import plain
from rollouts.core.traffic import pods_of_experiment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollouts.core.actions import Action
    from rollouts.core.context import Context
    from rollouts.core.observed import Service, Workload

__all__ = ["BASELINE_ROLE", "baseline_deployment", "baseline_ready", "baseline_settled", "missing", "superfluous"]

BASELINE_ROLE: Final = "baseline"
_WANTED: Final = frozenset({State.SCALING, State.WEIGHTING, State.JUDGING, State.AWAITING_APPROVAL, State.INCONCLUSIVE})


def _wanted(c: Context) -> int:
    """Return how many fresh stable pods there shall be."""
    step = c.step
    if step is None or step.experiment is None or c.notes.state not in _WANTED or c.revision != c.notes.target:
        return 0
    return pods_of_experiment(c, step)


def _is_stable(c: Context) -> bool:
    d = c.o.fresh.deployment
    return d is not None and not d.deleting and d.revision == c.stable


def baseline_ready(c: Context) -> bool:
    """Return whether the fresh stable pods that the present step wants are ready; also where it wants none."""
    wanted, d = _wanted(c), c.o.fresh.deployment
    if not wanted:
        return True
    return d is not None and c.o.fresh.service is not None and _is_stable(c) and d.observed and d.ready >= wanted


def missing(c: Context) -> Iterator[Action]:
    """Make what an experiment needs."""
    wanted, fresh = _wanted(c), c.o.fresh
    if not wanted or c.o.service is None or not fresh.replica_set:
        return
    if fresh.deployment is not None and not _is_stable(c):
        if not fresh.deployment.deleting:
            yield Delete("apps/v1", "Deployment", fresh.deployment.name, fresh.deployment.uid)
        return
    if fresh.service is None:
        yield Apply(_service(c, c.o.service))
    if fresh.deployment is None or fresh.deployment.replicas != wanted:
        selectors = c.deployment.spec["selector"], c.o.service.selector
        yield StartBaseline(fresh.replica_set, _deployment(c, wanted), *selectors)


def baseline_settled(c: Context) -> Context:
    """Return the context with a note of when the fresh pods were seen to get nothing any more."""
    since = c.notes.baseline_quiet_since
    if c.o.fresh.gone or _wanted(c):
        return c if since is None else c.noted(baseline_quiet_since=None)
    return c.noted(baseline_quiet_since=c.now) if since is None and _unnamed(c) else c


def _unnamed(c: Context) -> bool:
    t = c.o.traffic
    patient = c.notes.state is State.RESTORING and c.in_state >= ACK_PATIENCE
    return t is None or (c.names.baseline_service not in t.weights and (t.acknowledged or patient))


def superfluous(c: Context) -> Iterator[Action]:
    """Remove it afterwards, once its last answers are given."""
    fresh, since = c.o.fresh, c.notes.baseline_quiet_since
    if since is None or c.now - since < DRAIN_SECONDS or _wanted(c):
        return
    if fresh.deployment is not None and not fresh.deployment.deleting:
        yield Delete("apps/v1", "Deployment", fresh.deployment.name, fresh.deployment.uid)
    if fresh.service is not None:
        yield Delete("v1", "Service", fresh.service.name)


# --- manifests ------------------------------------------------------------------------------------------------------


def _selector(deployment: Workload) -> dict[str, str]:
    """Return what selects the fresh pods and nothing else: the Deployment's own labels, which never change."""
    labels = deployment.template.get("metadata", {}).get("labels") or {}
    keys = deployment.spec["selector"].get("matchLabels") or {}
    return canary_labels(
        {k: labels[k] for k in keys if k in labels}, deployment.spec["selector"], {}, role=BASELINE_ROLE
    )


def _metadata(c: Context, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": c.o.subject.namespace,
        "labels": {ROLE_LABEL: BASELINE_ROLE},
        "ownerReferences": [owner_reference(c.o.subject)],
    }


def _deployment(c: Context, replicas: int) -> dict[str, Any]:
    """Return the Deployment without its template, which only the stable ReplicaSet knows."""
    deployment = c.deployment
    metadata = _metadata(c, c.names.baseline_deployment)
    metadata["annotations"] = {REVISION_ANNOTATION: c.stable}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            **{k: copy.deepcopy(deployment.spec[k]) for k in COPIED if k in deployment.spec},
            "replicas": replicas,
            "progressDeadlineSeconds": c.spec.progress_deadline_seconds,
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": _selector(deployment)},
        },
    }


def baseline_deployment(action: StartBaseline, template: dict[str, Any]) -> dict[str, Any]:
    """Return the fresh pods' Deployment, made from the stable ReplicaSet's template."""
    template = plain(template)
    labels = template["metadata"]["labels"]
    template["metadata"]["labels"] = canary_labels(labels, action.selector, action.service_selector, role=BASELINE_ROLE)
    return {**action.manifest, "spec": {**action.manifest["spec"], "template": template}}


def _service(c: Context, service: Service) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(c, c.names.baseline_service),
        "spec": {
            "selector": _selector(c.deployment),
            "ports": [{k: p[k] for k in PORT_FIELDS if k in p} for p in service.ports],
        },
    }
