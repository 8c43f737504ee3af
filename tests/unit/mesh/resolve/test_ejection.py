"""What a percentage means for the pods that are there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.resolve.ejection import capacity


@pytest.mark.parametrize(
    ("live", "percent", "most", "sentence"),
    [
        (4, 10, 0, "10 % of 4 live pods is less than one: nobody is ever ejected"),
        (1, 50, 0, "50 % of 1 live pod is less than one: nobody is ever ejected"),
        (4, 50, 2, "50 % of 4 live pods: at most 2 ejected at a time, at least 2 left"),
        (3, 50, 1, "50 % of 3 live pods: at most 1 ejected at a time, at least 2 left"),
        (3, 100, 3, "100 % of 3 live pods is all: when all fail, callers get 503 no healthy upstream"),
        (0, 50, 0, "there are no live pods, so there is nobody to eject"),
    ],
)
def test_what_it_means(live, percent, most, sentence):
    found = capacity(live, percent)
    assert (found.most, found.sentence) == (most, sentence)


@given(st.integers(0, 1000), st.integers(0, 50))
def test_half_always_stays_and_the_least_percentage_is_the_least(live, percent):
    found = capacity(live, percent)
    assert found.left * 2 >= live
    assert (found.most > 0) == (percent >= found.least_percent and live > 0)


@pytest.mark.parametrize(("live", "percent"), [(-1, 50), (1, 101), (1, -1)])
def test_numbers_out_of_range_are_refused(live, percent):
    with pytest.raises(ValueError, match="write pods"):
        capacity(live, percent)
