"""The page of providers: its examples are settings, and its table names every provider."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from analysis.api import services
from analysis.api.prometheus import PrometheusQuery

PAGE = (Path(__file__).parents[4] / "docs" / "providers.md").read_text(encoding="utf-8")
EXAMPLES = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
MODELS = {"prometheus": PrometheusQuery} | {name.lower(): getattr(services, name) for name in services.__all__}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: next(iter(example)))
def test_an_example_is_taken(example):
    ((provider, settings),) = example.items()
    MODELS[provider.lower()].model_validate(settings)


def test_the_table_names_every_provider():
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert {row.lower() for row in rows} == set(MODELS)
