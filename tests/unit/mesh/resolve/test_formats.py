"""Header values: what Envoy fills in, and what is meant as it is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.resolve.formats import envoy_format, literal_parts


@pytest.mark.parametrize(
    "value",
    ["a", "%REQ(x-id)%", "%REQ(x-id?:path):12%", "a%START_TIME(%s.%3f)%b", "100%%", "%DOWNSTREAM_REMOTE_ADDRESS%"],
)
def test_what_envoy_knows_stays(value):
    assert envoy_format(value) == value
    assert list(literal_parts(value)) == []


@pytest.mark.parametrize(("value", "sent"), [("100%", "100%%"), ("%ODD%", "%%ODD%%"), ("%REQ(a b)%", "%%REQ(a b)%%")])
def test_what_envoy_does_not_know_is_literal(value, sent):
    assert envoy_format(value) == sent


def test_what_looks_like_a_placeholder_and_is_none_is_told():
    assert list(literal_parts("a %ODD% 5% off")) == ["%ODD%"]


@given(st.text(alphabet="%a(", max_size=30))
def test_no_percent_sign_is_left_alone(value):
    assert envoy_format(value).replace("%%", "").count("%") == 0
