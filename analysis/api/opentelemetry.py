"""Settings of OpenTelemetry metrics that pods, or a Collector, send to the controller: counts per pod."""

from __future__ import annotations

import itertools
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from crds.base import Duration, Resource
from crds.schema import Rule, rules

__all__ = ["AttributeMatch", "OpenTelemetryCounts"]

_METRICS: Final = "write preset, or requests with errors, so that it is known what to count"
_LATENCY_UNIT: Final = "latencyUnit says how to read latency: write both or only latency"
_VALUES: Final = "In and NotIn compare with values: write them; Exists and DoesNotExist have none"

# https://opentelemetry.io/docs/specs/otel/metrics/api/#instrument-name-syntax
InstrumentName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z][A-Za-z0-9_.\-/]*$")]
AttributeKey = Annotated[str, Field(min_length=1, max_length=255)]
AttributeValue = Annotated[str, Field(max_length=255)]


class AttributeMatch(Resource):
    """A condition on one attribute, as in a label selector. Numbers are compared as they are written: ``"503"``."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule="has(self.values) == (!has(self.operator) || self.operator in ['In', 'NotIn'])",
                message=_VALUES,
            )
        )
    )

    key: Annotated[AttributeKey, Field(description="The attribute: http.response.status_code.")]
    operator: Annotated[
        Literal["In", "NotIn", "Exists", "DoesNotExist"],
        Field(description="How it is compared. NotIn holds as well where there is no such attribute."),
    ] = "In"
    values: Annotated[
        tuple[AttributeValue, ...] | None,
        Field(min_length=1, max_length=64, description='Of In and NotIn: the values. * stands for any text: ["5*"].'),
    ] = None

    @model_validator(mode="after")
    def _values(self) -> AttributeMatch:
        if (self.values is not None) != (self.operator in {"In", "NotIn"}):
            raise ValueError(_VALUES)
        return self


class OpenTelemetryCounts(Resource):
    """Request counters and latency histograms per pod, sent over OTLP/HTTP, for the counting judge.

    ``preset`` names a convention and sets what is not written; every field that is written wins over it.
    """

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(rule="has(self.preset) || (has(self.requests) && has(self.errors))", message=_METRICS),
            Rule(rule="!has(self.latencyUnit) || has(self.latency)", message=_LATENCY_UNIT),
        )
    )

    preset: Annotated[
        Literal["Http", "Grpc"] | None,
        Field(
            description="Http: http.server.request.duration; failed are http.response.status_code 5xx and what has an "
            "error.type. Grpc: rpc.server.duration; failed are rpc.grpc.status_code 2, 4, 12, 13, 14 and 15."
        ),
    ] = None
    requests: Annotated[
        InstrumentName | None, Field(description="The metric that counts requests: a counter or a histogram.")
    ] = None
    errors: Annotated[
        tuple[AttributeMatch, ...] | None,
        Field(
            min_length=1,
            max_length=16,
            description="Which of requests failed: those for which any of these holds.",
        ),
    ] = None
    latency: Annotated[
        InstrumentName | None,
        Field(description="The histogram of latencies. Explicit and exponential buckets are both understood."),
    ] = None
    latency_unit: Annotated[
        Literal["s", "ms", "us", "ns"] | None,
        Field(description="What latency counts in; without it, the unit that the metric itself names."),
    ] = None
    attributes: Annotated[
        tuple[AttributeMatch, ...],
        Field(
            max_length=16,
            description="Only what all of these hold for is counted, for both versions. Attributes of the resource "
            "(service.name) count as well as those of the metric.",
        ),
    ] = ()
    pod_attribute: Annotated[
        AttributeKey, Field(description="The attribute with the pod's name, of the resource or of the metric.")
    ] = "k8s.pod.name"
    route_attribute: Annotated[
        AttributeKey | None,
        Field(
            description="The attribute that tells kinds of requests apart: http.route. Versions are compared within each."
        ),
    ] = None
    buckets: Annotated[
        tuple[float, ...] | None,
        Field(
            min_length=1,
            max_length=64,
            description="Bounds in milliseconds that latencies are judged at; each must be a bound of the histogram. "
            "Without them those of the histogram.",
        ),
    ] = None
    export_interval: Annotated[
        Duration,
        Field(
            ge=1,
            le=300,
            description="How often the pods export (OTEL_METRIC_EXPORT_INTERVAL, in an SDK 60s unless set); one window is "
            "this long.",
        ),
    ] = 10.0
    lateness: Annotated[
        Duration,
        Field(ge=0, le=300, description="How long an export takes to arrive: longer behind a Collector that batches."),
    ] = 2.0

    @model_validator(mode="after")
    def _complete(self) -> OpenTelemetryCounts:
        if self.preset is None and (self.requests is None or self.errors is None):
            raise ValueError(_METRICS)
        if self.latency_unit is not None and self.latency is None:
            raise ValueError(_LATENCY_UNIT)
        bounds = self.buckets or ()
        if any(bound <= 0 for bound in bounds) or any(low >= high for low, high in itertools.pairwise(bounds)):
            msg = "buckets must be positive and ascending: write them like [5, 10, 25, 50, 100]"
            raise ValueError(msg)
        return self
