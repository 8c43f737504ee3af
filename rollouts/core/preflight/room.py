"""Whether the cluster has room for the canary's pods: quotas, nodes, disruption budgets."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from rollouts.core.canary import canary_labels, selects
from rollouts.core.context import FULL
from rollouts.core.preflight.facts import Kind, fails, listed, warns
from rollouts.core.traffic import pods_to_come

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rollouts.core.context import Context
    from rollouts.core.preflight.facts import Facts, Finding

__all__ = ["SCHEDULING_SECONDS", "capacity", "quantity", "quota"]

SCHEDULING_SECONDS: Final = 120.0
"""How long a pod may wait for a node before that blocks: a cluster autoscaler adds one in about that time."""
_SUFFIXES: Final = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("0.001"), "": Decimal(1), "k": Decimal(1000), "M": Decimal(10) ** 6,
    "G": Decimal(10) ** 9, "T": Decimal(10) ** 12, "P": Decimal(10) ** 15, "E": Decimal(10) ** 18, "Ki": Decimal(2) ** 10,
    "Mi": Decimal(2) ** 20, "Gi": Decimal(2) ** 30, "Ti": Decimal(2) ** 40, "Pi": Decimal(2) ** 50, "Ei": Decimal(2) ** 60,
}  # fmt: skip


def quantity(text: object) -> Decimal:
    """Return a Kubernetes quantity (``250m``, ``1Gi``) as a number; 0 for what is none."""
    value = str(text)
    digits = value.rstrip("numkKMGTPEi")
    factor = _SUFFIXES.get(value[len(digits) :])
    try:
        return Decimal(digits) * factor if factor is not None else Decimal(value)
    except InvalidOperation:
        return Decimal(0)


def quota(c: Context, f: Facts) -> Finding | None:
    """Do the canary's pods fit into the namespace's quotas?"""
    refused = next((m for m in _refusals(c) if "exceeded quota" in m), "")
    if refused:
        return fails(
            f"the canary's pods cannot be made: {refused}. Raise the ResourceQuota's spec.hard, or free some of it"
        )
    first = pods_to_come(c)
    last = max(first, c.needed(FULL))
    have = c.o.canary.running if c.o.canary and c.canary_is_target else 0
    if have < first and (words := _missing(c, f, first)):
        return fails(f"the first step needs {first} canary pods: {words}")
    if words := _missing(c, f, last):
        return warns(f"promotion needs {last} canary pods beside the stable ones: {words}")
    return None


def _missing(c: Context, f: Facts, pods: int) -> str:
    """Return which quota has no room for so many canary pods, in words."""
    more = max(0, pods - f.counted)
    demand = dict(_demand(c.deployment.template))
    for found in f.of(Kind.QUOTAS):
        spec, status = found.get("spec") or {}, found.get("status") or {}
        if spec.get("scopes") or spec.get("scopeSelector"):
            continue  # whether it is about these pods is the API server's to say
        used = status.get("used") or {}
        for resource, hard in (spec.get("hard") or {}).items():
            wanted = demand.get(resource, Decimal(0)) * more
            free = quantity(hard) - quantity(used.get(resource, 0))
            if wanted > free:
                return (
                    f"ResourceQuota {found['metadata']['name']} has {resource} {max(free, Decimal(0)):f} left of {hard}, and {more} more "
                    f"pods take {wanted:f}. Raise its spec.hard[{resource}], or free some of it"
                )
    return ""


def _demand(template: Mapping[str, Any]) -> Iterator[tuple[str, Decimal]]:
    """Return what one pod takes of a quota, without what admission adds to it."""
    yield from (("pods", Decimal(1)), ("count/pods", Decimal(1)))
    sums: dict[str, Decimal] = {}
    for container in (template.get("spec") or {}).get("containers") or ():
        resources = container.get("resources") or {}
        limits = resources.get("limits") or {}
        for kind, values in (("requests", {**limits, **(resources.get("requests") or {})}), ("limits", limits)):
            for name, value in values.items():
                key = f"{kind}.{name}"
                sums[key] = sums.get(key, Decimal(0)) + quantity(value)
    yield from sums.items()
    for name in ("cpu", "memory", "ephemeral-storage"):  # without a prefix a quota means requests
        if f"requests.{name}" in sums:
            yield name, sums[f"requests.{name}"]


def _refusals(c: Context) -> Iterator[str]:
    """Return why the API server refused to make canary pods."""
    if c.o.canary is None or not c.canary_is_target:
        return
    for condition in (c.o.canary.raw.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            yield str(condition.get("message", ""))


def capacity(c: Context, f: Facts) -> Finding | None:
    """Does the cluster take the canary's pods, and may they leave it again?"""
    refused = next((m for m in _refusals(c) if "exceeded quota" not in m), "")
    if refused:
        return fails(f"the canary's pods cannot be made: {refused}. Correct the pod template, or what refuses it")
    waiting = [p for p in f.canary_pods if p.unscheduled]
    if waiting:
        pod = min(waiting, key=lambda p: (p.unscheduled_at, p.name))
        words = (
            f"{len(waiting)} of the canary's pods have no node ({listed(p.name for p in waiting)}); the scheduler says: {pod.unscheduled}. "
            "Add nodes, or change the pod template's requests, affinity or tolerations"
        )
        return fails(words) if c.now - pod.unscheduled_at >= SCHEDULING_SECONDS else warns(words)
    return _disruption(c, f.of(Kind.BUDGETS))


def _disruption(c: Context, budgets: Iterable[Mapping[str, Any]]) -> Finding | None:
    own = c.deployment.template.get("metadata", {}).get("labels") or {}
    changed = canary_labels(own, c.deployment.spec["selector"], c.o.service.selector if c.o.service else {})
    for budget in budgets:
        if c.o.subject.owns(budget):
            continue  # the canary's own, made after the one that people have
        spec = budget.get("spec") or {}
        selector = spec.get("selector")
        about = selector is not None and any(selects(selector, labels) for labels in (own, changed))
        if about and _allows_nothing(spec, c.deployment.replicas):
            name = budget["metadata"]["name"]
            return warns(
                f"PodDisruptionBudget {name} allows no disruption at all: nodes with these pods cannot be drained, and a canary pod that "
                "alone is worse cannot be replaced. Set its spec.maxUnavailable to 1 or more"
            )
    return None


def _allows_nothing(spec: Mapping[str, Any], replicas: int) -> bool:
    least = spec.get("minAvailable")
    if isinstance(least, int):
        return least >= replicas
    return least == f"{FULL}%" or spec.get("maxUnavailable") in {0, "0", "0%"}
