"""Settings of Amazon CloudWatch, in the words of its GetMetricData."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from analysis.api.connection import Address, Service
from analysis.api.secret import SecretKeyRef
from crds.base import Duration, Resource
from crds.schema import Rule, list_map, rules

__all__ = [
    "CloudWatch",
    "CloudWatchCredentials",
    "CloudWatchDimension",
    "CloudWatchMetric",
    "CloudWatchQuery",
    "CloudWatchStat",
]

_ONE_KIND = "a query is either an expression or a metricStat: write one of them"
_Name = Annotated[str, Field(min_length=1, max_length=255)]


class CloudWatchDimension(Resource):
    """A dimension of a metric."""

    name: Annotated[_Name, Field(description="Name of the dimension: LoadBalancer.")]
    value: Annotated[str, Field(min_length=1, max_length=1024, description="Its value.")]


class CloudWatchMetric(Resource):
    """Which metric."""

    namespace: Annotated[_Name, Field(description="Namespace of the metric: AWS/ApplicationELB.")]
    metric_name: Annotated[_Name, Field(description="Name of the metric: HTTPCode_Target_5XX_Count.")]
    dimensions: Annotated[
        tuple[CloudWatchDimension, ...],
        Field(max_length=30, description="Dimensions of the metric.", json_schema_extra=list_map("name")),
    ] = ()


class CloudWatchStat(Resource):
    """A statistic of a metric."""

    metric: Annotated[CloudWatchMetric, Field(description="Which metric.")]
    period: Annotated[int, Field(ge=1, le=86400, description="Seconds that each point covers: 60.")] = 60
    stat: Annotated[str, Field(min_length=1, max_length=64, description="Sum, Average, p99, …")]
    unit: Annotated[
        str | None, Field(max_length=64, description="Only points of this unit: Count, Milliseconds, ….")
    ] = None


class CloudWatchQuery(Resource):
    """One query, or an expression over others."""

    model_config = ConfigDict(
        json_schema_extra=rules(Rule(rule="has(self.expression) != has(self.metricStat)", message=_ONE_KIND))
    )

    id: Annotated[str, Field(min_length=1, max_length=255, description="What expressions call it: a lower-case name.")]
    expression: Annotated[
        str | None, Field(max_length=2048, description="Metric math over other ids (errors / requests), or a query.")
    ] = None
    metric_stat: Annotated[CloudWatchStat | None, Field(description="A statistic of a metric.")] = None
    label: Annotated[str | None, Field(max_length=1024, description="A name for people.")] = None
    period: Annotated[
        int | None, Field(ge=1, le=86400, description="Seconds that each point of an expression covers.")
    ] = None
    return_data: Annotated[
        bool, Field(description="Whether this is the value; false for what only feeds an expression.")
    ] = True

    @model_validator(mode="after")
    def _one_kind(self) -> CloudWatchQuery:
        if (self.expression is None) == (self.metric_stat is None):
            raise ValueError(_ONE_KIND)
        return self


class CloudWatchCredentials(Resource):
    """An access key of AWS."""

    access_key_id: Annotated[SecretKeyRef, Field(description="The access key's id.")]
    secret_access_key: Annotated[SecretKeyRef, Field(description="The secret access key.")]
    session_token: Annotated[SecretKeyRef | None, Field(description="The session token of temporary credentials.")] = (
        None
    )


class CloudWatch(Service):
    """Metric data of Amazon CloudWatch. Needs ``pip install coalmine[cloudwatch]``."""

    region: Annotated[str, Field(min_length=1, max_length=64, description="The region: eu-central-1.")]
    metric_data_queries: Annotated[
        tuple[CloudWatchQuery, ...],
        Field(
            min_length=1,
            max_length=50,
            description="The queries; exactly one returns data: returnData is false for the others.",
            json_schema_extra=list_map("id"),
        ),
    ]
    interval: Annotated[
        Duration,
        Field(
            gt=0,
            description="How far back the queries look from the time of the measurement; the newest point in it counts.",
        ),
    ] = 300.0
    credentials: Annotated[
        CloudWatchCredentials | None,
        Field(
            description="An access key with cloudwatch:GetMetricData; without it, the controller's own identity "
            "(IRSA, Pod Identity, instance profile)."
        ),
    ] = None
    address: Annotated[Address | None, Field(description="The API instead of the region's own: a VPC endpoint.")] = None

    @model_validator(mode="after")
    def _one_value(self) -> CloudWatch:
        ids = [query.id for query in self.metric_data_queries]
        if len(set(ids)) != len(ids):
            msg = "metricDataQueries has two queries with one id: give each its own"
            raise ValueError(msg)
        answers = [query.id for query in self.metric_data_queries if query.return_data]
        if len(answers) != 1:
            msg = (
                f"metricDataQueries returns data for {', '.join(answers) or 'no query'}: "
                "one query is the value; write returnData: false on each of the others"
            )
            raise ValueError(msg)
        return self
