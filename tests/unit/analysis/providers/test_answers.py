from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.providers.answers import at_path, cell, number, single
from analysis.providers.base import ConfigurationError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.25, 0.25),
        (7, 7.0),
        (True, 1.0),
        (False, 0.0),
        ("0.25", 0.25),
        ("1e-3", 0.001),
        (None, None),
        (float("nan"), None),
        ("NaN", None),
        (float("inf"), None),
        ("-Inf", None),
        (10**400, None),
    ],
)
def test_a_number_is_finite_or_none(value, expected):
    assert number(value, "it") == expected


@pytest.mark.parametrize("value", ["", "many", [], {}, [1], b"1"])
def test_what_is_no_number_says_what_it_is(value):
    with pytest.raises(ConfigurationError, match=r"it is .*, not a number"):
        number(value, "it")


def test_one_of_several_is_nobodys_choice():
    assert single([], "series", "q", "sum them") is None
    assert single([7], "series", "q", "sum them") == 7
    with pytest.raises(ConfigurationError, match="the query 'q' returns 2 series, and one number is needed: sum them"):
        single([7, 7], "series", "q", "sum them")


def test_a_long_query_is_cut_in_messages():
    with pytest.raises(ConfigurationError) as raised:
        single([7, 7], "series", "sum(\n  x" * 1000, "sum them")
    assert len(str(raised.value)) < 400
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        ({"a": 1}, None, 1.0),
        ({"a": 1, "name": "x"}, None, 1.0),
        ({"a": 1, "b": 2}, "b", 2.0),
        ({"time": 5, "a": 1}, None, 1.0),
        ({"time": 5, "a": None}, None, None),
        ({"a": "3"}, "a", 3.0),
        ({}, None, None),
    ],
)
def test_the_only_column_of_numbers_is_the_value(row, column, expected):
    assert cell(row, column, "q", ignore={"time"}) == expected


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ({"a": 1, "b": 2}, None, "columns a, b: write in column"),
        ({"a": 1}, "b", "column b is not in the answer to 'q': write one of a"),
        ({"name": "x"}, None, "no column of numbers, only name"),
    ],
)
def test_a_column_that_is_not_clear_is_named(row, column, words):
    with pytest.raises(ConfigurationError, match=words):
        cell(row, column, "q")


@pytest.mark.parametrize(
    ("document", "path", "expected"),
    [
        ({"data": {"rate": 0.25}}, "$.data.rate", 0.25),
        ({"data": {"rate": 0.25}}, "{$.data.rate}", 0.25),
        ({"data": {"rate": 0.25}}, "{ $.data['rate'] }", 0.25),
        ([{"v": 1}, {"v": 2}], "$[1].v", 2.0),
        ([{"v": 1}, {"v": 2}], "$[-1].v", 2.0),
        ([{"n": "a", "v": 1}, {"n": "b", "v": 2}], "$[?@.n == 'b'].v", 2.0),
        (0.25, "$", 0.25),
        ("0.25", "$", 0.25),
        (None, "$", None),
        ({"data": []}, "$.data[0].rate", None),
        ({"data": {}}, "$.data.rate", None),
        ({"data": None}, "$.data.rate", None),
        ({"data": [{"n": "a"}]}, "$.data[?@.n == 'b'].v", None),
    ],
)
def test_a_path_leads_to_a_number_or_through_nothing(document, path, expected):
    assert at_path(document, path, "the service") == expected


@pytest.mark.parametrize(
    ("document", "path", "words"),
    [
        ({"data": {"rate": 1}}, "$.data.rat", r"leads nowhere .* it stops at \{rate\}"),
        ({"rate": 1}, "$.data.rate", r"it stops at \{rate\}"),
        ("text", "$.rate", "it stops at 'text'"),
        ([1, 2], "$[*]", "leads to 2 values"),
        ({"rate": [1]}, "$.rate", "not a number"),
    ],
)
def test_a_path_that_is_wrong_says_where_it_ends(document, path, words):
    with pytest.raises(ConfigurationError, match=words):
        at_path(document, path, "the service")


@given(JSON, st.sampled_from(["$", "$.a", "$.a.b", "$[0]", "$.a[*].b", "$..c", "$.a[?@.b > 1]"]))
def test_no_document_is_a_crash(document, path):
    try:
        found = at_path(document, path, "the service")
    except ConfigurationError:
        return
    assert found is None or abs(found) < float("inf")
