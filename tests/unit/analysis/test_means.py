"""Betting on means: the wealth's mean under the null, invariances, and that it finds what there is to find."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.stats.means import correlation_time, log_wealth, scaled, squashed


@pytest.mark.parametrize("length", [1, 3, 8])
def test_mean_wealth_is_one_over_all_sequences_of_fair_coins(length):
    wealth = [math.exp(log_wealth(np.array(x))) for x in itertools.product([-1.0, 1.0], repeat=length)]
    assert np.mean(wealth) == pytest.approx(1.0)


def test_mean_wealth_is_at_most_one_whatever_the_distribution_with_mean_nought():
    """Values -0.1 nine times of ten and 0.9 once: skewed, but of mean 0."""
    total = 0.0
    for ups in range(9):
        x = np.array([0.9] * ups + [-0.1] * (8 - ups))
        total += math.comb(8, ups) * 0.1**ups * 0.9 ** (8 - ups) * math.exp(log_wealth(x))
    assert total == pytest.approx(1.0)


def test_mean_wealth_of_squashed_symmetric_values_is_one_over_all_signs():
    """Symmetry means that each sign is as likely: enumerate them for sizes that vary wildly."""
    sizes = np.array([3.0, 0.1, 40.0, 2.0, 0.5, 7.0, 1000.0, 0.2])
    signs = itertools.product([-1.0, 1.0], repeat=sizes.size)
    assert np.mean([math.exp(log_wealth(squashed(sizes * np.array(s)))) for s in signs]) == pytest.approx(1.0)


@given(st.lists(st.floats(-1e6, 1e6), max_size=30), st.floats(1e-3, 1e3))
def test_the_unit_of_measurement_does_not_matter(values, unit):
    x = np.array(values)
    assert log_wealth(squashed(x * unit)) == pytest.approx(log_wealth(squashed(x)), abs=1e-6)


@given(st.lists(st.floats(-0.99, 0.99), min_size=1, max_size=30), st.integers(0, 29))
def test_wealth_grows_with_each_value(values, place):
    x = np.array(values)
    better = x.copy()
    better[place % x.size] = 1.0
    assert log_wealth(better) >= log_wealth(x)


def test_crossing_a_hundred_is_rarer_than_one_in_a_hundred_at_any_time():
    rng = np.random.default_rng(11)
    crossed = 0
    for _ in range(600):
        x = squashed(rng.standard_t(3, 120))
        crossed += any(log_wealth(x[:n]) >= math.log(100) for n in range(1, 121, 3))
    assert crossed <= 14  # 99.9 % binomial bound at 1 %


def test_a_shift_of_little_more_than_half_a_standard_deviation_is_found_within_a_hundred_values():
    rng = np.random.default_rng(5)
    found = [log_wealth(squashed(rng.normal(0.6, 1.0, 100))) >= math.log(100) for _ in range(40)]
    assert sum(found) >= 36


def test_bounded_values_are_scaled_by_the_most_they_can_be_and_others_refused():
    assert scaled(np.array([-0.5, 1.0]), (-2.0, 1.0)).tolist() == [-0.25, 0.5]
    with pytest.raises(ValueError, match="outside the metric's bounds"):
        scaled(np.array([1.5]), (-2.0, 1.0))


def test_correlated_values_say_less():
    rng = np.random.default_rng(2)
    noise = rng.normal(size=4000)
    walk = np.zeros(4000)
    for i in range(1, 4000):
        walk[i] = 0.8 * walk[i - 1] + noise[i]
    assert correlation_time(noise) == pytest.approx(1.0, abs=0.15)
    assert correlation_time(walk) == pytest.approx(9.0, rel=0.25)
    assert correlation_time(np.ones(50)) == 1.0
    assert correlation_time(noise[:5]) == 1.0


@given(st.floats(-1, 1), st.integers(8, 400))
def test_a_constant_is_not_correlated_by_rounding(value, size):
    assert correlation_time(np.full(size, value / 3)) == 1.0
