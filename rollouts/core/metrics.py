"""From the templates that a Rollout refers to, to the metrics of one release. Pure: what is secret is given."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from analysis.api.template import InvalidTemplate, parse_template, resolve, unset, uses_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from analysis.api.metric import Metric, Provider
    from analysis.api.secret import SecretKeyRef
    from analysis.api.template import AnalysisTemplateSpec, Argument, TemplateReference
    from rollouts.core.naming import Names

__all__ = ["Release", "ReleaseMetric", "TemplateKey", "metrics_of", "planned", "secrets_of", "template_problem"]

TemplateKey = tuple[str, bool]
"""Name, and whether it is cluster-wide."""

_RESERVED: Final = frozenset({"errors", "latency", "slo", "gross-errors", "gross-latency"})
_LONGEST_WHOLE: Final = 46
"""Pod names are cut at 63 characters: names of Deployments that are longer than this appear shortened in them."""


@dataclass(frozen=True)
class ReleaseMetric:
    """A metric of one release.

    Attributes:
        metric: The metric; its provider is the canary's.
        baseline: The baseline's provider; None where it is compared with nothing.
    """

    metric: Metric
    baseline: Provider | None = None


@dataclass(frozen=True)
class Release:
    """What templates may use of a Rollout.

    Attributes:
        rollout: Its metadata.
        names: Its objects.
        references: ``spec.analysis.templates``.
        templates: The templates as the API server returns them; None where there is none.
        cluster_templates: Whether the controller may read those of the whole cluster.
    """

    rollout: Mapping[str, Any]
    names: Names
    references: Sequence[TemplateReference]
    templates: Mapping[TemplateKey, Mapping[str, Any] | None] = field(default_factory=dict)
    cluster_templates: bool = True


def template_problem(release: Release) -> str:
    """Return why the templates cannot be used, in words; empty when they can."""
    try:
        metrics_of(release, lambda _: "secret")
    except InvalidTemplate as error:
        return str(error)
    return ""


def planned(release: Release) -> tuple[ReleaseMetric, ...] | None:
    """Return the metrics without secret values; None while the templates cannot be used."""
    try:
        return metrics_of(release, lambda _: "secret")
    except InvalidTemplate:
        return None


def secrets_of(release: Release) -> frozenset[SecretKeyRef]:
    """Return the secret values that the metrics' arguments need."""
    found: set[SecretKeyRef] = set()

    def note(reference: SecretKeyRef) -> str:
        found.add(reference)
        return "secret"

    metrics_of(release, note)
    return frozenset(found)


def metrics_of(release: Release, secret: Callable[[SecretKeyRef], str]) -> tuple[ReleaseMetric, ...]:
    """Return the metrics with everything filled in.

    Args:
        release: The Rollout and its templates.
        secret: Returns a secret value.

    Raises:
        InvalidTemplate: There is no such template, or it cannot be used as it is referred to.
    """
    found: list[ReleaseMetric] = []
    problems: list[str] = []
    for reference in release.references:
        kind = "ClusterAnalysisTemplate" if reference.cluster_scope else "AnalysisTemplate"
        raw = release.templates.get((reference.template_name, reference.cluster_scope))
        if raw is None:
            readable = release.cluster_templates or not reference.cluster_scope
            missing = (
                f"there is no {kind} {reference.template_name}: create it, or correct templateName and clusterScope"
            )
            hidden = (
                f"{kind} {reference.template_name}: this controller is for some namespaces (--namespace) and may not read those of the "
                "whole cluster: let its service account list and watch clusteranalysistemplates, or use an AnalysisTemplate"
            )
            problems.append(missing if readable else hidden)
            continue
        try:
            found += _metrics(release, reference, parse_template(raw), secret)
        except InvalidTemplate as error:
            problems += [f"{kind} {reference.template_name}: {problem}" for problem in error.problems]
    problems += _clashes([one.metric.name for one in found])
    if problems:
        raise InvalidTemplate(tuple(problems))
    return tuple(found)


def _metrics(
    release: Release,
    reference: TemplateReference,
    template: AnalysisTemplateSpec,
    secret: Callable[[SecretKeyRef], str],
) -> list[ReleaseMetric]:
    if wrong := unset(template, reference):
        raise InvalidTemplate(wrong)
    values = {argument.name: _value(release, argument, secret) for argument in (*template.args, *reference.args)}
    canary = resolve(template, values, _built_in(release, "canary"))
    baseline = resolve(template, values, _built_in(release, "baseline"))
    return [_pair(*three) for three in zip(template.metrics, canary, baseline, strict=True)]


def _pair(written: Metric, canary: Metric, baseline: Metric) -> ReleaseMetric:
    if canary.comparison is None:
        return ReleaseMetric(canary)
    if baseline.baseline is not None:
        return ReleaseMetric(canary, baseline.baseline)
    if not uses_version(written):
        words = (
            f"metric {written.name} would compare the canary with itself: use {{{{pods}}}}, {{{{deployment}}}} or "
            "{{version}} in its provider, or write baseline"
        )
        raise InvalidTemplate((words,))
    return ReleaseMetric(canary, baseline.provider)


def _value(release: Release, argument: Argument, secret: Callable[[SecretKeyRef], str]) -> str:
    source = argument.value_from
    if source is None:
        return argument.value or ""
    if source.secret_key_ref is not None:
        return secret(source.secret_key_ref)
    return _field(release.rollout, source.field_ref or "", argument.name)


def _field(metadata: Mapping[str, Any], path: str, argument: str) -> str:
    found = re.fullmatch(r"metadata\.(\w+)(?:\['([^']+)'\])?", path)
    value = metadata.get(found[1]) if found else None
    if found and found[2]:
        value = (value or {}).get(found[2])
    if not isinstance(value, str):
        raise InvalidTemplate((f"argument {argument!r}: this Rollout has no {path}: add it, or give a value",))
    return value


def _built_in(release: Release, version: str) -> dict[str, str]:
    names = release.names
    deployment = names.canary_deployment if version == "canary" else names.workload
    return {
        "namespace": str(release.rollout["namespace"]),
        "rollout": str(release.rollout["name"]),
        "workload": names.workload,
        "service": names.host,
        "deployment": deployment,
        "version": version,
        "pods": _pod_names(deployment),
    }


def _pod_names(deployment: str) -> str:
    """Return a regular expression of the names of a Deployment's pods (and of no other Deployment's)."""
    name = deployment[:_LONGEST_WHOLE].replace(".", "[.]")  # no backslash: query languages differ in how they quote it
    return f"{name}-[a-z0-9]+-[a-z0-9]+" if len(deployment) <= _LONGEST_WHOLE else f"{name}[-a-z0-9.]*"


def _clashes(names: Sequence[str]) -> list[str]:
    twice = sorted({name for name in names if names.count(name) > 1})
    taken = sorted(_RESERVED.intersection(names))
    return [f"two metrics are called {name}: rename one of them" for name in twice] + [
        f"a metric is called {name}, which is the judge's own: rename it" for name in taken
    ]
