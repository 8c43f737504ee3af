"""The settings of the value providers: what contradicts itself is refused, with the field and the fix."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from analysis.api import services
from coalmine.crds.schema import structural
from crds.explain import explain

KEY = {"name": "keys", "key": "api"}
STAT = {"stat": "Sum", "metric": {"namespace": "App", "metricName": "Errors"}}
CLOUDWATCH = {"region": "eu-central-1"}
DATADOG = {"apiKey": KEY, "applicationKey": KEY}
INFLUX = {"address": "http://i", "query": "q"}
ELASTIC = {"address": "http://e"}


def said(model, settings):
    with pytest.raises(ValidationError) as raised:
        model.model_validate(settings)
    return " ".join(explain(raised.value, model, "spec.provider"))


@pytest.mark.parametrize("name", services.__all__)
def test_all_settings_are_structural_and_described(name):
    model = getattr(services, name)
    schema = structural(model, defaults=True, keep_unknown=True)
    assert schema["description"]
    assert all(field.get("description") for field in schema["properties"].values())


@pytest.mark.parametrize("name", services.__all__)
def test_an_unknown_field_is_refused(name):
    assert "unknownField is not a field" in said(getattr(services, name), {"unknownField": 1})


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        ("Datadog", DATADOG, "query, or queries"),
        ("Datadog", DATADOG | {"query": "a", "queries": {"a": "b"}, "formula": "a"}, "query, or queries"),
        ("Datadog", DATADOG | {"queries": {"a": "b"}}, "a formula"),
        ("Datadog", DATADOG | {"query": "a", "formula": "a"}, "a formula"),
        ("Datadog", DATADOG | {"query": "a", "interval": "0s"}, "interval"),
        ("Datadog", {"query": "a"}, "apiKey is missing"),
        ("CloudWatch", CLOUDWATCH | {"metricDataQueries": []}, "metricDataQueries has 0 items"),
        ("CloudWatch", CLOUDWATCH | {"metricDataQueries": [{"id": "a"}]}, "expression or a metricStat"),
        (
            "CloudWatch",
            CLOUDWATCH | {"metricDataQueries": [{"id": "a", "metricStat": STAT}, {"id": "b", "metricStat": STAT}]},
            "returns data for a, b: one query is the value",
        ),
        (
            "CloudWatch",
            CLOUDWATCH | {"metricDataQueries": [{"id": "a", "metricStat": STAT, "returnData": False}]},
            "returns data for no query",
        ),
        (
            "CloudWatch",
            CLOUDWATCH | {"metricDataQueries": [{"id": "a", "metricStat": STAT}, {"id": "a", "expression": "b"}]},
            "two queries with one id",
        ),
        ("InfluxDb", INFLUX, "org is missing"),
        ("InfluxDb", INFLUX | {"language": "SQL", "org": "o"}, "database is missing"),
        (
            "InfluxDb",
            INFLUX | {"org": "o", "token": KEY, "basicAuth": {"username": KEY, "password": KEY}},
            "at most one",
        ),
        ("InfluxDb", INFLUX | {"language": "MQL"}, "'Flux', 'InfluxQL' or 'SQL'"),
        ("Elasticsearch", ELASTIC, "one of search and esql"),
        ("Elasticsearch", ELASTIC | {"search": {}, "esql": "FROM a"}, "one of search and esql"),
        ("Elasticsearch", ELASTIC | {"search": {}, "index": "a"}, "path"),
        ("Elasticsearch", ELASTIC | {"esql": "FROM a", "apiKey": KEY, "token": KEY}, "at most one of apiKey"),
        ("Web", {"url": "http://a", "jsonPath": "data.rate"}, "write it like $.data.rate"),
        ("Web", {"url": "http://a", "method": "POST", "body": "a", "jsonBody": {}}, "at most one of body and jsonBody"),
        ("Web", {"url": "http://a", "body": "a"}, "method: POST"),
        ("Web", {"url": "http://a", "headers": [{"key": "A"}]}, "value or a secretKeyRef"),
        ("Web", {"url": "http://a", "headers": [{"key": "A", "value": "1"}, {"key": "a", "value": "2"}]}, "twice"),
        ("Web", {"url": "http://a", "headers": [{"key": "A b", "value": "1"}]}, "headers[0].key"),
        ("Web", {"url": "http://a", "tls": {"certificate": KEY}}, "write both or none"),
        ("Web", {"url": "http://a", "timeout": "0s"}, "timeout"),
        ("Job", {"spec": {}}, "template.spec.containers is missing"),
        ("Job", {"spec": {"template": []}}, "template.spec.containers is missing"),
        ("Job", {"spec": {"template": {"spec": []}}}, "template.spec.containers is missing"),
    ],
)
def test_what_contradicts_itself_names_the_field_and_the_fix(model, settings, words):
    assert words in said(getattr(services, model), settings)


def test_a_path_with_an_argument_is_checked_when_it_is_filled_in():
    found = services.Web.model_validate({"url": "http://a", "jsonPath": "$.data.{{args.name}}"})
    assert found.json_path == "$.data.{{args.name}}"
