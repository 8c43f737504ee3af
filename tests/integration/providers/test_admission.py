"""The settings on the real API server: the documented ones are taken, a typo is named at any depth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from coalmine.local.errors import KubectlError

pytestmark = pytest.mark.integration

FIELDS = {
    "CloudWatch": "cloudWatch",
    "InfluxDb": "influxdb",
    "NewRelic": "newRelic",
    "PrometheusQuery": "prometheus",
}
FILES = sorted((Path(__file__).parent / "services").glob("*.yaml"))
CLOUDWATCH = {"region": "eu-central-1"}
STAT = {"stat": "Sum", "metric": {"namespace": "App", "metricName": "Errors", "dimensions": []}}
WEB = {"url": "http://checks.shop"}
KEY = {"name": "keys", "key": "api"}


@pytest.fixture
def create(kubectl, namespace):
    """Asks the API server to take a template with this provider in its second metric, without a client's checks."""

    def create(**provider):
        first = {"name": "first", "provider": {"web": WEB}, "thresholdRange": {"max": 1}}
        metrics = [first, first | {"name": "second", "provider": provider}]
        template = {
            "apiVersion": "coalmine.dev/v1alpha1",
            "kind": "AnalysisTemplate",
            "metadata": {"name": "health"},
            "spec": {"metrics": metrics},
        }
        options = ("-n", namespace, "--dry-run=server", "--validate=false")
        return kubectl("create", *options, "-f", "-", stdin=json.dumps(template))

    return create


def test_all_documented_settings_are_taken(create):
    for file in FILES:
        service = yaml.safe_load(file.read_text(encoding="utf-8"))
        provider = service["provider"]
        assert "health created" in create(**{FIELDS.get(provider, provider.lower()): service["settings"]}), file.stem
    pod = {"containers": [{"name": "check", "image": "checks"}]}
    assert create(job={"spec": {"template": {"spec": pod}}})
    assert create(plugin={"name": "weather", "config": {"station": [1, {"a": None}]}})


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        ({"web": WEB | {"headers": [{"key": "a", "value": "b", "valeu": "c"}]}}, "web.headers[].valeu is not a field"),
        (
            {
                "cloudWatch": CLOUDWATCH
                | {
                    "metricDataQueries": [
                        {
                            "id": "a",
                            "metricStat": STAT
                            | {"metric": STAT["metric"] | {"dimensions": [{"name": "a", "value": "b", "valeu": "c"}]}},
                        }
                    ]
                }
            },
            "cloudWatch.metricDataQueries[].metricStat.metric.dimensions[].valeu is not a field",
        ),
        ({"cloudWatch": CLOUDWATCH | {"metricDataQueries": [{"id": "a"}]}}, "an expression or a metricStat"),
        ({"datadog": {"apiKey": KEY, "applicationKey": KEY}}, "write either query, or queries and a formula"),
        ({"influxdb": {"address": "http://i", "query": "q"}}, "Flux needs org"),
        ({"elasticsearch": {"address": "http://e", "search": {}, "index": "a"}}, "search needs index"),
        ({"web": WEB | {"body": "a"}}, "method is GET"),
        ({"web": WEB | {"tls": {"certificate": KEY}}}, "certificate and privateKey belong together"),
    ],
)
def test_what_is_wrong_is_refused_in_words(create, provider, words):
    with pytest.raises(KubectlError) as refused:
        create(**provider)
    assert words in str(refused.value)
