"""Confidence sequences: they hold at every look at once, and shrink."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.stats.intervals import difference_interval, rejected_up_to


def single(k_c, n_c, k_b, n_b, alpha=0.01):
    return difference_interval(*(np.array([float(x)]) for x in (k_c, k_b, n_c, n_b)), alpha=alpha)


@pytest.mark.parametrize(("p_c", "p_b"), [(0.01, 0.01), (0.05, 0.001), (0.3, 0.5)])
def test_the_true_difference_is_covered_at_all_looks_at_once(p_c, p_b):
    rng = np.random.default_rng(17)
    runs, missed, alpha = 150, 0, 0.1
    for _ in range(runs):
        n_c, n_b = np.full(12, 50.0), np.full(12, 400.0)
        k_c, k_b = rng.binomial(50, p_c, 12).astype(float), rng.binomial(400, p_b, 12).astype(float)
        for looked in range(1, 13):
            low, high = difference_interval(k_c[:looked], k_b[:looked], n_c[:looked], n_b[:looked], alpha=alpha)
            if not low <= p_c - p_b <= high:
                missed += 1
                break
    assert missed <= stats.binom.ppf(0.999, runs, alpha)


def test_the_interval_is_not_much_wider_than_a_fixed_sample_one():
    low, high = single(61, 1204, 11, 10911)
    assert 0.025 < low < 61 / 1204 - 11 / 10911 < high < 0.09


def test_more_requests_of_the_same_rates_narrow_it():
    wide, narrow = single(10, 1000, 90, 9000), single(1000, 100_000, 9000, 900_000)
    assert wide[0] < narrow[0] <= 0 <= narrow[1] < wide[1]


@settings(max_examples=40)
@given(n_c=st.integers(0, 10**8), n_b=st.integers(0, 10**8), part_c=st.floats(0, 1), part_b=st.floats(0, 1))
def test_bounds_are_ordered_and_within_the_possible(n_c, n_b, part_c, part_b):
    found = single(int(n_c * part_c), n_c, int(n_b * part_b), n_b)
    if n_c == 0 or n_b == 0:
        assert found is None
    else:
        assert -1 <= found[0] <= found[1] <= 1


def test_narrowing_finds_the_edge_and_its_extremes():
    assert rejected_up_to(lambda x: x < 0.3, 0, 1) == pytest.approx(0.3, abs=1e-3)
    assert rejected_up_to(lambda x: x < -1, 0, 1) == 0
    assert rejected_up_to(lambda x: x < 2, 0, 1) == 1
