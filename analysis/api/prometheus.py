"""Settings of Prometheus and of what answers like it (Thanos, Mimir, Cortex, VictoriaMetrics): values and counts."""

from __future__ import annotations

import itertools
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, model_validator

from analysis.api.connection import Address, BasicAuth, Query, Service
from analysis.api.secret import SecretKeyRef
from analysis.api.web import Header
from crds.base import Duration
from crds.schema import Rule, list_map, rules

__all__ = ["PrometheusCounts", "PrometheusQuery", "PrometheusServer"]

_ONE_LOGIN = "write at most one of bearerToken and basicAuth"
_ONE_TENANT = "the tenant is written twice: keep tenant and remove the header X-Scope-OrgID"
_METRICS = "write preset, or requests with errors, so that it is known what to count"
_BOTH_ARMS = "canary and baseline belong together: write both, or none to tell the pods by their names"
_LATENCY_UNIT = "latencyUnit says how to read latency: write both or only latency"

Metric = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
Label = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
Matchers = Annotated[str, Field(max_length=4096)]
_TENANT_HEADER: Final = "x-scope-orgid"


class PrometheusServer(Service):
    """Where Prometheus is, and who is asking."""

    model_config = ConfigDict(
        json_schema_extra=rules(Rule(rule="!(has(self.bearerToken) && has(self.basicAuth))", message=_ONE_LOGIN))
    )

    address: Annotated[
        Address,
        Field(
            description="What comes before /api/v1: http://prometheus.monitoring:9090, http://mimir.monitoring/prometheus, "
            "http://vmselect.monitoring:8481/select/0/prometheus."
        ),
    ]
    bearer_token: Annotated[SecretKeyRef | None, Field(description="A token (Authorization: Bearer …).")] = None
    basic_auth: Annotated[BasicAuth | None, Field(description="User name and password.")] = None
    tenant: Annotated[
        str | None, Field(min_length=1, max_length=253, description="Tenant of Mimir or Cortex (X-Scope-OrgID).")
    ] = None
    headers: Annotated[
        tuple[Header, ...],
        Field(max_length=32, description="Further headers of each request.", json_schema_extra=list_map("key")),
    ] = ()

    @model_validator(mode="after")
    def _one_identity(self) -> PrometheusServer:
        if self.bearer_token is not None and self.basic_auth is not None:
            raise ValueError(_ONE_LOGIN)
        names = [header.key.lower() for header in self.headers]
        if len(set(names)) != len(names):
            msg = "headers has a name twice: write each header once"
            raise ValueError(msg)
        if self.tenant is not None and _TENANT_HEADER in names:
            raise ValueError(_ONE_TENANT)
        return self


class PrometheusQuery(PrometheusServer):
    """A PromQL query with one result."""

    query: Annotated[
        Query,
        Field(
            description="The query; its result is a number or one series: "
            'sum(rate(http_requests_total{code=~"5.."}[2m])) / sum(rate(http_requests_total[2m])).'
        ),
    ]


class PrometheusCounts(PrometheusServer):
    """Request counters and latency histograms per pod, for the counting judge.

    ``preset`` names a convention and sets what is not written; every field that is written wins over it.
    """

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(rule="!(has(self.bearerToken) && has(self.basicAuth))", message=_ONE_LOGIN),
            Rule(rule="has(self.preset) || (has(self.requests) && has(self.errors))", message=_METRICS),
            Rule(rule="has(self.canary) == has(self.baseline)", message=_BOTH_ARMS),
            Rule(rule="!has(self.latencyUnit) || has(self.latency)", message=_LATENCY_UNIT),
        )
    )

    preset: Annotated[
        Literal["Istio", "OpenTelemetry", "Http", "Linkerd", "Envoy"] | None,
        Field(
            description="Istio: istio_requests_total, istio_request_duration_milliseconds. OpenTelemetry: "
            "http_server_request_duration_seconds. Http: http_requests_total, http_request_duration_seconds. Linkerd: "
            "response_total, response_latency_ms. Envoy: envoy_http_downstream_rq_xx, envoy_http_downstream_rq_time."
        ),
    ] = None
    requests: Annotated[
        Metric | None, Field(description="The counter of requests; of a histogram, its name with _count.")
    ] = None
    errors: Annotated[
        Matchers | None,
        Field(
            description='Which of requests failed, as label matchers that must all hold: code=~"5..". The labels are '
            "compared as in PromQL."
        ),
    ] = None
    latency: Annotated[
        Metric | None,
        Field(
            description="The histogram of latencies, without _bucket. Classic and native histograms are both understood."
        ),
    ] = None
    latency_unit: Annotated[
        Literal["s", "ms"] | None,
        Field(description="What latency counts in; without it, what its name says (_seconds, _ms, _milliseconds)."),
    ] = None
    matchers: Annotated[
        Matchers,
        Field(description='Label matchers that hold for both versions: job="payment",reporter="destination".'),
    ] = ""
    canary: Annotated[
        Matchers | None,
        Field(description="Label matchers of the canary's pods, where podLabel does not hold the name of the pod."),
    ] = None
    baseline: Annotated[Matchers | None, Field(description="Label matchers of the baseline's pods.")] = None
    pod_label: Annotated[Label, Field(description="The label that tells pods apart.")] = "pod"
    route_label: Annotated[
        Label | None,
        Field(
            description="The label that tells kinds of requests apart: http_route. Versions are compared within each."
        ),
    ] = None
    replica_labels: Annotated[
        tuple[Label, ...],
        Field(
            max_length=8,
            description="Labels by which only the Prometheus that scraped differs; of such copies one is read.",
        ),
    ] = ("prometheus_replica", "__replica__")
    buckets: Annotated[
        tuple[float, ...] | None,
        Field(
            min_length=1,
            max_length=64,
            description="Bounds in milliseconds that latencies are judged at; each must be a bound of the histogram. "
            "Without them those of the histogram.",
        ),
    ] = None
    scrape_interval: Annotated[
        Duration, Field(ge=1, le=300, description="How often the pods are scraped; one window is this long.")
    ] = 15.0
    lateness: Annotated[
        Duration,
        Field(ge=0, le=300, description="How long after a scrape its samples can be read: longer behind remote write."),
    ] = 3.0

    @model_validator(mode="after")
    def _complete(self) -> PrometheusCounts:
        if self.preset is None and (self.requests is None or self.errors is None):
            raise ValueError(_METRICS)
        if (self.canary is None) != (self.baseline is None):
            raise ValueError(_BOTH_ARMS)
        if self.latency_unit is not None and self.latency is None:
            raise ValueError(_LATENCY_UNIT)
        bounds = self.buckets or ()
        if any(bound <= 0 for bound in bounds) or any(low >= high for low, high in itertools.pairwise(bounds)):
            msg = "buckets must be positive and ascending: write them like [5, 10, 25, 50, 100]"
            raise ValueError(msg)
        return self
