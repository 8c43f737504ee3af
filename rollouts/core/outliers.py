"""One canary pod of several that alone is worse: more often a bad node than a bad release. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.model.verdict import Decision
from rollouts.api.analysis import OnOutlierPod
from rollouts.core.effects import announce
from rollouts.core.machine import RELEASE
from rollouts.core.notes import ReplacedPod

if TYPE_CHECKING:
    from rollouts.core.context import Context

__all__ = ["beyond_replacing", "outlier", "replace_once"]


def outlier(c: Context) -> str:
    """Return the canary pod that alone is worse; empty when there is none."""
    return _found(c)[0]


def _found(c: Context) -> tuple[str, str]:
    """Return the pod that alone is worse, or alone makes an objective missed, and the evidence in words."""
    verdict = c.o.measured.verdict
    if c.notes.state not in RELEASE:
        return "", ""
    if verdict is not None and c.decision is Decision.OUTLIER:
        return verdict.outlier or "", verdict.summary
    burn = next((burn for burn in c.o.measured.burns if burn.missed and burn.pods), None)
    if burn is None:
        return "", ""
    return burn.pods[0], f"{' and '.join(burn.pods)} alone: {burn.objective.name} is missed, {burn.evidence.words}"


def replace_once(c: Context) -> Context:
    """Note that the pod is to be replaced, where the spec wants that and none was replaced in this release."""
    pod, summary = _found(c)
    wanted = c.spec.analysis.on_outlier_pod is OnOutlierPod.REPLACE_POD
    if not pod or not wanted or c.notes.replaced or c.notes.forced or c.problem is not None:
        return c
    known = c.o.canary_pods.get(pod)
    c = announce(
        c, "Warning", "PodReplaced", f"canary pod {c.pod_words(pod)} is replaced, once in a release: {summary}"
    )
    entry = ReplacedPod(
        name=pod, uid=known.uid if known else "", node=known.node if known else "", at=c.now, why=summary
    )
    return c.noted(replaced=entry)


def beyond_replacing(c: Context) -> str:
    """Return why a pod that alone is worse takes the release back; empty where it does not."""
    pod, summary = _found(c)
    if not pod or c.notes.forced:
        return ""
    if c.spec.analysis.on_outlier_pod is OnOutlierPod.ROLL_BACK:
        return f"{summary} (spec.analysis.onOutlierPod is RollBack; the pod is {c.pod_words(pod)})"
    replaced = c.notes.replaced
    if c.spec.analysis.on_outlier_pod is OnOutlierPod.HOLD or replaced is None:
        return ""
    if replaced.name != pod:
        return f"{summary} ({replaced.name} was replaced before for the same reason: it is not one pod's fault)"
    if c.now < replaced.until:
        return ""
    return f"{summary} ({pod} was to be replaced and still answers: it could not be)"
