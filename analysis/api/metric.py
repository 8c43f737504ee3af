"""One metric of an AnalysisTemplate: where it comes from, what is asked of it, when it is measured."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field, model_validator

from analysis.api.prometheus import PrometheusQuery
from analysis.api.services import (
    CloudWatch,
    Datadog,
    Dynatrace,
    Elasticsearch,
    Graphite,
    InfluxDb,
    Job,
    NewRelic,
    Plugin,
    Stackdriver,
    Web,
)
from crds.base import Duration, Resource
from crds.schema import Rule, rules

__all__ = ["Bounds", "Comparison", "Limit", "Metric", "Provider", "Range", "Worse"]

_PROVIDERS: Final = (
    "cloudWatch",
    "datadog",
    "dynatrace",
    "elasticsearch",
    "graphite",
    "influxdb",
    "job",
    "newRelic",
    "plugin",
    "prometheus",
    "stackdriver",
    "web",
)
_ONE_PROVIDER: Final = f"a provider is exactly one of {', '.join(_PROVIDERS)}: write one of them"
_ONE_TEST: Final = "a metric sets exactly one of comparison, limit, thresholdRange: write what is asked of it"


class Provider(Resource):
    """Where a value comes from: exactly one of these."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule=f"[{', '.join(f'has(self.{name})' for name in _PROVIDERS)}].exists_one(x, x)",
                message=_ONE_PROVIDER,
            )
        )
    )

    prometheus: Annotated[PrometheusQuery | None, Field(description="A PromQL query.")] = None
    datadog: Annotated[Datadog | None, Field(description="A Datadog query.")] = None
    cloud_watch: Annotated[CloudWatch | None, Field(description="Amazon CloudWatch metric queries.")] = None
    new_relic: Annotated[NewRelic | None, Field(description="A New Relic query (NRQL).")] = None
    graphite: Annotated[Graphite | None, Field(description="A Graphite query.")] = None
    influxdb: Annotated[InfluxDb | None, Field(description="An InfluxDB query.")] = None
    dynatrace: Annotated[Dynatrace | None, Field(description="A Dynatrace metric selector.")] = None
    stackdriver: Annotated[Stackdriver | None, Field(description="A Google Cloud Monitoring query.")] = None
    elasticsearch: Annotated[Elasticsearch | None, Field(description="An Elasticsearch search.")] = None
    web: Annotated[Web | None, Field(description="A number in any JSON answer over HTTP.")] = None
    job: Annotated[Job | None, Field(description="A Kubernetes Job: 1 when it succeeds, 0 when it fails.")] = None
    plugin: Annotated[Plugin | None, Field(description="An installed plug-in.")] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Provider:
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            raise ValueError(_ONE_PROVIDER)
        return self


class Worse(StrEnum):
    """Which change is a change for the worse."""

    INCREASE = "Increase"
    DECREASE = "Decrease"
    EITHER = "Either"


class Bounds(Resource):
    """The least and the most that a value can be (0 and 1 for a share). With them the test is exact for means."""

    min: float
    max: float

    @model_validator(mode="after")
    def _in_order(self) -> Bounds:
        if not self.min < self.max:
            msg = "bounds: min is not below max: write the smaller one as min"
            raise ValueError(msg)
        return self


class Comparison(Resource):
    """The canary's mean against the baseline's, pair by pair in time. Anytime-valid: it may be looked at as often as one likes."""

    worse: Annotated[Worse, Field(description="Which change is a change for the worse.")] = Worse.INCREASE
    max_ratio: Annotated[float, Field(gt=0, le=1000, description="Tolerated ratio to the baseline.")] = 1.0
    max_change: Annotated[
        float, Field(ge=0, description="Tolerated change beyond that ratio, in the metric's own unit.")
    ] = 0.0
    bounds: Annotated[Bounds | None, Field(description="The least and the most that a value can be.")] = None


class Range(Resource):
    """From min to max; one of them may be left out."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(rule="has(self.min) || has(self.max)", message="write min, max or both"),
            Rule(
                rule="!has(self.min) || !has(self.max) || self.min <= self.max", message="min is above max: swap them"
            ),
        )
    )

    min: Annotated[float | None, Field(description="The least that is fine.")] = None
    max: Annotated[float | None, Field(description="The most that is fine.")] = None

    @model_validator(mode="after")
    def _some(self) -> Range:
        if self.min is None and self.max is None:
            msg = "write min, max or both"
            raise ValueError(msg)
        if self.min is not None and self.max is not None and self.min > self.max:
            msg = "min is above max: swap them"
            raise ValueError(msg)
        return self


class Limit(Range):
    """The canary's mean has to stay within limits. Anytime-valid, unlike a bare threshold."""

    bounds: Annotated[Bounds | None, Field(description="The least and the most that a value can be.")] = None


class Metric(Resource):
    """One metric."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule="[has(self.comparison), has(self.limit), has(self.thresholdRange)].exists_one(x, x)",
                message=_ONE_TEST,
            ),
            Rule(
                rule="!has(self.baseline) || has(self.comparison)",
                message="baseline is only compared with by comparison: write comparison or leave baseline out",
            ),
        )
    )

    name: Annotated[
        str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", description="Its name.")
    ]
    provider: Annotated[Provider, Field(description="Where the canary's value comes from.")]
    baseline: Annotated[
        Provider | None,
        Field(
            description="Where the baseline's value comes from. Without it the provider is asked twice, with {{pods}}, "
            "{{deployment}} and {{version}} standing for each version's own."
        ),
    ] = None
    comparison: Annotated[Comparison | None, Field(description="Compare the canary with the baseline.")] = None
    limit: Annotated[Limit | None, Field(description="Test the canary's mean against limits.")] = None
    threshold_range: Annotated[
        Range | None,
        Field(
            description="A bare threshold on each measurement. Looked at often enough, noise crosses it: prefer limit."
        ),
    ] = None
    failure_limit: Annotated[int, Field(ge=0, description="Measurements beyond thresholdRange that are tolerated.")] = 0
    consecutive_error_limit: Annotated[
        int, Field(ge=0, description="Failed queries in a row after which the rollout says so and waits.")
    ] = 4
    critical: Annotated[
        bool, Field(description="Whether it may take the canary back. Otherwise it only has to be fine for promotion.")
    ] = True
    dry_run: Annotated[bool, Field(description="Measure and show it, and decide nothing by it.")] = False
    initial_delay: Annotated[Duration, Field(description="How long after the release began it is first measured.")] = (
        0.0
    )
    interval: Annotated[Duration, Field(ge=1.0, description="Time between measurements.")] = 30.0
    count: Annotated[int | None, Field(ge=1, description="Stop after so many measurements.")] = None

    @model_validator(mode="after")
    def _one_test(self) -> Metric:
        if sum(test is not None for test in (self.comparison, self.limit, self.threshold_range)) != 1:
            raise ValueError(_ONE_TEST)
        if self.baseline is not None and self.comparison is None:
            msg = "baseline is only compared with by comparison: write comparison or leave baseline out"
            raise ValueError(msg)
        return self
