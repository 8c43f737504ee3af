"""The counting e-process: its mean under the null, its invariances, and what is no evidence."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.stats.bets import GRID, LOG_STAKES_BETTER, LOG_STAKES_WORSE, log_random_effects
from analysis.stats.counting import canary_share, log_evalues, log_mean

WORSE, BETTER = GRID[GRID > 0][None, :], GRID[GRID < 0][None, :]


def one(k_c, k_b, n_c, n_b, tilts, **margin):
    """Log e-values of a single stratum, by bet."""
    canary, baseline = np.array([[float(k_c)]]), np.array([[float(k_b)]])
    return log_evalues(canary, baseline, np.array([float(n_c)]), np.array([float(n_b)]), tilts, **margin)[0]


def exact_mean(n_c, n_b, p_c, p_b, tilts, **margin):
    """Expectation over every possible pair of counts."""
    total = np.zeros(tilts.shape[1])
    for k_c, k_b in itertools.product(range(n_c + 1), range(n_b + 1)):
        chance = stats.binom.pmf(k_c, n_c, p_c) * stats.binom.pmf(k_b, n_b, p_b)
        total += chance * np.exp(one(k_c, k_b, n_c, n_b, tilts, **margin))
    return total


@pytest.mark.parametrize(("n_c", "n_b"), [(1, 9), (4, 4), (9, 3), (5, 1)])
@pytest.mark.parametrize("p_b", [0.0, 0.01, 0.2, 0.5])
@pytest.mark.parametrize(("ratio", "absolute"), [(1.0, 0.0), (1.5, 0.0), (1.05, 0.02), (0.0, 0.1)])
def test_mean_at_the_margin_is_at_most_one_whatever_the_baseline_rate(n_c, n_b, p_b, ratio, absolute):
    p_c = ratio * p_b + absolute
    for tilts in (WORSE, BETTER):
        assert (exact_mean(n_c, n_b, p_c, p_b, tilts, ratio=ratio, absolute=absolute) <= 1 + 1e-9).all()


def test_mean_below_the_margin_is_smaller_for_rollback_and_above_it_for_promotion():
    margin = {"ratio": 1.5, "absolute": 0.01}
    assert (exact_mean(6, 6, 0.05, 0.1, WORSE, **margin) < 1).all()
    assert (exact_mean(6, 6, 0.3, 0.1, BETTER, **margin) < 1).all()


def test_means_exceed_one_when_the_canary_is_worse_so_that_the_test_can_win():
    assert exact_mean(6, 6, 0.6, 0.05, WORSE).max() > 2
    assert exact_mean(6, 6, 0.05, 0.3, BETTER, ratio=1.5).max() > 2


def test_multinomial_categories_keep_the_mean_at_most_one():
    rng = np.random.default_rng(5)
    shares, scores = np.array([0.5, 0.3, 0.2]), np.array([-0.5, 0.1, 0.4])
    tilts = np.outer(scores, [0.5, 1.0, 2.0])
    tilts -= np.log(shares @ np.exp(tilts))
    runs = 40_000
    canary, baseline = rng.multinomial(8, shares, runs).astype(float), rng.multinomial(20, shares, runs).astype(float)
    values = np.exp(log_evalues(canary, baseline, np.full(runs, 8.0), np.full(runs, 20.0), tilts))
    error = values.std(axis=0) / math.sqrt(runs)
    assert (values.mean(axis=0) <= 1 + 4 * error).all()


def test_looking_after_every_window_crosses_one_in_alpha_at_most():
    rng = np.random.default_rng(11)
    runs, looks, crossed = 600, 150, 0
    for _ in range(runs):
        canary_n, baseline_n = rng.poisson(10, looks).astype(float), rng.poisson(90, looks).astype(float)
        rate = 0.05 * np.exp(np.sin(np.arange(looks) / 10))
        canary, baseline = rng.binomial(canary_n.astype(int), rate), rng.binomial(baseline_n.astype(int), rate)
        cells = log_evalues(canary[:, None] * 1.0, baseline[:, None] * 1.0, canary_n, baseline_n, GRID[None, :])
        paths = np.cumsum(cells, axis=0)
        crossed += any(log_mean(path, LOG_STAKES_WORSE) >= math.log(20) for path in paths)
    assert crossed <= stats.binom.ppf(0.999, runs, 0.05)


counts = st.integers(0, 10**9)


@given(n_c=counts, n_b=counts, part_c=st.floats(0, 1), part_b=st.floats(0, 1), ratio=st.sampled_from([0.0, 1.0, 1.5, 4.0]),
       absolute=st.sampled_from([0.0, 0.0025, 0.5]))  # fmt: skip
def test_no_count_gives_nan_or_plus_infinity(n_c, n_b, part_c, part_b, ratio, absolute):
    logs = one(int(n_c * part_c), int(n_b * part_b), n_c, n_b, GRID[None, :], ratio=ratio, absolute=absolute)
    assert np.isfinite(logs).all()
    assert math.isfinite(log_mean(logs, LOG_STAKES_WORSE))
    assert math.isfinite(log_mean(logs, LOG_STAKES_BETTER))


@given(k_c=st.integers(0, 50), k_b=st.integers(0, 50), n_c=st.integers(50, 500), n_b=st.integers(50, 500),
       pieces=st.integers(2, 9))  # fmt: skip
def test_splitting_a_window_in_pieces_of_equal_rates_changes_nothing(k_c, k_b, n_c, n_b, pieces):
    whole = one(k_c * pieces, k_b * pieces, n_c * pieces, n_b * pieces, WORSE, ratio=1.2, absolute=0.01)
    each = one(k_c, k_b, n_c, n_b, WORSE, ratio=1.2, absolute=0.01)
    assert np.allclose(whole, pieces * each, rtol=1e-9, atol=1e-9)


@given(k_c=st.integers(0, 40), k_b=st.integers(0, 40), n_c=st.integers(60, 500), n_b=st.integers(60, 500))
def test_more_canary_errors_are_more_evidence_and_more_baseline_errors_are_less(k_c, k_b, n_c, n_b):
    now = one(k_c, k_b, n_c, n_b, WORSE, ratio=1.1)
    assert (one(k_c + 1, k_b, n_c, n_b, WORSE, ratio=1.1) > now).all()
    assert (one(k_c, k_b + 1, n_c, n_b, WORSE, ratio=1.1) < now).all()


@given(n_c=counts, n_b=counts)
def test_no_errors_are_no_evidence_of_a_ratio(n_c, n_b):
    assert (one(0, 0, n_c, n_b, GRID[None, :], ratio=1.5) == 0).all()


@given(k=st.integers(0, 100), n=st.integers(100, 10**6))
def test_without_a_concurrent_baseline_nothing_is_evidence(k, n):
    assert np.abs(one(k, 0, n, 0, GRID[None, :], ratio=1.5, absolute=0.01)).max() < 1e-9
    assert np.abs(one(0, k, 0, n, GRID[None, :], ratio=1.5, absolute=0.01)).max() < 1e-9


def test_share_of_no_attempts_is_nought():
    assert canary_share([0.0, 10.0], [0.0, 90.0]).tolist() == [0.0, 0.1]


@given(scale=st.floats(0, 5), dof=st.floats(1, 100))
def test_random_effects_are_a_distribution_symmetric_around_no_difference(scale, dof):
    weights = np.exp(log_random_effects(scale, dof))
    assert weights.sum() == pytest.approx(1, abs=1e-6)
    assert np.allclose(weights, weights[::-1])


@pytest.mark.parametrize("bad", [1, 7, 40])
def test_random_effects_bayes_factor_has_mean_one_when_pods_differ_as_assumed(bad):
    null = log_random_effects(np.array(0.3), np.array(8.0))
    share = canary_share(400.0, 900.0) * np.exp(GRID) / (1 + canary_share(400.0, 900.0) * np.expm1(GRID))
    mean = 0.0
    for k_c in range(bad + 1):
        logs = one(k_c, bad - k_c, 400, 900, GRID[None, :])
        chance = float(np.exp(null) @ stats.binom.pmf(k_c, bad, share))
        mean += chance * math.exp(log_mean(logs, LOG_STAKES_WORSE) - log_mean(logs, null))
    assert mean == pytest.approx(1.0, abs=1e-9)
