"""From the mesh's windows to the judge's counts and the actual share."""

from __future__ import annotations

from analysis.model.counts import Arm
from analysis.model.verdict import Decision
from mesh.api.telemetry import LATENCY_BOUNDS_MS, PodWindow, TelemetryWindow
from rollouts.api.rollout import Analysis, ErrorAnalysis
from rollouts.core.machine import State
from rollouts.core.naming import Names
from rollouts.core.notes import Notes, ReplacedPod
from rollouts.engine.measure import arms, measure, policy_of

NAMES = Names("payment", "payment")
FAST = (0,) * 9 + (50,) + (0,) * (len(LATENCY_BOUNDS_MS) - 9)


def window(second: int, **errors: int) -> TelemetryWindow:
    pods = tuple(
        PodWindow(
            backend=b.replace("_", "-"),
            pod=f"{b}-1",
            requests=50,
            attempts=50,
            attempt_errors=e,
            request_errors=e,
            latency=FAST,
        )
        for b, e in errors.items()
    )
    return TelemetryWindow(epoch="1", start=second, end=second + 1, reporting=2, pods=pods)


def look(windows, notes, analysis=None):
    return measure(
        windows,
        names=NAMES,
        notes=notes,
        analysis=analysis or Analysis(),
        pods_started={},
        problem="",
        now=windows[-1].end,
    )


def test_backends_are_arms_and_strangers_are_left_out():
    (counted,) = arms([window(5, payment=1, payment_canary=2, other=3)], NAMES, began=0)
    assert [(p.arm, p.errors) for p in counted.pods] == [(Arm.BASELINE, 1), (Arm.CANARY, 2)]


def test_an_earlier_releases_canary_is_not_this_one():
    before, after = arms(
        [window(5, payment=0, payment_canary=9), window(10, payment=0, payment_canary=9)], NAMES, began=10
    )
    assert [p.arm for p in before.pods] == [Arm.BASELINE]
    assert [p.arm for p in after.pods] == [Arm.BASELINE, Arm.CANARY]


def test_a_replaced_pod_is_left_out_until_it_should_be_gone():
    replaced = ReplacedPod(name="payment_canary-1", at=10.0)
    seconds = [window(n, payment=0, payment_canary=9) for n in (5, 69, 70)]
    assert [len(w.pods) for w in arms(seconds, NAMES, 0, replaced)] == [1, 1, 2]
    assert [len(w.pods) for w in arms(seconds, NAMES, 0, ReplacedPod(name="another", at=10.0))] == [2, 2, 2]


def test_nothing_is_judged_before_the_first_weight_is_in_force():
    notes = Notes(state=State.SCALING, began=0)
    assert look([window(5, payment=0)], notes).verdict is None


def test_a_canary_that_fails_half_of_its_requests_is_rolled_back():
    notes = Notes(state=State.JUDGING, began=0, step_starts=(0.0,))
    seen = look([window(n, payment=0, payment_canary=25) for n in range(60)], notes)
    assert seen.verdict
    assert seen.verdict.decision is Decision.ROLL_BACK


def test_the_share_counts_from_the_present_step():
    notes = Notes(state=State.JUDGING, began=0, step_starts=(0.0, 10.0))
    seen = look([window(n, payment=0, payment_canary=0) for n in range(5, 15)], notes)
    assert seen.requests == {"payment": 250, "payment-canary": 250}


def test_the_policy_is_the_specs_in_shares_rather_than_percent():
    policy = policy_of(Analysis(errors=ErrorAnalysis(max_increase_percent=0.5, slo_percent=2)))
    assert policy.errors
    assert (policy.errors.absolute, policy.errors.slo) == (0.005, 0.02)
    assert policy_of(Analysis(errors=ErrorAnalysis(enabled=False))).errors is None
