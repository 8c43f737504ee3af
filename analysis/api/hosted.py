"""Settings of the hosted services: Datadog, New Relic, Dynatrace and Google Cloud Monitoring (Stackdriver)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from analysis.api.connection import Address, Query, Service
from analysis.api.secret import SecretKeyRef
from crds.base import Duration
from crds.schema import Rule, rules

__all__ = ["Datadog", "Dynatrace", "NewRelic", "Stackdriver"]

_ONE_QUERY = "write either query, or queries and a formula over their names"


class Datadog(Service):
    """A metrics query of Datadog, reduced to one number over ``interval`` (``POST /api/v2/query/scalar``)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(rule="has(self.query) != has(self.queries)", message=_ONE_QUERY),
            Rule(rule="has(self.formula) == has(self.queries)", message=_ONE_QUERY),
        )
    )

    address: Annotated[
        Address, Field(description="The API of your site: https://api.datadoghq.com, https://api.datadoghq.eu, …")
    ] = "https://api.datadoghq.com"
    api_key: Annotated[SecretKeyRef, Field(description="The API key.")]
    application_key: Annotated[
        SecretKeyRef, Field(description="The application key; it needs the scope timeseries_query.")
    ]
    query: Annotated[
        Query | None, Field(description="The query (avg:http.request.errors{service:payment}), grouped by nothing.")
    ] = None
    queries: Annotated[
        dict[str, Query] | None,
        Field(min_length=1, max_length=20, description="Queries by the name that the formula uses."),
    ] = None
    formula: Annotated[Query | None, Field(description="A formula over the names of queries: 100 * errors / all.")] = (
        None
    )
    aggregator: Annotated[
        Literal["avg", "min", "max", "sum", "last", "percentile", "mean", "l2norm", "area"],
        Field(description="How the points within interval become one number."),
    ] = "avg"
    interval: Annotated[
        Duration, Field(gt=0, description="How far back the query looks from the time of the measurement.")
    ] = 300.0

    @model_validator(mode="after")
    def _one_query(self) -> Datadog:
        if (self.query is None) == (self.queries is None) or (self.formula is None) != (self.queries is None):
            raise ValueError(_ONE_QUERY)
        return self


class NewRelic(Service):
    """A NRQL query of New Relic (NerdGraph)."""

    account_id: Annotated[str, Field(min_length=1, max_length=253, description="The account's number, in quotes.")]
    api_key: Annotated[SecretKeyRef, Field(description="A user key (NRAK-…).")]
    region: Annotated[Literal["us", "eu"], Field(description="Data centre of the account.")] = "us"
    address: Annotated[
        Address | None, Field(description="The API instead of the region's own: a proxy, or a region not listed.")
    ] = None
    query: Annotated[
        Query,
        Field(
            description="The NRQL query with one result: without FACET and TIMESERIES, and with a SINCE "
            "(SELECT percentage(count(*), WHERE error IS true) FROM Transaction SINCE 5 minutes ago)."
        ),
    ]
    column: Annotated[
        str | None,
        Field(max_length=253, description="Which column of the result is the value; needed when there are several."),
    ] = None


class Dynatrace(Service):
    """A metric selector of Dynatrace, as one number over ``interval`` (Metrics API v2)."""

    address: Annotated[
        Address,
        Field(description="The environment: https://abc12345.live.dynatrace.com, or https://host/e/id when managed."),
    ]
    token: Annotated[SecretKeyRef, Field(description="An access token with the scope metrics.read.")]
    query: Annotated[
        Query,
        Field(
            description="The metric selector of one series: split by nothing (:splitBy()), "
            "such as builtin:service.errors.total.rate:splitBy()."
        ),
    ]
    entity_selector: Annotated[
        Query | None, Field(description="Which entities: type(SERVICE),entityName.equals(payment).")
    ] = None
    interval: Annotated[
        Duration, Field(gt=0, description="How far back the query looks from the time of the measurement.")
    ] = 300.0


class Stackdriver(Service):
    """A PromQL query of Google Cloud Monitoring (Stackdriver). Needs ``pip install coalmine[stackdriver]``."""

    project: Annotated[str, Field(min_length=1, max_length=253, description="The project's id.")]
    query: Annotated[
        Query,
        Field(
            description="A PromQL query with one result. Cloud Monitoring's own metrics have PromQL names too: "
            "sum(rate(loadbalancing_googleapis_com:https_request_count[5m]))."
        ),
    ]
    service_account_key: Annotated[
        SecretKeyRef | None,
        Field(
            description="A service account's key (JSON), with the role Monitoring Viewer; without it, the controller's "
            "own identity (Workload Identity)."
        ),
    ] = None
    address: Annotated[Address, Field(description="The Monitoring API.")] = "https://monitoring.googleapis.com"
