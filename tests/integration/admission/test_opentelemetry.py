"""OpenTelemetry settings on the real API server: it takes what the page shows, and refuses what the model refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from analysis.api.opentelemetry import OpenTelemetryCounts
from coalmine.local.errors import KubectlError

pytestmark = pytest.mark.integration
PAGE = (Path(__file__).parents[3] / "docs" / "opentelemetry.md").read_text(encoding="utf-8")
EXAMPLES = [
    found["openTelemetry"]
    for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    if "openTelemetry" in (found := yaml.safe_load(text))
]


@pytest.fixture
def stored(kubectl):
    """Returns what the API server makes of the settings; nothing is stored."""

    def ask(settings):
        spec = {"workloadRef": {"name": "pay"}, "analysis": {"source": {"openTelemetry": settings}}}
        rollout = {"apiVersion": "coalmine.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "pay"}, "spec": spec}
        answer = kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=json.dumps(rollout))
        return json.loads(answer)["spec"]["analysis"]["source"]["openTelemetry"]

    return ask


@pytest.mark.parametrize("settings", EXAMPLES)
def test_the_pages_examples_are_accepted_and_mean_what_they_say(stored, settings):
    assert OpenTelemetryCounts.model_validate(stored(settings)) == OpenTelemetryCounts.model_validate(settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"requests": "calls"}, "write preset, or requests with errors"),
        ({"preset": "Http", "latencyUnit": "s"}, "write both or only latency"),
        ({"preset": "Http", "errors": [{"key": "a"}]}, "In and NotIn compare with values"),
        ({"preset": "Http", "attributes": [{"key": "a", "operator": "Exists", "values": ["b"]}]}, "have none"),
        ({"preset": "Http", "requests": "5xx"}, "spec.analysis.source.openTelemetry.requests"),
        ({"preset": "Http", "podAttributes": "pod"}, "podAttributes"),
    ],
)
def test_what_contradicts_itself_is_refused(stored, settings, words):
    with pytest.raises(KubectlError) as refused:
        stored(settings)
    assert words in str(refused.value)
