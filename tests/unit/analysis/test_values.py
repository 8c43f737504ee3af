"""Value metrics: comparison, limit, threshold; what they decide and what they must not."""

import math

import numpy as np
import pytest

from analysis.judges import judge
from analysis.model import budget
from analysis.model.policy import ErrorPolicy, Policy
from analysis.model.values import Direction, ValuePolicy, ValueSample, ValueSeries, ValueTest
from analysis.model.verdict import Decision

ONLY_VALUES = Policy((10.0,), errors=None, latency=None)


def series(canary, baseline=None, *, n=80, sd=1.0, seed=3, problem="", **policy):
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 5 * sd, n)
    samples = tuple(
        ValueSample(
            float(10 * i),
            float(canary + shared[i] + rng.normal(0, sd)),
            None if baseline is None else float(baseline + shared[i] + rng.normal(0, sd)),
        )
        for i in range(n)
    )
    return ValueSeries(ValuePolicy("queue", **policy), samples, problem)


def look(*values, policy=ONLY_VALUES, windows=()):
    return judge(windows, policy, pods_started={}, step_starts=[0.0], now=1000.0, values=values)


def test_a_worse_value_is_taken_back_although_both_swing_together():
    verdict = look(series(103, 100))
    assert verdict.decision is Decision.ROLL_BACK
    assert verdict.summary.startswith("queue: canary 10")


def test_an_equal_value_within_a_margin_is_promoted_and_says_so_in_numbers():
    verdict = look(series(100, 100, max_change=3.0))
    assert verdict.decision is Decision.PROMOTE
    (entry,) = verdict.evidence
    assert (entry.canary_count, entry.baseline_count) == (80, 80)
    assert entry.promote_e >= entry.promote_at


def test_the_bad_direction_is_what_counts():
    assert look(series(97, 100, max_change=1.0)).decision is Decision.PROMOTE
    assert look(series(97, 100, direction=Direction.DECREASE)).decision is Decision.ROLL_BACK
    assert look(series(97, 100, direction=Direction.EITHER)).decision is Decision.ROLL_BACK


def test_a_limit_is_tested_on_the_mean_and_a_share_by_its_bounds():
    rng = np.random.default_rng(1)
    shares = tuple(ValueSample(float(i), float(x)) for i, x in enumerate(rng.beta(80, 20, 200)))
    policy = ValuePolicy("success", ValueTest.LIMIT, Direction.DECREASE, lower=0.95, bounds=(0.0, 1.0))
    assert look(ValueSeries(policy, shares)).decision is Decision.ROLL_BACK
    fine = ValuePolicy("success", ValueTest.LIMIT, Direction.DECREASE, lower=0.6, bounds=(0.0, 1.0))
    assert look(ValueSeries(fine, shares)).decision is Decision.PROMOTE


def test_a_bare_threshold_counts_failures_against_its_limit():
    samples = tuple(ValueSample(float(i), x) for i, x in enumerate([1.0, 9.0, 1.0, 9.0, 1.0]))
    policy = {"test": ValueTest.THRESHOLD, "upper": 5.0}
    assert look(ValueSeries(ValuePolicy("q", failure_limit=1, **policy), samples)).decision is Decision.ROLL_BACK
    verdict = look(ValueSeries(ValuePolicy("q", failure_limit=2, **policy), samples))
    assert verdict.decision is Decision.PROMOTE
    assert verdict.evidence[0].words == "2 of 5 measurements beyond at most 5, 2 tolerated"


def test_a_dry_run_is_shown_and_decides_nothing_and_what_is_not_critical_never_takes_back():
    worse = series(103, 100, dry_run=True)
    fine = series(100, 100, max_change=3.0)
    verdict = look(worse, fine)
    assert verdict.decision is Decision.PROMOTE
    assert verdict.evidence[0].words.endswith("(dry run)")
    lenient = look(series(103, 100, critical=False))
    assert lenient.decision is Decision.CONTINUE


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_evidence(bad):
    policy = ValuePolicy("q", max_change=1.0)
    verdict = look(ValueSeries(policy, tuple(ValueSample(float(i), bad, 1.0) for i in range(50))))
    assert verdict.decision is Decision.CONTINUE
    assert verdict.evidence[0].words == "not measured yet"


def test_an_outage_of_the_source_is_told_and_decides_nothing():
    verdict = look(ValueSeries(ValuePolicy("q"), (), "datadog answered 503"))
    assert verdict.decision is Decision.CONTINUE
    assert verdict.evidence[0].words == "datadog answered 503"


def test_values_outside_their_bounds_are_told_and_decide_nothing():
    rng = np.random.default_rng(1)
    samples = tuple(ValueSample(float(i), float(x), 0.5) for i, x in enumerate(rng.normal(40, 1, 50)))
    verdict = look(ValueSeries(ValuePolicy("q", bounds=(0.0, 1.0)), samples))
    assert verdict.decision is Decision.CONTINUE
    assert "outside the metric's bounds" in verdict.evidence[0].words


def test_the_budget_is_shared_out_and_never_exceeded():
    policy = Policy((10.0,), errors=ErrorPolicy(slo=0.1))
    plain, custom = budget.split(policy), budget.split(policy, ["a", "b"])
    assert sum(plain.values()) == pytest.approx(0.01)
    assert sum(custom.values()) == pytest.approx(0.01)
    assert custom["a"] == custom["b"] == pytest.approx(0.001)
    assert custom["errors"] == pytest.approx(0.8 * plain["errors"])


def test_values_join_counts_and_each_must_be_fine(release):
    made = release(errors=0.001, canary_errors=(0.001,), seconds=60)
    assert made.look().decision is Decision.PROMOTE
    assert made.look(values=[series(103, 100, n=80)]).decision is Decision.ROLL_BACK
    waiting = made.look(values=[series(100, 100, n=2)])
    assert waiting.decision is Decision.CONTINUE
    assert waiting.summary.startswith("queue: not yet shown")
