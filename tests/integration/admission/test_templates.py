"""AnalysisTemplates on the real API server: the examples are taken, wrong ones refused with the field and the fix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coalmine.local.errors import KubectlError

EXAMPLES = Path(__file__).parents[3] / "examples" / "analysis" / "templates.yaml"

pytestmark = pytest.mark.integration


def template(**changes):
    metric = {
        "name": "m",
        "provider": {"web": {"url": "http://x/", "jsonPath": "$.x"}},
        "thresholdRange": {"max": 1},
        **changes,
    }
    return json.dumps(
        {
            "apiVersion": "coalmine.dev/v1alpha1",
            "kind": "AnalysisTemplate",
            "metadata": {"name": "wrong"},
            "spec": {"metrics": [metric]},
        }
    )


def test_the_examples_are_taken(kubectl, namespace):
    kubectl("apply", "-n", namespace, "-f", str(EXAMPLES))
    found = kubectl("get", "-n", namespace, "cat,ccat", "-o", "name").split()
    assert "analysistemplate.coalmine.dev/payment-health" in found
    assert "clusteranalysistemplate.coalmine.dev/smoke-test" in found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"limit": {"max": 1}}, "a metric sets exactly one of comparison, limit, thresholdRange"),
        ({"provider": {}}, "a provider is exactly one of"),
        ({"thresholdRange": {"min": 2, "max": 1}}, "min is above max"),
        ({"failureLimt": 3}, "failureLimt"),
        ({"interval": "soon"}, "interval"),
    ],
)
def test_a_wrong_template_is_refused_in_words(kubectl, namespace, changes, words):
    with pytest.raises(KubectlError) as refused:
        kubectl("apply", "-n", namespace, "-f", "-", stdin=template(**changes))
    assert words in str(refused.value)
