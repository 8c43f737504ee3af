from __future__ import annotations

import pytest
from pydantic import ValidationError

from crds.explain import explain, path_of
from mesh.api.trafficsplit import TrafficSplitSpec


def problems(**spec):
    with pytest.raises(ValidationError) as caught:
        TrafficSplitSpec.model_validate({"service": "pay", "backends": [{"service": "pay", "weight": 100}], **spec})
    return explain(caught.value, TrafficSplitSpec)


def test_a_path_is_written_as_people_write_it():
    assert path_of(("backends", 1, "weight")) == "spec.backends[1].weight"
    assert path_of((), "status") == "status"


def test_a_sentence_that_names_its_field_itself_is_left_as_it_is():
    found = problems(backends=[{"service": "pay", "weight": 90}])
    assert found == ("spec.backends: the weights add up to 90: make them add up to 100",)


def test_a_field_within_a_list_finds_its_own_models_fields():
    found = problems(backends=[{"service": "pay", "weight": 100, "wieght": 1}])
    assert found == (
        "spec.backends[0].wieght is not a field: did you mean weight? remove it or write one of service, weight",
    )


def test_a_missing_field_is_explained():
    assert problems(backends=[{"service": "pay"}]) == (
        "spec.backends[0].weight is missing: write it (Percent of the requests)",
    )


def test_a_list_that_is_too_long_says_how_long_it_may_be():
    many = [{"service": f"s{n}", "weight": 0} for n in range(17)]
    assert problems(backends=many) == ("spec.backends has 17 items: write at most 16",)


def test_a_value_of_the_wrong_type_is_shown():
    assert problems(service=["pay"]) == ("spec.service is ['pay']: it should be a valid string",)


def test_a_long_value_is_shown_in_part():
    (sentence,) = problems(service="X" * 60)
    assert len(sentence) < 160
    assert "XXX...XXX" in sentence
