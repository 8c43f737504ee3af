"""A Rollout beside what else is in the files. What is not in them is never complained about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from analysis.api.template import InvalidTemplate
from coalmine.lint.findings import Finding, at, said
from coalmine.lint.near import near_name
from coalmine.lint.shelf import ARGO_ROLLOUT
from coalmine.lint.steps import step_findings
from mesh.lint.findings import Severity
from rollouts.api.preflight import PreflightResult
from rollouts.api.rollout import RolloutSpec, RolloutStatus
from rollouts.api.validate import InvalidRollout, parse_rollout
from rollouts.core.context import Context
from rollouts.core.dependencies import Neighbour
from rollouts.core.labels import selects
from rollouts.core.metrics import Release, metrics_of
from rollouts.core.naming import Names
from rollouts.core.notes import Notes
from rollouts.core.observed import Observed, Service, Subject, Workload
from rollouts.core.preflight.facts import Facts, Kind
from rollouts.core.preflight.owners import route
from rollouts.core.preflight.workload import autoscalers, probes, service_ports
from rollouts.core.problems import (
    canary_can_be_told_apart,
    names_are_free,
    service_has_a_selector,
    service_has_ports,
    service_selects_nothing_else,
    service_selects_the_deployment,
    waits_for_no_circle,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from coalmine.lint.documents import Document
    from coalmine.lint.shelf import Shelf

__all__ = ["rollout_findings"]

_FIT: Final = (
    service_has_a_selector,
    service_has_ports,
    service_selects_the_deployment,
    service_selects_nothing_else,
    canary_can_be_told_apart,
)
"""The controller's own checks: the first that fails says it all."""
_WORKLOADS: Final = ("Deployment", "StatefulSet", "DaemonSet")
_FACTS: Final = {
    Kind.AUTOSCALERS: "HorizontalPodAutoscaler",
    Kind.FLAGGER: "Canary",
    Kind.ARGO: ARGO_ROLLOUT,
    Kind.HTTP_ROUTES: "HTTPRoute",
    Kind.VIRTUAL_SERVICES: "VirtualService",
}


@dataclass(frozen=True)
class _Case:
    """One Rollout that can be read.

    Attributes:
        document: The Rollout.
        namespace: Its namespace.
        spec: Its spec.
        deployment: Its Deployment, where the files have it.
        service: Its Service, likewise.
        c: What the controller's checks look at.
    """

    document: Document
    namespace: str
    spec: RolloutSpec
    deployment: Document | None
    service: Document | None
    c: Context


def rollout_findings(shelf: Shelf) -> Iterator[Finding]:
    """Yield what is wrong with each Rollout that can be read."""
    for (namespace, _), document in shelf.objects.get("Rollout", {}).items():
        try:
            spec = parse_rollout(document.value)
        except InvalidRollout:
            continue
        case = _case(shelf, namespace, document, spec)
        yield from step_findings(document, spec)
        yield from _names(shelf, case)
        yield from _rivals(shelf, case)
        yield from _fit(case)
        yield from _pods(case)
        yield from _circle(case)
        yield from _templates(shelf, case)


def _case(shelf: Shelf, namespace: str, document: Document, spec: RolloutSpec) -> _Case:
    meta = document.value["metadata"]
    names = Names(workload=spec.workload_ref.name, host=spec.host)
    deployment = shelf.get("Deployment", namespace, names.workload)
    service = shelf.get("Service", namespace, names.host)
    subject = Subject(
        name=meta["name"],
        namespace=namespace,
        uid="",
        generation=0,
        spec=spec,
        spec_error="",
        status=RolloutStatus(),
        labels=meta.get("labels") or {},
        annotations=meta.get("annotations") or {},
    )
    facts = Facts(objects={k: tuple(d.value for d in shelf.of(kind, namespace).values()) for k, kind in _FACTS.items()})
    observed = Observed(
        subject,
        deployment=Workload(deployment.value) if deployment else None,
        service=Service(service.value) if service else None,
        foreign_pods=_others(shelf, namespace, service, names),
        taken=_taken(shelf, namespace, names),
        neighbours=_neighbours(shelf, namespace, meta["name"]),
        preflight=facts,
    )
    context = Context(o=observed, now=0.0, names=names, spec=spec, status=RolloutStatus(), notes=Notes())
    return _Case(document, namespace, spec, deployment, service, context)


def _others(shelf: Shelf, namespace: str, service: Document | None, names: Names) -> tuple[str, ...]:
    """Return the other workloads whose pods the Service selects."""
    selector = Service(service.value).selector if service else {}
    if not selector:
        return ()
    return tuple(
        f"{kind} {name}"
        for kind in _WORKLOADS
        for name, document in shelf.of(kind, namespace).items()
        if (kind, name) != ("Deployment", names.workload)
        and selects({"matchLabels": selector}, _labels(document.value))
    )


def _labels(workload: Mapping[str, Any]) -> dict[str, str]:
    template = workload["spec"]["template"]
    labels: dict[str, str] = (template.get("metadata") or {}).get("labels") or {}
    return labels


def _taken(shelf: Shelf, namespace: str, names: Names) -> str:
    wanted = (("Deployment", names.canary_deployment), ("Service", names.canary_service))
    return next((f"{kind} {name}" for kind, name in wanted if shelf.get(kind, namespace, name)), "")


def _neighbours(shelf: Shelf, namespace: str, name: str) -> dict[str, Neighbour]:
    found: dict[str, Neighbour] = {}
    for other, document in shelf.of("Rollout", namespace).items():
        wanted = document.value["spec"].get("dependsOn") if isinstance(document.value.get("spec"), dict) else None
        names = tuple(n for n in wanted if isinstance(n, str)) if isinstance(wanted, list) else ()
        if other != name:
            found[other] = Neighbour("", depends_on=names)
    return found


def _names(shelf: Shelf, case: _Case) -> Iterator[Finding]:
    """Names that nearly are those of something in the files, which then nothing else refers to."""
    rollouts = shelf.of("Rollout", case.namespace)
    named = ("spec.service", "Service", case.c.names.host)
    if case.spec.service is None:
        named = ("spec.workloadRef.name", "Service", case.c.names.host)
    places = [("spec.workloadRef.name", "Deployment", case.c.names.workload), named]
    places += [(f"spec.dependsOn[{i}]", "Rollout", name) for i, name in enumerate(case.spec.depends_on)]
    references = enumerate(case.spec.analysis.templates)
    places += [
        (f"spec.analysis.templates[{i}].templateName", "AnalysisTemplate", r.template_name)
        for i, r in references
        if not r.cluster_scope
    ]
    done = set()
    for path, kind, name in places:
        known = shelf.of(kind, case.namespace)
        if (kind, case.namespace, name) in shelf.known or (path, name) in done:
            continue
        free = [n for n in known if kind != "Deployment" or not _released(rollouts, n)]
        if near := near_name(name, free):
            done.add((path, name))
            words = f"names {kind} {name}, which these files do not have: did you mean {near}?"
            yield at(case.document, "CM0607", path, words)


def _released(rollouts: Mapping[str, Document], workload: str) -> bool:
    specs = (d.value.get("spec") for d in rollouts.values())
    refs = (s.get("workloadRef") for s in specs if isinstance(s, dict))
    return any(isinstance(r, dict) and r.get("name") == workload for r in refs)


def _rivals(shelf: Shelf, case: _Case) -> Iterator[Finding]:
    """Others that move the same requests: Rollouts, and what the controller's own check knows."""
    names, own = case.c.names, case.document.value["metadata"]["name"]
    for other, document in shelf.of("Rollout", case.namespace).items():
        try:
            spec = parse_rollout(document.value)
        except InvalidRollout:
            continue
        workload, host = spec.workload_ref.name == names.workload, spec.host == names.host
        if other < own and (workload or host):
            what = f"Deployment {names.workload}" if workload else f"Service {names.host}"
            line, _ = document.locate("metadata.name")
            words = f"Rollout {other} ({document.file}:{line}) has {what} too: one of two would never start; delete one"
            path = "spec.service" if not workload and case.spec.service else "spec.workloadRef.name"
            yield at(case.document, "CM0604", path, words)
    for name, document in shelf.of("TrafficSplit", case.namespace).items():
        if document.value["spec"].get("service") == names.host:
            words = f"TrafficSplit {name} splits the requests of Service {names.host} too: one of the two would not be obeyed; delete it"
            yield at(case.document, "CM0606", "spec.workloadRef.name", words)
    if (found := route(case.c, case.c.o.preflight or Facts())) is not None:
        severity = None if found.result is PreflightResult.FAIL else Severity.WARNING
        yield at(case.document, "CM0606", "spec.workloadRef.name", found.message, severity)
    if (problem := names_are_free(case.c.o, names)) is not None:
        yield at(case.document, "CM0605", "spec.workloadRef.name", problem.message)


def _fit(case: _Case) -> Iterator[Finding]:
    for check in _FIT:
        needs_both = check in _FIT[2:]
        if case.service is None or (needs_both and case.deployment is None):
            continue
        if (problem := check(case.c.o, case.c.names)) is not None:
            _, _, words = problem.message.partition("spec.service: ")
            field = "spec.selector" if needs_both else "spec"
            yield at(case.service, "CM0601", field, words or problem.message)
            return


def _pods(case: _Case) -> Iterator[Finding]:
    """Ports, probes, sizes."""
    if case.deployment is None:
        return
    facts = case.c.o.preflight or Facts()
    if case.service is not None and (found := service_ports(case.c, facts)) is not None:
        severity = None if found.result is PreflightResult.FAIL else Severity.WARNING
        yield at(case.service, "CM0602", "spec.ports", found.message, severity)
    if (found := probes(case.c, facts)) is not None:
        yield at(case.deployment, "CM0603", "spec.template.spec.containers", found.message)
    if (found := autoscalers(case.c, facts)) is not None:
        severity = Severity.WARNING if found.result is not PreflightResult.FAIL else Severity.ERROR
        yield at(case.document, "CM0609", "spec.workloadRef.name", found.message, severity)
    yield from _sizes(case, case.deployment)


def _sizes(case: _Case, deployment: Document) -> Iterator[Finding]:
    spec = deployment.value["spec"]
    if spec.get("replicas") == 0:
        words = "is 0: there is no old version that a new one could be compared with; write at least 1"
        yield at(deployment, "CM0609", "spec.replicas", words)
    if spec.get("paused") is True:
        words = "is true: Coalmine pauses and resumes the Deployment itself, and each apply of this would hold it again; remove it"
        yield at(deployment, "CM0609", "spec.paused", words)
    late = int(spec.get("minReadySeconds") or 0) + max(
        (_first_ready(c) for c in spec["template"]["spec"]["containers"]), default=0
    )
    deadline = case.spec.progress_deadline_seconds
    if late >= deadline:
        words = f"is {deadline}, and by its probes a pod of Deployment {case.c.names.workload} takes {late} s at least to be ready: write more"
        yield at(case.document, "CM0609", "spec.progressDeadlineSeconds", words)


def _first_ready(container: Mapping[str, Any]) -> int:
    """Return the seconds before which a container cannot be ready."""
    delays = [int((container.get(p) or {}).get("initialDelaySeconds") or 0) for p in ("startupProbe", "readinessProbe")]
    return max(delays)


def _circle(case: _Case) -> Iterator[Finding]:
    if (problem := waits_for_no_circle(case.c.o, case.c.names)) is not None:
        yield said(case.document, "CM0608", problem.message)


def _templates(shelf: Shelf, case: _Case) -> Iterator[Finding]:
    """References to templates that are in the files; those that are not may be in the cluster."""
    for index, reference in enumerate(case.spec.analysis.templates):
        kind = "ClusterAnalysisTemplate" if reference.cluster_scope else "AnalysisTemplate"
        space = "" if reference.cluster_scope else case.namespace
        template = shelf.get(kind, space, reference.template_name)
        if template is None:
            continue
        key = (reference.template_name, reference.cluster_scope)
        metadata = {**case.document.value["metadata"], "namespace": case.namespace}
        for problem in _problems(Release(metadata, case.c.names, (reference,), {key: template.value})):
            yield at(case.document, "CM0801", f"spec.analysis.templates[{index}]", problem)


def _problems(release: Release) -> Sequence[str]:
    try:
        metrics_of(release, lambda _: "secret")
    except InvalidTemplate as error:
        return error.problems
    return ()
