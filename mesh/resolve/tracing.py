"""Telemetry resources: which spans each proxy reports."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mesh.api.istiotelemetry import TelemetrySpec
from mesh.ir.tracing import NO_TRACING, Sampling, Spans, Tag, Tracer, Tracing
from mesh.resolve.objects import version_of
from mesh.resolve.peers import ROOT_NAMESPACES
from mesh.resolve.problems import Problem
from mesh.resolve.rules import read_rule
from mesh.resolve.selection import Selection, selection
from mesh.resolve.workloads import canonical_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mesh.api.istiotelemetry import CustomTag, TracingRule
    from mesh.ir.services import Service, ServiceKey, Workload
    from mesh.ir.tracing import TracingSettings
    from mesh.resolve.problems import Ref
    from mesh.resolve.rules import Rule

__all__ = ["TelemetryIndex", "read_telemetry"]

_MODES: Final = {
    "CLIENT": ("outbound",),
    "SERVER": ("inbound",),
    "CLIENT_AND_SERVER": ("outbound", "inbound"),
}


def read_telemetry(manifest: dict[str, Any]) -> Rule[TelemetrySpec]:
    """Return a parsed Telemetry."""
    return read_rule(manifest, TelemetrySpec)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the resources say of one direction so far."""

    percent: float
    tags: tuple[Tag, ...] = ()
    reports: bool = True
    by_request_id: bool = True

    def under(self, rule: TracingRule) -> _Wanted:
        """Return it with what a narrower rule says; what that does not say stays."""
        said = rule.random_sampling_percentage
        off, by_id = rule.disable_span_reporting, rule.use_request_id_for_trace_sampling
        return _Wanted(
            percent=self.percent if said is None else said,
            tags=self.tags if rule.custom_tags is None else tuple(_tags(rule.custom_tags)),
            reports=self.reports if off is None else not off,
            by_request_id=self.by_request_id if by_id is None else by_id,
        )


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A resource for some pods of its namespace."""

    rule: Rule[TelemetrySpec]
    pods: Selection


class TelemetryIndex:
    """All Telemetry resources, ready to be asked for those of a workload; of two for the same the older is used.

    Args:
        rules: All of them.
        services: All Services, for targets.
        settings: What holds for the whole mesh.

    Attributes:
        problems: What their authors should be told.
    """

    def __init__(
        self,
        rules: Iterable[Rule[TelemetrySpec]],
        services: Mapping[ServiceKey, Service],
        settings: TracingSettings,
    ) -> None:
        self._settings = settings
        self._mesh: Rule[TelemetrySpec] | None = None
        self._namespaces: dict[str, Rule[TelemetrySpec]] = {}
        self._selecting: dict[str, list[_Chosen]] = defaultdict(list)
        found: list[Problem] = []
        for rule in sorted(rules, key=lambda r: (r.created, r.ref)):
            found += rule.problems
            if rule.spec is None:
                continue
            found += _told(rule.spec, rule.ref, settings)
            if rule.spec.targets or (rule.spec.selector and rule.spec.selector.match_labels):
                pods, wrong = selection(rule.spec, rule.ref, services)
                found += wrong
                # One that chooses pods is for its own namespace, as with Istio, be that a root namespace.
                own = replace(pods, namespace=rule.ref.namespace)
                self._selecting[rule.ref.namespace].append(_Chosen(rule, own))
            else:
                found += self._widen(rule)
        self.problems = tuple(found)

    def _widen(self, rule: Rule[TelemetrySpec]) -> Iterator[Problem]:
        """Take a resource for a whole namespace, or for the mesh."""
        namespace = rule.ref.namespace
        if namespace in ROOT_NAMESPACES:
            first = self._mesh = self._mesh or rule
        else:
            first = self._namespaces.setdefault(namespace, rule)
        if first is not rule:
            where = "the mesh" if namespace in ROOT_NAMESPACES else f"namespace {namespace}"
            text = f"{where} has an older Telemetry, {first.ref.name}, which is used: merge the two"
            yield Problem(rule.ref, "Shadowed", text)

    def shadowed(self, workloads: Iterable[Workload]) -> tuple[Problem, ...]:
        """Return a problem for each resource that chooses a pod that an older one has already."""
        found: dict[Ref, Problem] = {}
        for workload in workloads:
            for other in self._of(workload)[1:]:
                first = self._of(workload)[0].ref.name
                text = (
                    f"spec.selector: pod {workload.name} is chosen by an older Telemetry, {first}, which is used: "
                    "merge the two"
                )
                found.setdefault(other.ref, Problem(other.ref, "Shadowed", text))
        return tuple(found.values())

    def _of(self, workload: Workload) -> list[Rule[TelemetrySpec]]:
        return [c.rule for c in self._selecting.get(workload.namespace, ()) if c.pods.chooses(workload)]

    def tracing(self, workload: Workload) -> Tracing:
        """Return which spans the pod's proxy reports."""
        if not self._settings.collector:
            return NO_TRACING
        layers = [self._mesh, self._namespaces.get(workload.namespace), next(iter(self._of(workload)), None)]
        wanted = dict.fromkeys(("outbound", "inbound"), _Wanted(self._settings.percent))
        for rule in (entry for layer in layers if layer and layer.spec for entry in layer.spec.tracing):
            for direction in _MODES[rule.match.mode if rule.match else "CLIENT_AND_SERVER"]:
                wanted[direction] = wanted[direction].under(rule)
        spans = {direction: self._spans(workload, found) for direction, found in wanted.items()}
        return Tracing(outbound=spans["outbound"], inbound=None if workload.gateway else spans["inbound"])

    def _spans(self, workload: Workload, wanted: _Wanted) -> Spans | None:
        if not wanted.reports:
            return None
        tracer = Tracer(
            collector=self._settings.collector or "",
            service=f"{canonical_name(workload)}.{workload.namespace}",
            namespace=workload.namespace,
            revision=version_of(workload.labels),
            by_request_id=wanted.by_request_id,
            b3=self._settings.b3,
        )
        return Spans(tracer, Sampling(wanted.percent, wanted.tags))


def _tags(written: Mapping[str, CustomTag]) -> Iterator[Tag]:
    for name, tag in sorted(written.items()):
        if tag.literal and tag.literal.value:
            yield Tag(name, "literal", tag.literal.value)
        elif tag.header:
            yield Tag(name, "header", tag.header.name, tag.header.default_value)
        elif tag.environment:
            yield Tag(name, "environment", tag.environment.name, tag.environment.default_value)


def _told(spec: TelemetrySpec, ref: Ref, settings: TracingSettings) -> Iterator[Problem]:
    """Yield what of a resource has no effect."""
    if spec.tracing and settings.collector == "":
        text = "spec.tracing has no effect: the mesh has no collector: start its control plane with --tracing-otlp"
        yield Problem(ref, "NoEffect", text)
    for index, rule in enumerate(spec.tracing):
        path = f"spec.tracing[{index}]"
        if len(rule.providers) > 1:
            text = f"{path}.providers: spans go to one collector, that of --tracing-otlp: keep one provider"
            yield Problem(ref, "NotImplemented", text)
        for name, tag in (rule.custom_tags or {}).items():
            if not (tag.header or tag.environment or (tag.literal and tag.literal.value) or tag.model_extra):
                text = f"{path}.customTags[{name}] has no value and no effect: write literal, header or environment"
                yield Problem(ref, "NoEffect", text)
