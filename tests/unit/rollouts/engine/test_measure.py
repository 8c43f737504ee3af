"""From the mesh's windows to the judge's counts and the actual share."""

from __future__ import annotations

import pytest

from analysis.judges.ledger import Ledger
from analysis.model.counts import Arm
from analysis.model.values import ValuePolicy, ValueSeries
from analysis.model.verdict import Decision
from mesh.api.telemetry import LATENCY_BOUNDS_MS, PodWindow, TelemetryWindow
from rollouts.api.rollout import Analysis, ErrorAnalysis
from rollouts.core.machine import State
from rollouts.core.naming import Names
from rollouts.core.notes import Notes
from rollouts.engine.measure import Share, arms, measure, of_release, policy_of

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


def look(windows, notes, analysis=None, values=()):
    analysis = analysis or Analysis()
    ledger = Ledger(len(LATENCY_BOUNDS_MS) + 1)
    ledger.add(arms(windows, NAMES), notes.step_starts)
    policy = policy_of(analysis, LATENCY_BOUNDS_MS)
    now = windows[-1].end
    return measure(ledger.table, values, policy, notes=notes, analysis=analysis, pods_started={}, now=now)


def test_backends_are_arms_and_strangers_are_left_out():
    (counted,) = arms([window(5, payment=1, payment_canary=2, other=3)], NAMES)
    assert [(p.arm, p.errors) for p in counted.pods] == [(Arm.BASELINE, 1), (Arm.CANARY, 2)]


def test_an_earlier_releases_canary_is_not_this_one():
    windows = arms([window(5, payment=0, payment_canary=9), window(10, payment=0, payment_canary=9)], NAMES)
    before, after = of_release(windows, 10.0)
    assert [p.arm for p in before.pods] == [Arm.BASELINE]
    assert after == windows[1]


def test_nothing_is_judged_before_the_first_weight_is_in_force():
    notes = Notes(state=State.SCALING, began=0)
    assert look([window(5, payment=0)], notes).verdict is None


def test_a_canary_that_fails_half_of_its_requests_is_rolled_back():
    notes = Notes(state=State.JUDGING, began=0, step_starts=(0.0,))
    seen = look([window(n, payment=0, payment_canary=25) for n in range(60)], notes)
    assert seen.verdict
    assert seen.verdict.decision is Decision.ROLL_BACK


def test_the_share_counts_from_the_present_step_however_the_windows_come():
    share, whole = Share(), Share()
    seconds = [window(n, payment=0, payment_canary=0) for n in range(5, 15)]
    for one in seconds:
        share.add(arms([one], NAMES), (0.0, 10.0) if one.end > 10 else (0.0,))
    whole.add(arms(seconds, NAMES), (0.0, 10.0))
    assert share == whole == Share(10.0, 250, 250)
    assert share.percent == 50.0
    assert Share().percent is None


def test_the_budget_names_every_test_and_is_the_specs():
    notes = Notes(state=State.JUDGING, began=0, step_starts=(0.0,))
    custom = ValueSeries(ValuePolicy("conversion"))
    seen = look([window(n, payment=0, payment_canary=0) for n in range(5)], notes, values=[custom])
    assert set(seen.budget) == {"errors", "latency", "gross-errors", "gross-latency", "conversion"}
    assert sum(seen.budget.values()) == pytest.approx(0.01)


def test_a_metric_without_measurements_is_not_promoted():
    notes = Notes(state=State.JUDGING, began=0, step_starts=(0.0,))
    seconds = [window(n, payment=0, payment_canary=0) for n in range(600)]
    assert look(seconds, notes).verdict.decision is Decision.PROMOTE
    custom = ValueSeries(ValuePolicy("conversion"), problem="there is no Secret datadog")
    seen = look(seconds, notes, values=[custom])
    assert seen.verdict.decision is Decision.CONTINUE
    assert "conversion" in seen.verdict.summary


def test_without_latency_bounds_latency_is_not_judged():
    assert policy_of(Analysis(), ()).latency is None


def test_the_policy_is_the_specs_in_shares_rather_than_percent():
    policy = policy_of(Analysis(errors=ErrorAnalysis(max_increase_percent=0.5, slo_percent=2)), LATENCY_BOUNDS_MS)
    assert policy.errors
    assert (policy.errors.absolute, policy.errors.slo) == (0.005, 0.02)
    assert policy_of(Analysis(errors=ErrorAnalysis(enabled=False)), LATENCY_BOUNDS_MS).errors is None
