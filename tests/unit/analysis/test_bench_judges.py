"""The benchmark's own arithmetic."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.judges import report
from benchmarks.judges.case import cases
from benchmarks.judges.lineup import FAMILIES, family
from benchmarks.judges.run import Outcome, watch
from benchmarks.judges.simulate import simulate
from benchmarks.judges.wald import bound

CASES = {case.name: case for case in cases()}


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("errors .1 to .3 %, 1,000 rps", 41),
        ("errors .1 to .3 %, 100 rps", 349),
        ("errors .1 to 1 %, 100 rps", 42),
        ("errors 1 to 2 %, 100 rps", 134),
        ("errors 1 to 10 %, 5 rps", 82),
        ("errors 0 to .5 %, 100 rps", 40),
    ],
)
def test_walds_bound_is_the_simulated_one(name, seconds):
    """Means of simulated tests with both rates known, measured before this was written."""
    assert bound(CASES[name]) == pytest.approx(seconds, rel=0.04)


def test_there_is_no_bound_without_a_difference_or_within_reach():
    assert bound(CASES["5 rps"]) is None
    assert bound(replace(CASES["errors .1 to .3 %, 100 rps"], rps=1.0)) is None


@pytest.mark.parametrize(
    "name", ["new: pods of both versions restart, cold", "known weakness: other routes, not told", "5 rps"]
)
def test_every_attempt_has_a_latency_and_no_attempt_fails_twice(name):
    table = simulate(CASES[name], 3).table
    assert (table.latency.sum(axis=2) == table.attempts).all()
    assert (table.errors <= table.attempts).all()
    assert table.attempts[:, table.canary][table.start < 0].sum() == 0


def test_counts_of_a_missed_scrape_come_later_and_none_are_lost():
    case = CASES["new: one scrape in ten is missed"]
    missed, all_of_them = simulate(case, 0).table, simulate(replace(case, late=0.0), 0).table
    assert (missed.attempts == 0).mean() > (all_of_them.attempts == 0).mean() + 0.05
    assert missed.attempts.sum(axis=0).tolist() == all_of_them.attempts.sum(axis=0).tolist()
    assert (np.cumsum(missed.attempts, axis=0) <= np.cumsum(all_of_them.attempts, axis=0)).all()


def test_a_run_is_the_same_again_and_others_differ():
    case = CASES["pods differ, 1,000 rps"]
    one, again, other = (simulate(case, run).table.attempts for run in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()


def test_all_judges_look_at_a_release_and_the_table_shows_each():
    case = CASES["errors 1 to 10 %, 100 rps"]
    world = simulate(case, 0)
    judges = [judge for name in FAMILIES for judge in family(name, case, world)]
    assert [judge.name for judge in judges] == [name for names in FAMILIES.values() for name in names]
    found = {judge.name: watch(case, world, judge, 50.0) for judge in judges}
    assert found["Coalmine"].rolled_back == 50.0
    assert found["Kayenta at end"].rolled_back == case.end
    shown = report.text([case], {case.name: [found]}, 50.0)
    assert all(name in shown for name in found)
    assert "100/50" in shown


def test_rates_come_with_exact_bounds():
    case = CASES["5 rps"]
    wrong, right = Outcome(10.0, None, None, 1.0, 0.0), Outcome(None, None, None, 1.0, 0.0)
    shown = report.markdown([case], {case.name: [{"Coalmine": wrong}] + [{"Coalmine": right}] * 99}, 10.0)
    assert "| 5 rps | 1 [0.0–5.4] | ≤ 1 |" in shown
