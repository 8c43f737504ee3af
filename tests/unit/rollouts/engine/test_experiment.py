"""Whose requests are the baseline while an experiment lasts."""

from __future__ import annotations

from analysis.model.counts import Arm, PodCounts, Window
from mesh.api.telemetry import PodWindow, TelemetryWindow
from rollouts.core.naming import Names
from rollouts.engine.experiment import compared
from rollouts.engine.measure import Share, arms

STABLE = PodCounts(Arm.BASELINE, "payment-1", 80, 0)
FRESH = PodCounts(Arm.BASELINE, "payment-baseline-1", 10, 0)
CANARY = PodCounts(Arm.CANARY, "payment-canary-1", 10, 1)
NOBODY = PodCounts(Arm.BASELINE, "", 1, 1)
PODS = frozenset({"payment-baseline-1"})


def window(start, *pods):
    return Window(start, start + 1, pods)


def test_only_the_fresh_pods_are_the_baseline_of_an_experiment():
    windows = [window(1, STABLE, CANARY), window(2, STABLE, FRESH, CANARY, NOBODY), window(3, STABLE, CANARY)]
    before, meanwhile, sparse = compared(windows, PODS, since=2)
    assert before == windows[0]
    assert meanwhile.pods == (FRESH, CANARY)
    assert sparse.pods == (CANARY,), "a second in which the fresh pods got nothing compares with nobody"


def test_the_last_requests_of_an_experiment_that_ended_are_compared_alike():
    last, after = compared([window(9, STABLE, FRESH, CANARY), window(10, STABLE, CANARY)], PODS, since=None)
    assert last.pods == (FRESH, CANARY)
    assert after.pods == (STABLE, CANARY)


def test_copies_for_a_mirror_are_evidence_and_no_share():
    rows = (
        PodWindow(backend="payment", pod="payment-1", requests=50, attempts=51),
        PodWindow(backend="payment-canary", pod="payment-canary-1", attempts=50, attempt_errors=3, mirrored=True),
        PodWindow(backend="payment-baseline", pod="payment-baseline-1", requests=5, attempts=5),
    )
    (found,) = arms([TelemetryWindow(epoch="a", start=1, end=2, reporting=1, pods=rows)], Names("payment", "payment"))
    assert [(p.arm, p.attempts, p.errors) for p in found.pods] == [
        (Arm.BASELINE, 51, 0), (Arm.CANARY, 50, 3), (Arm.BASELINE, 5, 0),
    ]  # fmt: skip
    share = Share()
    share.add([found], [1.0])
    assert (share.percent, share.baseline) == (0, 55)
