"""The textbook tests against independently computed values."""

import numpy as np
import pytest
from scipy import stats

from analysis.stats.classical import fisher_greater, log_mixture_sprt, mann_whitney_interval, rank_sum_z


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
    """Hollander and Wolfe (1973), p. 69: R's wilcox.test(conf.int = TRUE) gives 0.305 (permeability of membranes)."""
    x = np.array([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46])
    y = np.array([1.15, 0.88, 0.90, 0.74, 1.21])
    low, estimate, high = mann_whitney_interval(x, y, 0.95)
    assert estimate == pytest.approx(0.305)
    assert (low, high) == pytest.approx((-0.15, 0.76), abs=0.02)


def test_mixture_sprt_needs_a_difference_and_grows_with_it():
    assert log_mixture_sprt(0.0, 0.01, 0.1) < 0
    assert log_mixture_sprt(0.5, 0.01, 0.1) > log_mixture_sprt(0.4, 0.01, 0.1) > 0
    assert log_mixture_sprt(0.5, 0.0, 0.1) == 0.0
