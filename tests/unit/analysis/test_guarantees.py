"""The judge's promises, on simulated releases with known truth; `make bench-judges` is the long form of this.

Rates are asserted by exact binomial tests, whose own error is 1 in 1,000 at most, on fixed seeds; and the same assertions
refute judges that lack one precaution each, so that they can fail.
"""

from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import pytest
from scipy import stats

from analysis.judges.cells import Cells
from analysis.model.policy import ErrorPolicy, LatencyPolicy, Policy
from analysis.stats.pods import Spread
from benchmarks.judges.case import BOUNDS, cases
from benchmarks.judges.ours import Coalmine
from benchmarks.judges.run import watch
from benchmarks.judges.simulate import simulate

CASES = {case.name: case for case in cases()}
SURE = 1e-3
EVERY = 25.0
RUNS = 25

NULLS = (
    "traffic and errors swing together",
    "5 rps",
    "pods drift, 1,000 rps",
    "errors in clumps of five",
    "new pods start x4 slow, 1,000 rps",
    "3 stable, 1 canary pod that differ",
    "new: pods get uneven shares",
    "new: other routes, telemetry tells them",
)


@dataclass
class Tally:
    hits: int = 0
    runs: int = 0

    def more_often_than(self, rate):
        """Whether so many hits refute that the rate is at most this."""
        return stats.binom.sf(self.hits - 1, self.runs, rate) < SURE

    def less_often_than(self, rate):
        return stats.binom.cdf(self.hits, self.runs, rate) < SURE


def outcomes(name, runs=RUNS, **changes):
    case = replace(CASES[name], **changes)
    for run in range(runs):
        world = simulate(case, run)
        yield watch(case, world, Coalmine(case, world), EVERY)


def false_rollbacks(name, runs=RUNS, **changes):
    hits = sum(outcome.rolled_back is not None for outcome in outcomes(name, runs, **changes))
    return Tally(hits, runs)


@pytest.mark.parametrize("name", NULLS)
def test_the_same_version_is_rolled_back_in_one_of_a_hundred_releases_at_most(name):
    assert not false_rollbacks(name).more_often_than(Policy(BOUNDS).rollback_alpha)


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("at the limit")])
def test_a_canary_at_the_limit_is_promoted_in_one_of_twenty_releases_at_most(name):
    promoted = sum(outcome.promoted is not None for outcome in outcomes(name))
    assert not Tally(promoted, RUNS).more_often_than(Policy(BOUNDS).promotion_alpha)


@pytest.mark.parametrize(
    ("name", "share", "seconds"),
    [
        ("errors 1 to 10 %, 100 rps", 0.99, 50),
        ("errors .1 to 1 %, 100 rps", 0.99, 125),
        ("5 % of requests +500 ms", 0.99, 150),
        ("latency +20 %, 100 rps", 0.95, 200),
    ],
)
def test_a_worse_version_is_rolled_back_nearly_always_and_soon(name, share, seconds):
    times = [outcome.rolled_back for outcome in outcomes(name, runs=12)]
    found = [time for time in times if time is not None]
    assert not Tally(len(found), len(times)).less_often_than(share)
    assert median(found) <= seconds


def test_equal_versions_are_promoted():
    promoted = sum(outcome.promoted is not None for outcome in outcomes("equal, 1,000 rps", runs=12))
    assert not Tally(promoted, 12).less_often_than(0.99)


class TestJudgesThatLackAPrecaution:
    """Each of these is refuted by the same assertion, with fewer runs."""

    runs = 8
    alpha = Policy(BOUNDS).rollback_alpha

    def test_warm_up(self):
        name = "new pods start x4 slow, 1,000 rps"
        assert false_rollbacks(name, self.runs, warm_up=[0.0, 0.0]).more_often_than(self.alpha)

    def test_spread_between_pods(self, monkeypatch):
        monkeypatch.setattr(
            Cells,
            "spread",
            lambda _, sums, *__, **___: Spread(np.full(sums.shape[:-1], 1e-12), np.full(sums.shape[:-1], 1e6)),
        )
        assert false_rollbacks("3 stable, 1 canary pod that differ", self.runs).more_often_than(self.alpha)

    def test_routes(self):
        name = "new: other routes, telemetry tells them"
        assert false_rollbacks(name, self.runs, route_known=False).more_often_than(self.alpha)

    def test_margin_of_promotion(self, monkeypatch):
        generous = Policy(BOUNDS, ErrorPolicy(ratio=3.0), LatencyPolicy(warm_up=0.0))
        monkeypatch.setattr("benchmarks.judges.case.Case.policy", generous)
        promoted = sum(o.promoted is not None for o in outcomes("at the limit: errors, 1,000 rps", self.runs))
        assert Tally(promoted, self.runs).more_often_than(generous.promotion_alpha)


def test_the_arithmetic_of_these_tests():
    assert Tally(4, 30).more_often_than(0.01)
    assert not Tally(3, 30).more_often_than(0.01)
    assert Tally(9, 12).less_often_than(0.99)
    assert not Tally(11, 12).less_often_than(0.99)
