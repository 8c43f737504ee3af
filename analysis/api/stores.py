"""Settings of the metrics stores that people run themselves: Graphite, InfluxDB and Elasticsearch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from analysis.api.connection import Address, BasicAuth, Query, Service
from analysis.api.paths import JsonPath
from analysis.api.secret import SecretKeyRef
from crds.base import Duration
from crds.schema import Rule, rules

__all__ = ["Elasticsearch", "Graphite", "InfluxDb"]

_ONE_LOGIN = "write at most one of token and basicAuth"


class Graphite(Service):
    """A target of Graphite's render API, reduced to one number over ``interval``."""

    address: Annotated[Address, Field(description="Graphite's address: http://graphite.monitoring:80.")]
    query: Annotated[
        Query,
        Field(
            description="The target, a single series: sumSeries(app.payment.*.errors). "
            "Wrap it in sumSeries or averageSeries when it matches several."
        ),
    ]
    aggregator: Annotated[
        Literal["avg", "min", "max", "sum", "last"],
        Field(description="How the points within interval become one number; gaps do not count."),
    ] = "avg"
    interval: Annotated[
        Duration, Field(gt=0, description="How far back the query looks from the time of the measurement.")
    ] = 300.0
    basic_auth: Annotated[BasicAuth | None, Field(description="User name and password.")] = None


class InfluxDb(Service):
    """A query of InfluxDB that answers with one number: Flux (2), InfluxQL (1, 2, 3) or SQL (3)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule="self.language == 'Flux' ? has(self.org) : has(self.database)",
                message="Flux needs org; InfluxQL and SQL need database",
            ),
            Rule(rule="!(has(self.token) && has(self.basicAuth))", message=_ONE_LOGIN),
        )
    )

    address: Annotated[Address, Field(description="InfluxDB's address: https://influxdb.monitoring:8086.")]
    language: Annotated[Literal["Flux", "InfluxQL", "SQL"], Field(description="The query's language.")] = "Flux"
    query: Annotated[
        Query,
        Field(
            description='The query, with one result: from(bucket:"app") |> range(start: -5m) |> … |> group() |> mean(). '
            "It says itself which time it is about."
        ),
    ]
    column: Annotated[
        str | None,
        Field(
            max_length=253, description="Which column is the value; without it _value, or the only column of numbers."
        ),
    ] = None
    org: Annotated[str | None, Field(max_length=253, description="The organisation, for Flux.")] = None
    database: Annotated[str | None, Field(max_length=253, description="The database, for InfluxQL and SQL.")] = None
    token: Annotated[SecretKeyRef | None, Field(description="A token that may read the bucket or database.")] = None
    basic_auth: Annotated[BasicAuth | None, Field(description="User name and password, for InfluxDB 1.")] = None

    @model_validator(mode="after")
    def _complete(self) -> InfluxDb:
        if self.language == "Flux" and self.org is None:
            msg = "org is missing: Flux needs the organisation"
            raise ValueError(msg)
        if self.language != "Flux" and self.database is None:
            msg = f"database is missing: {self.language} needs one"
            raise ValueError(msg)
        if self.token is not None and self.basic_auth is not None:
            raise ValueError(_ONE_LOGIN)
        return self


class Elasticsearch(Service):
    """A search with an aggregation, or an ES|QL query, of Elasticsearch (searches: OpenSearch as well)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(rule="has(self.search) != has(self.esql)", message="write one of search and esql"),
            Rule(
                rule="!has(self.search) || (has(self.index) && has(self.path))",
                message="search needs index (where to search) and path (what of the answer is the value)",
            ),
            Rule(
                rule="[has(self.apiKey), has(self.token), has(self.basicAuth)].filter(x, x).size() <= 1",
                message="write at most one of apiKey, token and basicAuth",
            ),
        )
    )

    address: Annotated[Address, Field(description="Elasticsearch's address: https://elasticsearch.monitoring:9200.")]
    index: Annotated[str | None, Field(max_length=1024, description="What to search: logs-payment-*.")] = None
    search: Annotated[
        dict[str, Any] | None,
        Field(
            description="The body of _search: a query over a time (now-5m) and aggregations. Only numbers are wanted: "
            "size is 0 unless you set it."
        ),
    ] = None
    path: Annotated[
        JsonPath | None,
        Field(description="JSONPath to the value in the answer: $.aggregations.error_rate.value, $.hits.total.value."),
    ] = None
    esql: Annotated[
        Query | None,
        Field(description="An ES|QL query with one row: FROM logs-* | WHERE … | STATS rate = AVG(failed)."),
    ] = None
    column: Annotated[
        str | None,
        Field(max_length=253, description="Which column of the ES|QL answer; needed when there are several."),
    ] = None
    api_key: Annotated[SecretKeyRef | None, Field(description="An API key in its encoded form.")] = None
    token: Annotated[SecretKeyRef | None, Field(description="A bearer token.")] = None
    basic_auth: Annotated[BasicAuth | None, Field(description="User name and password.")] = None

    @model_validator(mode="after")
    def _complete(self) -> Elasticsearch:
        if (self.search is None) == (self.esql is None):
            msg = "write one of search and esql"
            raise ValueError(msg)
        if self.search is not None and (self.index is None or self.path is None):
            msg = "search needs index (where to search) and path (what of the answer is the value)"
            raise ValueError(msg)
        if sum(login is not None for login in (self.api_key, self.token, self.basic_auth)) > 1:
            msg = "write at most one of apiKey, token and basicAuth"
            raise ValueError(msg)
        return self
