"""The textbook tests against independently computed values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.stats.classical import (
    clopper_pearson,
    fisher_greater,
    log_mixture_sprt,
    mann_whitney_interval,
    rank_sum_z,
)


@pytest.mark.parametrize("table", [(3, 10, 1, 100), (0, 10, 5, 100), (12, 400, 20, 4000), (1, 1, 0, 1)])
def test_fisher_is_scipys(table):
    k, n, j, m = table
    expected = stats.fisher_exact([[k, n - k], [j, m - j]], alternative="greater").pvalue
    assert fisher_greater(k, n, j, m) == pytest.approx(expected, rel=1e-9)


def test_fishers_tea():
    """The lady tasting tea: all four of four right by chance once in seventy (Fisher 1935)."""
    assert fisher_greater(4, 4, 0, 4) == pytest.approx(1 / 70)


def test_rank_sum_is_scipys_mann_whitney():
    canary, baseline = np.array([5.0, 20, 9, 2]), np.array([40.0, 100, 30, 3])
    samples = [np.repeat(np.arange(4), counts.astype(int)) for counts in (canary, baseline)]
    p = stats.mannwhitneyu(*samples, alternative="greater", use_continuity=False, method="asymptotic").pvalue
    assert stats.norm.sf(rank_sum_z(canary, baseline)) == pytest.approx(p, rel=1e-9)
    assert rank_sum_z(canary, np.zeros(4)) == 0.0


def test_the_shift_of_published_data():
    """Hollander and Wolfe (1973), chapter 4, permeability of membranes: 0.305, and (-0.15, 0.76) at about 95 %."""
    x = np.array([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46])
    y = np.array([1.15, 0.88, 0.90, 0.74, 1.21])
    assert mann_whitney_interval(x, y, 0.95) == pytest.approx((-0.15, 0.305, 0.76))


samples = st.lists(st.integers(0, 12), min_size=4, max_size=30)


@given(one=samples, other=samples, confidence=st.sampled_from([0.8, 0.95, 0.98]))
def test_the_interval_is_what_scipys_test_does_not_refuse(one, other, confidence):
    """On whole numbers the test's answer can only change at whole shifts, so halves stand for all others."""
    x, y = np.array(one, dtype=float), np.array(other, dtype=float)
    low, estimate, high = mann_whitney_interval(x, y, confidence)
    assert low <= estimate <= high
    for shift in np.arange(-12.5, 13.0):
        result = stats.mannwhitneyu(x - shift, y, method="asymptotic", use_continuity=True)
        if abs(result.pvalue - (1 - confidence)) > 1e-9 and result.statistic != x.size * y.size / 2:
            inside = low < shift < high
            beyond_all = not (x - shift).max() > y.min() or not (x - shift).min() < y.max()
            assert inside == (result.pvalue > 1 - confidence) or beyond_all


@pytest.mark.parametrize(("hits", "trials"), [(0, 100), (1, 400), (37, 100), (100, 100)])
@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_binomial_bounds_are_scipys(hits, trials, confidence):
    expected = stats.binomtest(hits, trials).proportion_ci(confidence, method="exact")
    assert clopper_pearson(hits, trials, confidence) == pytest.approx((expected.low, expected.high), rel=1e-6)


def test_binomial_bounds_of_a_published_example():
    """Nought of n: the rule of three (Hanley and Lippman-Hand 1983), at 95 % one-sided."""
    assert clopper_pearson(0, 300, 0.9)[1] == pytest.approx(3 / 300, rel=0.01)


def test_mixture_sprt_needs_a_difference_and_grows_with_it():
    assert log_mixture_sprt(0.0, 0.01, 0.1) < 0
    assert log_mixture_sprt(0.5, 0.01, 0.1) > log_mixture_sprt(0.4, 0.01, 0.1) > 0
    assert log_mixture_sprt(0.5, 0.0, 0.1) == 0.0
