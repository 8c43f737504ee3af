"""Objectives from what people wrote to what a decision sees."""

from __future__ import annotations

import pytest

from analysis.judges.ledger import Ledger
from analysis.model.counts import Arm, PodCounts, Window
from mesh.api.telemetry import LATENCY_BOUNDS_MS
from rollouts.api.rollout import Analysis
from rollouts.api.validate import parse_rollout
from rollouts.core.machine import RELEASE, State
from rollouts.core.notes import Notes
from rollouts.engine.measure import measure, policy_of
from rollouts.engine.measuring import _unjudged

SLOS = parse_rollout(
    {
        "spec": {
            "workloadRef": {"name": "payment"},
            "slos": [
                {"name": "up", "availability": {"objective": 99.9}},
                {"name": "fast", "latency": {"objective": 99, "threshold": "300ms"}, "burnRate": 10},
            ],
        }
    }
).slos


def window(second, errors):
    return Window(second, second + 1.0, (PodCounts(Arm.CANARY, "c", 100, errors),))


def look(analysis, bounds=LATENCY_BOUNDS_MS, *, errors=50, state=State.WATCHING):
    ledger = Ledger(len(bounds) + 1)
    ledger.add([window(100.0 + s, errors) for s in range(20)], (100.0,))
    policy = policy_of(analysis, bounds, SLOS)
    notes = Notes(state=state, began=100.0, step_starts=(100.0,))
    return measure(ledger.table, (), policy, notes=notes, analysis=analysis, pods_started={}, now=120.0)


def test_what_people_write_is_what_is_judged():
    up, fast = policy_of(Analysis(), LATENCY_BOUNDS_MS, SLOS).objectives
    assert up.share == pytest.approx(0.999)
    assert (up.threshold_ms, up.warm_up) == (None, 10.0)
    assert up.limit == pytest.approx(0.0144)
    assert (fast.share, fast.threshold_ms, fast.warm_up) == (0.99, 300.0, 90.0)
    assert fast.limit == pytest.approx(0.1)


@pytest.mark.parametrize("enabled", [True, False])
def test_objectives_are_judged_whether_or_not_the_comparison_is(enabled):
    measured = look(Analysis(enabled=enabled))
    assert [(burn.objective.name, burn.missed) for burn in measured.burns] == [("up", True), ("fast", False)]
    assert (measured.verdict is not None) is enabled
    assert {"slo/up", "slo/fast"} <= set(measured.budget)
    assert sum(measured.budget.values()) <= 0.01 + 1e-12
    assert enabled or set(measured.budget) == {"slo/up", "slo/fast"}


@pytest.mark.parametrize("state", sorted(State))
def test_objectives_are_judged_in_every_state_of_a_release_and_only_then(state):
    assert bool(look(Analysis(), state=state).burns) is (state in RELEASE)


def test_a_source_without_latency_leaves_a_latency_objective_unjudged():
    _, fast = look(Analysis(), ()).burns
    assert "the source has no histogram of the latency" in fast.problem
    assert _unjudged(look(Analysis(), ())) == (f"spec.slos: fast {fast.problem}",)
    assert _unjudged(look(Analysis())) == ()
