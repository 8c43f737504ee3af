"""The guard against a fixed limit keeps its promise at every look, and is quick."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.stats.dispersion import dispersion
from analysis.stats.limits import FEWEST, beyond, stakes

LIMIT = 0.0144
ALPHA = 0.001
STEPS = np.array([0.0])


def first_alarm(bad, attempts, *, alpha=ALPHA, steps=STEPS):
    """The first of all looks, one after each row, that says the limit is exceeded; None for none."""
    starts = np.arange(bad.size, dtype=np.float64)
    for look in range(1, bad.size + 1):
        b, n = bad[:look].astype(float), attempts[:look].astype(float)
        phi = float(dispersion(b[:, None], n[:, None]))
        if beyond(b, n, LIMIT, stakes(starts[:look], steps), dispersion=phi).wealth >= -math.log(alpha):
            return look
    return None


def counts(rate, per_row, rows, seed):
    rng = np.random.default_rng(seed)
    attempts = rng.poisson(per_row, rows)
    return rng.binomial(attempts, rate), attempts


def mean_wealth(limit, rate, rows=10):
    """The exact mean of the wealth over every outcome of single requests that are bad with a probability."""
    staked, total = stakes(np.arange(float(rows)), STEPS), 0.0
    for outcome in itertools.product((0.0, 1.0), repeat=rows):
        chance = math.prod(rate if one else 1.0 - rate for one in outcome)
        total += chance * math.exp(beyond(np.array(outcome), np.ones(rows), limit, staked).wealth)
    return total


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.9])
def test_the_wealth_at_the_limit_is_worth_no_more_than_its_stake(rate, monkeypatch):
    """Without the rule about few requests, which only lowers it, so that the bets are seen."""
    monkeypatch.setattr("analysis.stats.limits.FEWEST", 0)
    assert mean_wealth(rate, rate) <= 1.0
    assert mean_wealth(rate / 2, rate) > 1.0  # the same assertion refutes a guard whose bets pay too little


@pytest.mark.parametrize("per_row", [2, 60])
def test_false_alarms_at_the_limit_are_rarer_than_promised_however_often_one_looks(per_row):
    """At α = 20 %, so that a few hundred runs could show a guard that breaks its promise."""
    runs = 60
    alarms = sum(first_alarm(*counts(LIMIT, per_row, 80, seed), alpha=0.2) is not None for seed in range(runs))
    assert stats.binom.sf(alarms - 1, runs, 0.2) > 1e-3


def test_the_same_assertion_refutes_a_guard_that_looks_at_each_second_by_itself():
    def naive(bad, attempts):
        return (stats.binom.sf(bad - 1, attempts, LIMIT) < 0.2).any()

    runs = 60
    alarms = sum(naive(*counts(LIMIT, 60, 80, seed)) for seed in range(runs))
    assert stats.binom.sf(alarms - 1, runs, 0.2) < 1e-3


@pytest.mark.parametrize(
    ("rate", "per_row", "seconds"), [(1.0, 100, 4), (1.0, 10, 4), (0.5, 100, 5), (0.1, 100, 8), (0.05, 100, 20)]
)
def test_an_outage_is_noticed_soon_even_after_a_long_good_time(rate, per_row, seconds):
    for seed in range(4):
        good, after = counts(0.0005, per_row, 240, seed), counts(rate, per_row, 30, seed + 100)
        bad, attempts = (np.concatenate(parts) for parts in zip(good, after, strict=True))
        look = first_alarm(bad, attempts)
        assert look is not None
        assert 240 < look <= 240 + seconds


@given(bad=st.integers(0, FEWEST - 1), rows=st.integers(1, 20))
def test_a_handful_of_bad_requests_is_never_evidence(bad, rows):
    where = np.zeros(rows)
    where[0] = bad
    assert beyond(where, where, LIMIT, stakes(np.arange(float(rows)), STEPS)).wealth <= 1e-12


def test_one_second_of_an_outage_is_no_evidence_and_three_are():
    attempts = np.full(60, 100)
    for length, found in ((1, False), (3, True)):
        bad = np.zeros(60, dtype=int)
        bad[30 : 30 + length] = 100
        assert (first_alarm(bad, attempts) is not None) is found


@given(
    starts=st.lists(st.floats(0, 1e5), min_size=1, max_size=300, unique=True).map(sorted),
    steps=st.lists(st.floats(0, 1e5), max_size=64).map(sorted),
)
def test_stakes_never_sum_to_more_than_all(starts, steps):
    staked = stakes(np.array(starts), np.array(steps))
    assert (staked >= 0).all()
    assert staked.sum() <= 1.0 + 1e-9


def test_merging_rows_leaves_the_other_seconds_their_stakes():
    """Otherwise the bets of one release would change as its older seconds are stored more coarsely."""
    fine, coarse = np.arange(40.0), np.concatenate([np.arange(0.0, 20.0, 10.0), np.arange(20.0, 40.0)])
    assert stakes(coarse, STEPS)[2:] == pytest.approx(stakes(fine, STEPS)[20:])
    assert stakes(coarse, STEPS)[1] == stakes(fine, STEPS)[10]


def test_nothing_measured_is_no_evidence():
    assert beyond(np.zeros(0), np.zeros(0), LIMIT, stakes(np.zeros(0), STEPS)).wealth == 0.0
