"""Latency buckets: quantiles against exact ones, and what a slow-down does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.stats.histograms import centred_ranks, nearest_boundary, quantile, slowed_ratio, survival, survival_at

BOUNDS = (1.0, 2, 5, 10, 15, 20, 25, 30, 40, 50, 75, 100, 200, 500, 1000)


def lognormal(median, sd, total=1_000_000.0):
    below = stats.norm.cdf(np.log(np.asarray(BOUNDS) / median) / sd)
    return total * np.diff(np.concatenate([[0.0], below, [1.0]]))


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_quantiles_are_right_within_a_bucket(share):
    exact = 20 * np.exp(0.5 * stats.norm.ppf(share))
    assert quantile(lognormal(20, 0.5), BOUNDS, share) == pytest.approx(exact, rel=0.1)


def test_quantile_of_one_bucket_lies_in_it_and_of_nothing_is_none():
    counts = np.zeros(len(BOUNDS) + 1)
    assert quantile(counts, BOUNDS, 0.99) is None
    counts[3] = 7
    assert 5 <= quantile(counts, BOUNDS, 0.99) <= 10


@given(st.lists(st.integers(0, 10**9), min_size=16, max_size=16), st.floats(0, 1))
def test_quantiles_are_within_the_edges_whatever_the_counts(counts, share):
    found = quantile(np.array(counts, dtype=float), BOUNDS, share)
    assert found is None if sum(counts) == 0 else 0.5 <= found <= 2000


def test_survival_counts_down_from_one_to_nought():
    above = survival(np.array([1.0, 2, 1]))
    assert above.tolist() == [1.0, 0.75, 0.25, 0.0]
    assert survival_at(np.array([0.0, 4, 0]), (1.0, 4), np.array([2.0]))[0] == pytest.approx(0.5)


def test_slowing_by_nothing_changes_nothing_and_by_a_factor_moves_the_mass_up():
    counts = lognormal(20, 0.5)
    assert slowed_ratio(counts, BOUNDS, 1.0) == pytest.approx(1)
    moved = slowed_ratio(counts, BOUNDS, 1.25)
    real = lognormal(25, 0.5) / counts
    body = counts > 100_000
    assert moved[body] == pytest.approx(real[body], rel=0.35)


@given(st.lists(st.integers(0, 10**9), min_size=16, max_size=16), st.floats(0.1, 10))
def test_slowed_ratio_is_finite_and_positive(counts, factor):
    ratio = slowed_ratio(np.array(counts, dtype=float), BOUNDS, factor)
    assert np.isfinite(ratio).all()
    assert (ratio > 0).all()


def test_nearest_boundary_finds_the_percentile():
    assert BOUNDS[nearest_boundary(lognormal(20, 0.5), 0.05)] in {40.0, 50.0}
    assert nearest_boundary(np.zeros(len(BOUNDS) + 1), 0.05) >= 0


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_ranks_are_centred_and_ascend(counts):
    values = np.array(counts, dtype=float)
    scores = centred_ranks(values)
    assert (np.diff(scores) >= 0).all()
    assert float(values @ scores) == pytest.approx(0, abs=1e-6 * (1 + values.sum()))
