"""The settings of OpenTelemetry counts: what contradicts itself is refused, with the field and the fix."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from analysis.api.opentelemetry import OpenTelemetryCounts
from analysis.providers.opentelemetry.metrics import resolve
from coalmine.crds.schema import structural
from crds.explain import explain

PAGE = (Path(__file__).parents[4] / "docs" / "opentelemetry.md").read_text(encoding="utf-8")
ERRORS = [{"key": "failed", "operator": "Exists"}]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "write preset, or requests with errors"),
        ({"requests": "calls"}, "write preset, or requests with errors"),
        ({"preset": "Thrift"}, "'Http' or 'Grpc'"),
        ({"preset": "Http", "errors": []}, "errors has 0 items"),
        ({"preset": "Http", "errors": [{"key": "a"}]}, "In and NotIn compare with values"),
        ({"preset": "Http", "errors": [{"key": "a", "operator": "Exists", "values": ["b"]}]}, "have none"),
        ({"preset": "Http", "attributes": [{"values": ["b"]}]}, "attributes[0].key is missing"),
        ({"preset": "Http", "requests": "5xx"}, "spec.requests is '5xx'"),
        ({"preset": "Http", "latencyUnit": "s"}, "write both or only latency"),
        ({"preset": "Http", "buckets": [5, 5]}, "positive and ascending"),
        ({"preset": "Http", "exportInterval": "500ms"}, "exportInterval"),
        ({"preset": "Http", "podAttributes": "pod"}, "did you mean podAttribute?"),
    ],
)
def test_it_is_refused(settings, words):
    with pytest.raises(ValidationError) as raised:
        OpenTelemetryCounts.model_validate(settings)
    assert words in " ".join(explain(raised.value, OpenTelemetryCounts, "spec"))


def test_all_settings_are_structural_and_described():
    schema = structural(OpenTelemetryCounts, defaults=True, keep_unknown=True)
    assert schema["description"]
    assert all(field.get("description") for field in schema["properties"].values())
    assert schema["properties"]["exportInterval"]["default"] == "10s"


def test_what_is_written_wins_over_the_preset():
    written = {"preset": "Http", "requests": "calls", "errors": ERRORS, "routeAttribute": "path"}
    found = resolve(OpenTelemetryCounts.model_validate(written))
    assert (found.requests, found.errors[0].key, found.route) == ("calls", "failed", "path")
    assert found.latency == "http.server.request.duration"


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_the_pages_examples_are_taken(example):
    found = yaml.safe_load(example)
    if "openTelemetry" in found:
        OpenTelemetryCounts.model_validate(found["openTelemetry"])
    else:
        assert found.keys() & {"env", "processors"}
