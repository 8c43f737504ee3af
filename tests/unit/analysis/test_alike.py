"""Requests that all take the same time: one bucket holds them all, and the versions are judged all the same."""

import numpy as np
import pytest

from analysis.judges import judge
from analysis.model.counts import Arm, PodCounts, Window
from analysis.model.policy import DEFAULT_BOUNDS_MS, ErrorPolicy, LatencyPolicy, Policy
from analysis.model.verdict import Decision
from analysis.stats.histograms import nearest_boundary

POLICY = Policy(DEFAULT_BOUNDS_MS, ErrorPolicy(), LatencyPolicy(warm_up=0.0))


def counts(arm, pod, bucket, n):
    latency = [0] * (len(DEFAULT_BOUNDS_MS) + 1)
    latency[bucket] = n
    return PodCounts(arm, pod, n, 0, tuple(latency))


def look(bucket, seconds):
    windows = [
        Window(
            float(s),
            s + 1.0,
            (
                *(counts(Arm.BASELINE, f"stable-{n}", 9, 20) for n in range(4)),
                *(counts(Arm.CANARY, f"canary-{n}", bucket, 10) for n in range(2)),
            ),
        )
        for s in range(-60, seconds)
    ]
    return judge(windows, POLICY, pods_started={}, step_starts=(0.0,), now=float(seconds))


def test_versions_whose_requests_all_take_the_same_time_are_equal():
    assert look(9, 120).decision is Decision.PROMOTE


@pytest.mark.parametrize(("bucket", "seconds"), [(11, 60), (20, 30)])
def test_a_version_whose_requests_all_take_longer_is_taken_back(bucket, seconds):
    assert look(bucket, seconds).decision is Decision.ROLL_BACK


def test_no_far_percentile_is_a_bound_that_most_requests_exceed():
    alike = [0.0] * len(DEFAULT_BOUNDS_MS) + [0.0]
    alike[9] = 1000.0
    assert nearest_boundary(np.array(alike), (0.05, 0.01, 0.002)).tolist() == [9, 9, 9]
