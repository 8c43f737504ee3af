"""The canary's own PodDisruptionBudget: those of people select stable's labels, which the canary's pods do not have. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollouts.api.names import ROLE_LABEL
from rollouts.core.canary import ROLE, canary_labels, owner_reference
from rollouts.core.labels import selects
from rollouts.core.scaling import SetBudget

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rollouts.core.context import Context

__all__ = ["budget_actions"]


def budget_actions(c: Context, *, wanted: bool) -> Iterator[SetBudget]:
    """Let evictions spare the canary as they spare stable.

    Args:
        c: The decision.
        wanted: Whether the canary has a reason to be there.
    """
    have = c.o.scaling.canary_budget
    manifest = _manifest(c) if wanted else None
    if manifest is None:
        if have is not None:
            yield SetBudget(str(have["metadata"]["name"]), None)
        return
    spec = manifest["spec"]
    if have is None or {k: have["spec"].get(k) for k in spec} != spec:
        yield SetBudget(c.names.canary_deployment, manifest)


def _manifest(c: Context) -> dict[str, Any] | None:
    """Return the budget; None where none covers stable, or one covers the canary already (no pod may have two)."""
    service, canary = c.o.service, c.o.canary
    if service is None or canary is None:
        return None
    labels = c.deployment.template.get("metadata", {}).get("labels") or {}
    changed = canary_labels(labels, c.deployment.spec["selector"], service.selector)
    covering = next((b for b in c.o.scaling.budgets if _covers(b, labels)), None)
    if covering is None or any(_covers(b, changed) for b in c.o.scaling.budgets):
        return None
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": c.names.canary_deployment,
            "namespace": c.o.subject.namespace,
            "labels": {ROLE_LABEL: ROLE},
            "ownerReferences": [owner_reference(c.o.subject)],
        },
        "spec": {
            **_share(covering["spec"], c.deployment.replicas),
            "selector": dict(canary.spec["selector"]),
            # Pods that never became ready must not keep a node from being drained.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _covers(budget: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    selector = budget["spec"].get("selector")
    return selector is not None and selects(selector, labels)


def _share(spec: Mapping[str, Any], replicas: int) -> dict[str, Any]:
    """Return how much must stay: a number of stable's pods means the same share of the canary's."""
    if "maxUnavailable" in spec:
        return {"maxUnavailable": spec["maxUnavailable"]}
    least = spec.get("minAvailable", 0)
    if isinstance(least, int):
        least = f"{min(100, -(-least * 100 // max(1, replicas)))}%"
    return {"minAvailable": least}
