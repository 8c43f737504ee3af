"""What pods differ by, and how clumped errors are."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.stats.dispersion import dispersion
from analysis.stats.pods import Spread, between_pods, effective_number

PRIOR = Spread(variance=0.05, dof=8.0)


def spread_of(log_rates, *, n=100_000, rate=0.02, seed=0):
    rng = np.random.default_rng(seed)
    sums = rng.poisson(n * rate * np.exp(log_rates)).astype(float)
    return between_pods(
        sums, np.full(len(log_rates), float(n)), unit=sums.sum() / (n * len(sums)), dispersion=1.0, prior=PRIOR
    )


def test_equal_pods_pull_the_estimate_below_the_prior_and_different_ones_above():
    assert spread_of(np.zeros(20)).variance < PRIOR.variance / 2
    assert spread_of(np.random.default_rng(1).normal(0, 0.9, 20)).variance > 2 * PRIOR.variance


def test_many_pods_that_differ_are_estimated_well():
    found = spread_of(np.random.default_rng(2).normal(0, 0.3, 400))
    assert found.variance == pytest.approx(0.09, rel=0.25)
    assert found.dof > 300


@pytest.mark.parametrize(
    ("sums", "attempts"), [([], []), ([3.0], [100.0]), ([0.0, 0.0], [0.0, 0.0]), ([5.0, 0.0], [100.0, 0.0])]
)
def test_fewer_than_two_pods_with_traffic_leave_the_prior(sums, attempts):
    assert between_pods(np.array(sums), np.array(attempts), unit=0.01, dispersion=1.0, prior=PRIOR) == PRIOR


def test_few_errors_say_little_about_pods():
    found = between_pods(np.array([2.0, 0.0, 1.0]), np.full(3, 300.0), unit=0.0033, dispersion=1.0, prior=PRIOR)
    assert found.variance == pytest.approx(PRIOR.variance, rel=0.35)


@given(st.permutations(list(range(6))))
def test_names_of_pods_do_not_matter(order):
    sums, attempts = np.array([5.0, 9, 30, 2, 8, 7]), np.array([500.0, 900, 700, 400, 600, 800])
    once = between_pods(sums, attempts, unit=0.02, dispersion=1.2, prior=PRIOR)
    again = between_pods(sums[order], attempts[order], unit=0.02, dispersion=1.2, prior=PRIOR)
    assert again.variance == pytest.approx(once.variance)


@given(st.lists(st.tuples(st.integers(0, 10**9), st.floats(0, 1)), max_size=8), st.floats(0, 1))
def test_spread_is_always_finite_and_not_negative(pods, unit):
    attempts = np.array([float(n) for n, _ in pods])
    found = between_pods(np.array([n * p for n, p in pods]), attempts, unit=unit, dispersion=1.0, prior=PRIOR)
    assert math.isfinite(found.variance)
    assert found.variance >= 0
    assert found.dof >= PRIOR.dof


def test_effective_number_counts_equal_pods_and_discounts_idle_ones():
    assert effective_number(np.array([10.0, 10, 10])) == pytest.approx(3)
    assert effective_number(np.array([100.0, 1])) == pytest.approx(1.02, abs=0.01)
    assert effective_number(np.zeros(3)) == 0


def clumped(size, *, rate=0.02, seed=7):
    rng = np.random.default_rng(seed)
    attempts = rng.poisson(100, (400, 5)).astype(float)
    return size * rng.poisson(attempts * rate / size).astype(float), attempts


@pytest.mark.parametrize("size", [1, 3, 5])
def test_dispersion_is_the_size_of_clumps(size):
    assert dispersion(*clumped(size)) == pytest.approx(size, rel=0.2)


def test_dispersion_ignores_slow_trends_and_pods_that_differ():
    rng = np.random.default_rng(4)
    attempts = np.full((400, 5), 200.0)
    rate = 0.02 * np.exp(np.sin(np.arange(400) / 60))[:, None] * np.exp(np.linspace(-1, 1, 5))
    assert dispersion(rng.poisson(attempts * rate).astype(float), attempts) < 1.15


def test_dispersion_without_anything_to_learn_from_is_one():
    nothing = np.zeros((0, 3))
    assert dispersion(nothing, nothing) == 1
    assert dispersion(np.zeros((5, 2)), np.full((5, 2), 100.0)) == 1
    assert dispersion(np.zeros((5, 2)), np.zeros((5, 2)), unit=0.1) == 1


def test_a_gap_in_a_pods_traffic_is_skipped():
    sums, attempts = clumped(1)
    holes = attempts.copy()
    holes[::7] = 0
    assert dispersion(np.where(holes > 0, sums, 0), holes) < 1.2
