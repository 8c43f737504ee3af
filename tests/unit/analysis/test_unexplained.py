"""Looks without explanation: the same decisions, and bounds that are bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.judges.cells import cells_of
from analysis.judges.errors import errors_of
from analysis.judges.judge import judge_table
from analysis.judges.table import Table
from analysis.model.verdict import Decision
from analysis.stats.bets import GRID, log_least_mean, log_random_effects
from analysis.stats.counting import log_mean
from benchmarks.judges.case import cases
from benchmarks.judges.simulate import simulate

CASES = {case.name: case for case in cases()}
COUNTS = st.tuples(st.integers(0, 400), st.integers(0, 4000), st.tuples(st.floats(0, 1), st.floats(0, 0.2)))


def table(counts):
    """One canary pod and one of the baseline, a window a second."""
    attempts = np.array([[c, b] for c, b, _ in counts], dtype=float)
    errors = np.floor(attempts * np.array([failing for *_, failing in counts]))
    start = np.arange(len(counts), dtype=float)
    empty = np.zeros((*attempts.shape, 1))
    return Table(
        start, start + 1.0, ("canary-0", "stable-0"), np.array([True, False]), attempts, errors, empty, ("", "")
    )


@given(st.lists(COUNTS, min_size=1, max_size=6), st.sampled_from([1.0, 4.0]), st.sampled_from([0.0, 0.05, 0.5]))
def test_the_bound_of_a_guard_is_never_below_its_wealth(counts, ratio, absolute):
    failed = errors_of(cells_of(table(counts), None, ()))
    assert failed.at_most(ratio, absolute) >= failed.simple(ratio, absolute) - 1e-9


@given(
    st.lists(st.floats(-1000, 1000), min_size=GRID.size, max_size=GRID.size),
    st.floats(0.0, 50.0),
    st.floats(0.5, 1e6),
)
def test_the_least_mean_is_below_that_of_every_null(logs, scale, dof):
    values = np.array(logs)
    exact = log_mean(values, log_random_effects(np.array(scale), np.array(dof)))
    assert log_least_mean(values) <= exact + 1e-9


def test_the_least_mean_is_as_large_as_can_be():
    assert log_least_mean(np.zeros(GRID.size)) == pytest.approx(0.0)
    nearly_flat = log_random_effects(np.array(1e4), np.array(1.0))
    falling = -np.abs(GRID)
    assert log_least_mean(falling) == pytest.approx(log_mean(falling, nearly_flat), abs=1e-3)


def test_the_bound_of_a_guard_is_quiet_where_nothing_is_wrong():
    assert errors_of(cells_of(table([(100, 900, (0.01, 0.01))] * 100), None, ())).at_most(4.0, 0.05) == 0.0


@pytest.mark.parametrize(
    ("name", "time", "decision"),
    [
        ("equal, 1,000 rps", 300.0, Decision.PROMOTE),
        ("equal, 1,000 rps", 60.0, Decision.CONTINUE),
        ("errors 1 to 10 %, 100 rps", 60.0, Decision.ROLL_BACK),
        ("new pods start x4 slow, 1,000 rps", 30.0, Decision.CONTINUE),
    ],
)
def test_the_decision_is_the_same_without_explanation(name, time, decision):
    world = simulate(CASES[name], 1)
    seen = world.table.rows(world.table.end <= time)
    steps = [step for step in CASES[name].steps if step < time]
    told, short = (
        judge_table(seen, CASES[name].policy, pods_started=world.born, step_starts=steps, now=time, explain=explain)
        for explain in (True, False)
    )
    assert told.decision is short.decision is decision
    assert short.summary.split(":")[0] == told.summary.split(":")[0]  # the metric
    assert told.evidence
    assert not short.evidence
