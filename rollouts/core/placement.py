"""Where the canary's pods may run: rules that a pod template has about its own pods hold for the canary's pods. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollouts.core.labels import selects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["spread_among_itself"]


def spread_among_itself(pod_spec: dict[str, Any], before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Change the selectors of affinities and spread constraints that name the pod's own labels.

    The canary's pods have other labels than stable's, so that "not two of us on one node" would hold for nobody. It then
    means the canary's pods among themselves: two versions may share a node, as they do in a rolling update, and a canary
    finds room where stable has a pod on each node.

    Args:
        pod_spec: Of the canary's template; changed in place.
        before: The template's labels.
        after: The canary's labels.
    """
    for holder in _holders(pod_spec):
        selector = holder.get("labelSelector")
        if selector is not None and selects(selector, before) and not selects(selector, after):
            holder["labelSelector"] = _renamed(selector, before, after)


def _holders(pod_spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Return everything that has a labelSelector for pods."""
    affinity = pod_spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        yield from rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        for preferred in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            yield preferred["podAffinityTerm"]
    yield from pod_spec.get("topologySpreadConstraints") or ()


def _renamed(selector: Mapping[str, Any], before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, Any]:
    expressions = selector.get("matchExpressions") or ()
    keys = {*(selector.get("matchLabels") or {}), *(e["key"] for e in expressions)}
    changed = {k for k in keys if before.get(k) != after.get(k)}
    labels = {k: v for k, v in (selector.get("matchLabels") or {}).items() if k not in changed}
    labels |= {k: after[k] for k in sorted(changed) if k in after}
    kept = [e for e in expressions if e["key"] not in changed]
    return {"matchLabels": labels, **({"matchExpressions": kept} if kept else {})}
