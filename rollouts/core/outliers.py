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
    verdict = c.o.measured.verdict
    if verdict is None or c.decision is not Decision.OUTLIER or c.notes.state not in RELEASE:
        return ""
    return verdict.outlier or ""


def replace_once(c: Context) -> Context:
    """Note that the pod is to be replaced, where the spec wants that and none was replaced in this release."""
    pod = outlier(c)
    wanted = c.spec.analysis.on_outlier_pod is OnOutlierPod.REPLACE_POD
    if not pod or not wanted or c.notes.replaced or c.notes.forced or c.problem is not None:
        return c
    known = c.o.canary_pods.get(pod)
    summary = c.o.measured.verdict.summary if c.o.measured.verdict else ""
    c = announce(
        c, "Warning", "PodReplaced", f"canary pod {c.pod_words(pod)} is replaced, once in a release: {summary}"
    )
    entry = ReplacedPod(
        name=pod, uid=known.uid if known else "", node=known.node if known else "", at=c.now, why=summary
    )
    return c.noted(replaced=entry)


def beyond_replacing(c: Context) -> str:
    """Return why a pod that alone is worse takes the release back; empty where it does not."""
    pod, verdict = outlier(c), c.o.measured.verdict
    if not pod or verdict is None or c.notes.forced:
        return ""
    if c.spec.analysis.on_outlier_pod is OnOutlierPod.ROLL_BACK:
        return f"{verdict.summary} (spec.analysis.onOutlierPod is RollBack; the pod is {c.pod_words(pod)})"
    replaced = c.notes.replaced
    if c.spec.analysis.on_outlier_pod is OnOutlierPod.HOLD or replaced is None:
        return ""
    if replaced.name != pod:
        return f"{verdict.summary} ({replaced.name} was replaced before for the same reason: it is not one pod's fault)"
    if c.now < replaced.until:
        return ""
    return f"{verdict.summary} ({pod} was to be replaced and still answers: it could not be)"
