"""Arms are compared within a route: another mix of requests is not blamed on the canary."""

import numpy as np
import pytest

from analysis.judges import judge
from analysis.model.counts import Arm, PodCounts, Window
from analysis.model.policy import LatencyPolicy, Policy
from analysis.model.verdict import Decision

BOUNDS = (10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
POLICY = Policy(BOUNDS, latency=LatencyPolicy(warm_up=0.0))


def windows(*, told=True, worse=1.0, seconds=120):
    """Route /slow is ten times as slow and fails ten times as often; the canary gets three times as much of it."""
    rng = np.random.default_rng(4)
    found = []
    for second in range(seconds):
        pods = []
        for number in range(6):
            canary = number >= 4
            for route, share, rate, median in (
                ("/fast", 0.7 if canary else 0.9, 0.002, 8.0),
                ("/slow", 0.3 if canary else 0.1, 0.02, 80.0),
            ):
                attempts = int(rng.poisson((50 if canary else 110) * share))
                bad = rate * (worse if canary else 1.0)
                times = rng.lognormal(np.log(median), 0.5, attempts)
                latency = np.bincount(np.searchsorted(BOUNDS, times), minlength=len(BOUNDS) + 1)
                pods.append(
                    PodCounts(
                        Arm.CANARY if canary else Arm.BASELINE, f"p{number}", attempts, int(rng.binomial(attempts, bad)),
                        tuple(int(n) for n in latency), route=route if told else "",
                    )
                )  # fmt: skip
        found.append(Window(float(second), second + 1.0, tuple(pods)))
    return found


def look(counts):
    return judge(counts, POLICY, pods_started={}, step_starts=[0.0], now=len(counts))


def test_another_mix_of_routes_fools_no_one_when_telemetry_tells_routes():
    assert look(windows()).decision is Decision.PROMOTE


def test_without_routes_the_mix_looks_like_a_regression_which_is_why_they_matter():
    assert look(windows(told=False)).decision is Decision.ROLL_BACK


def test_a_regression_is_found_across_routes():
    assert look(windows(worse=4.0)).decision is Decision.ROLL_BACK


@pytest.mark.parametrize("routes", [1, 30])
def test_any_number_of_routes_is_judged(routes):
    pods = tuple(
        PodCounts(arm, arm.value, 40, 0, (40, 0, 0, 0, 0, 0, 0), route=f"/{i}") for i in range(routes) for arm in Arm
    )
    verdict = look([Window(float(s), s + 1.0, pods) for s in range(100)])
    assert verdict.decision is Decision.PROMOTE
