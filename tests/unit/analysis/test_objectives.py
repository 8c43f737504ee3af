"""Service level objectives: what is missed, what is not, and in which words."""

from __future__ import annotations

import pytest

from analysis.judges import judge_objectives
from analysis.judges.table import tabulate
from analysis.model.budget import split
from analysis.model.counts import Arm, PodCounts, Window
from analysis.model.objective import Objective
from analysis.model.policy import Policy

BOUNDS = (100.0, 300.0, 400.0)
UP = Objective("availability", share=0.999, burn_rate=14.4)
FAST = Objective("fast", share=0.99, burn_rate=14.4, threshold_ms=300.0)


def window(second, *, canary=(100, 0), stable=(900, 0), slow=0, bucket=3):
    latency = [0, canary[0] - slow, 0, 0]
    latency[bucket] += slow
    pods = [PodCounts(Arm.CANARY, "c", *canary, latency=tuple(latency))]
    if stable:
        pods.append(PodCounts(Arm.BASELINE, "s", *stable, latency=(0, stable[0], 0, 0)))
    return Window(float(second), float(second + 1), tuple(pods))


def look(windows, *objectives, born=None, steps=(0.0,), bounds=BOUNDS):
    policy = Policy(bounds, objectives=objectives)
    return judge_objectives(tabulate(windows, 4), policy, pods_started=born or {}, step_starts=steps)


def test_a_version_within_its_budget_is_left_alone():
    (up, fast) = look([window(s, canary=(100, s % 10 == 0)) for s in range(60)], UP, FAST)
    assert (up.missed, fast.missed) == (False, False)
    assert up.rate == pytest.approx(1.0)
    assert up.evidence.metric == "slo/availability"
    assert up.evidence.words == (
        "0.1 % of 6,000 canary requests failed where 0.1 % may: the error budget burns 1 times as fast as it may, "
        "14.4 times are tolerated; stable burns it 0 times as fast"
    )


def test_an_outage_is_a_miss_with_or_without_a_baseline():
    for stable in ((900, 0), None):
        windows = [window(s, canary=(100, 30 if s > 5 else 0), stable=stable) for s in range(12)]
        (up,) = look(windows, UP)
        assert up.missed
        assert not up.stable_too
        assert up.evidence.rollback_e >= up.evidence.rollback_at
        assert "30 % of" in up.evidence.words


def test_what_stable_has_too_is_a_miss_and_is_said():
    (up,) = look([window(s, canary=(100, 20), stable=(900, 180)) for s in range(12)], UP)
    assert up.missed
    assert up.stable_too
    assert up.evidence.words.endswith("stable burns it 200 times as fast as well")


def test_a_slow_version_misses_a_latency_objective_only():
    up, fast = look([window(s, slow=40) for s in range(12)], UP, FAST)
    assert (up.missed, fast.missed) == (False, True)
    assert "40 % of 1,200 canary requests took longer than 300 ms where 1 % may" in fast.evidence.words


def test_a_threshold_between_two_bounds_blames_only_what_was_surely_slower():
    between = Objective("fast", share=0.99, burn_rate=14.4, threshold_ms=350.0)
    maybe, surely = (look([window(s, slow=40, bucket=b) for s in range(12)], between)[0] for b in (2, 3))
    assert (maybe.missed, surely.missed) == (False, True)
    assert "(judged at 400 ms, the next bound of the histogram)" in surely.evidence.words


@pytest.mark.parametrize(
    ("bounds", "threshold", "words"), [((), 300.0, "no histogram"), (BOUNDS, 500.0, "beyond 400 ms, the last bound")]
)
def test_what_cannot_be_judged_is_said_and_never_a_miss(bounds, threshold, words):
    objective = Objective("fast", share=0.99, burn_rate=14.4, threshold_ms=threshold)
    (fast,) = look([window(s, slow=100) for s in range(12)], objective, bounds=bounds)
    assert not fast.missed
    assert words in fast.problem
    assert fast.evidence.words == fast.problem


def test_a_pods_warm_up_does_not_count():
    warm = Objective("availability", share=0.999, burn_rate=14.4, warm_up=30.0)
    (up,) = look([window(s, canary=(100, 50)) for s in range(12)], warm, born={"c": 0.0})
    assert not up.missed
    assert up.evidence.words == "no canary requests yet; 0.1 % may be bad"


def test_nothing_measured_is_no_miss():
    (up,) = look([], UP)
    assert not up.missed
    assert up.rate is None


def test_what_was_good_for_half_an_hour_does_not_hide_an_outage():
    (up,) = look([window(s, canary=(100, 100 if s >= 1800 else 0), stable=None) for s in range(1804)], UP)
    assert up.missed
    assert "100 % of 400 canary requests" in up.evidence.words


def test_objectives_share_the_probability_of_a_false_rollback_with_the_judge():
    shares = split(Policy(BOUNDS, objectives=(UP, FAST)), ["custom"])
    assert sum(shares.values()) == pytest.approx(0.01)
    assert shares["slo/availability"] == shares["slo/fast"] == pytest.approx(0.0005)


def pods_of(second, *bad):
    pods = [PodCounts(Arm.CANARY, f"c{n}", 50, errors, latency=(0, 50, 0, 0)) for n, errors in enumerate(bad)]
    return Window(float(second), float(second + 1), tuple(pods))


def test_a_pod_that_alone_makes_an_objective_missed_is_named():
    (one,) = look([pods_of(s, 0, 25, 0, 0) for s in range(20)], UP)
    (half,) = look([pods_of(s, 25, 25, 0, 0) for s in range(20)], UP)
    (every,) = look([pods_of(s, 25, 25, 25, 25) for s in range(20)], UP)
    assert one.missed
    assert half.missed
    assert every.missed
    assert (one.pods, half.pods, every.pods) == (("c1",), (), ())
