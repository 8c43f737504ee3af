"""Settings that the documented exchanges leave out."""

from __future__ import annotations

import json

import pytest

from analysis.api import services
from analysis.providers.registry import open_settings

pytestmark = pytest.mark.integration

AT = 1_700_000_000.0
LOGIN = {"username": {"name": "keys", "key": "user"}, "password": {"name": "keys", "key": "password"}}
KEY = {"name": "keys", "key": "token"}
SECRETS = {"keys": {"user": "coalmine", "password": "correct horse", "token": "abcdef123456"}}
BASIC = "Basic Y29hbG1pbmU6Y29ycmVjdCBob3JzZQ=="
SERIES = {
    "results": [{"statement_id": 0, "series": [{"name": "r", "columns": ["time", "mean"], "values": [[1, 0.25]]}]}]
}
TABLE = {"columns": [{"name": "rate", "type": "double"}, {"name": "all", "type": "long"}], "values": [[0.25, 9]]}


@pytest.fixture
async def measure(double, context):
    """Measures once with these settings."""

    async def measure(model, **settings):
        found = getattr(services, model).model_validate({"address": double.address} | settings)
        source = open_settings(found, context(SECRETS))
        try:
            return await source.measure(AT)
        finally:
            await source.close()

    return measure


@pytest.mark.parametrize(
    ("aggregator", "value"), [("avg", 0.3), ("min", 0.2), ("max", 0.4), ("sum", 0.9), ("last", 0.3)]
)
async def test_graphites_points_become_one_number(aggregator, value, double, measure):
    points = [[0.2, 1], [None, 2], [0.4, 3], [0.3, 4], [None, 5]]
    double.says(body=[{"target": "x", "datapoints": points}])
    assert await measure("Graphite", query="x", aggregator=aggregator) == pytest.approx(value)
    assert "Authorization" not in double.seen[0]["headers"]


async def test_datadogs_single_query_is_a_formula_of_itself(double, measure):
    columns = [{"name": "query1", "type": "number", "values": [0.25]}]
    double.says(body={"data": {"type": "scalar_response", "attributes": {"columns": columns}}})
    assert await measure("Datadog", apiKey=KEY, applicationKey=KEY, query="avg:errors{*}") == 0.25
    asked = json.loads(double.seen[0]["text"])["data"]["attributes"]
    wanted = {"data_source": "metrics", "name": "query1", "query": "avg:errors{*}", "aggregator": "avg"}
    assert (asked["queries"], asked["formulas"]) == ([wanted], [{"formula": "query1"}])
    assert asked["to"] - asked["from"] == 300_000


@pytest.mark.parametrize(
    ("login", "header"),
    [({"token": KEY}, "Token abcdef123456"), ({"basicAuth": LOGIN}, BASIC), ({}, None)],
)
async def test_influxql_takes_either_login(login, header, double, measure):
    double.says(body=SERIES)
    assert await measure("InfluxDb", language="InfluxQL", database="app", query="SELECT …", **login) == 0.25
    assert double.seen[0]["headers"].get("Authorization") == header


@pytest.mark.parametrize(
    ("login", "header"),
    [
        ({"apiKey": KEY}, "ApiKey abcdef123456"),
        ({"token": KEY}, "Bearer abcdef123456"),
        ({"basicAuth": LOGIN}, BASIC),
        ({}, None),
    ],
)
async def test_elasticsearch_takes_any_login(login, header, double, measure):
    double.says(body=TABLE)
    assert await measure("Elasticsearch", esql="FROM a", column="rate", **login) == 0.25
    assert double.seen[0]["headers"].get("Authorization") == header


async def test_hits_are_counted_without_being_fetched(double, measure):
    double.says(body={"timed_out": False, "_shards": {"failed": 0}, "hits": {"total": {"value": 3}, "hits": []}})
    search = {"query": {"match": {"level": "error"}}, "track_total_hits": True}
    assert await measure("Elasticsearch", index="logs-*", search=search, path="$.hits.total.value") == 3
    assert json.loads(double.seen[0]["text"]) == {"size": 0} | search


async def test_a_new_relic_column_is_chosen_by_name(double, measure):
    results = [{"count": 9, "percentile.duration": {"95": 0.25, "99": 0.5}}]
    double.says(body={"data": {"actor": {"account": {"nrql": {"results": results}}}}})
    settings = {"accountId": "1", "apiKey": KEY, "query": "SELECT …", "column": "percentile.duration.95"}
    assert await measure("NewRelic", **settings) == 0.25


async def test_a_service_with_basic_login_is_asked_with_get(double, context):
    double.says(body={"rate": 0.25})
    settings = {"url": f"{double.address}/rate", "basicAuth": LOGIN, "jsonPath": "$.rate"}
    source = open_settings(services.Web.model_validate(settings), context(SECRETS))
    assert await source.measure(AT) == 0.25
    await source.close()
    (seen,) = double.seen
    assert (seen["method"], seen["headers"]["Authorization"], seen["text"]) == ("GET", BASIC, "")
