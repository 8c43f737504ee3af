"""The rivals' rules do what their documentation says, on counts made by hand."""

from dataclasses import dataclass

import numpy as np
import pytest

from analysis.judges.rivals.argo import Argo
from analysis.judges.rivals.base import p99
from analysis.judges.rivals.flagger import Flagger
from analysis.judges.rivals.kayenta import Kayenta
from analysis.judges.table import Table
from analysis.model.verdict import Decision

BOUNDS = (10.0, 100.0, 1000.0)
FAST, SLOW = 0, 2


@dataclass
class Service:
    """Windows of ten seconds; one pod on each side with 100 requests in each."""

    errors: list[int]
    usual: list[int] | None = None
    requests: int = 100
    bucket: int = FAST

    def table(self) -> Table:
        errors = np.array(self.errors, dtype=float)
        usual = np.zeros_like(errors) if self.usual is None else np.array(self.usual, dtype=float)
        start = 10.0 * np.arange(errors.size)
        latency = np.zeros((errors.size, 2, len(BOUNDS) + 1))
        latency[:, 0, self.bucket] = self.requests
        latency[:, 1, FAST] = 100
        return Table(
            start=start,
            end=start + 10.0,
            pods=("canary-0", "stable-0"),
            canary=np.array([True, False]),
            attempts=np.column_stack([np.full(errors.size, float(self.requests)), np.full(errors.size, 100.0)]),
            errors=np.column_stack([errors, usual]),
            latency=latency,
        )

    def first(self, rival):
        """The first answer that decides, with its time; otherwise the last one."""
        table = self.table()
        for now in table.end:
            answer = rival.look(table.rows(table.end <= now), float(now))
            if answer.decision is not None:
                break
        return answer.decision, float(now), answer.words


def flagger(**more):
    return Flagger(BOUNDS, window=10.0, **more)


class TestFlagger:
    def test_rolls_back_at_the_fifth_failed_check(self):
        decision, after, words = Service([2] * 10).first(flagger())
        assert (decision, after) == (Decision.ROLL_BACK, 50.0)
        assert "success rate 98.00 % < 99.00 %" in words

    def test_failed_checks_add_up_and_good_ones_take_nothing_back(self):
        decision, after, _ = Service([2, 0] * 10).first(flagger())
        assert (decision, after) == (Decision.ROLL_BACK, 90.0)

    def test_the_threshold_itself_is_fine(self):
        assert Service([1] * 30).first(flagger())[0] is None

    def test_no_traffic_is_a_failed_check(self):
        decision, after, words = Service([0] * 10, requests=0).first(flagger())
        assert (decision, after) == (Decision.ROLL_BACK, 50.0)
        assert "no values found" in words

    def test_slow_requests_are_a_failed_check(self):
        decision, _, words = Service([0] * 10, bucket=SLOW).first(flagger())
        assert decision is Decision.ROLL_BACK
        assert "request duration" in words

    def test_checks_once_an_interval_over_the_metrics_own_window(self):
        rule = Flagger(BOUNDS, interval=30.0, window=60.0, threshold=2)
        decision, after, _ = Service([0, 0, 9, 0, 0, 0, 0, 0]).first(rule)
        assert (decision, after) == (Decision.ROLL_BACK, 70.0)  # checked at 10, 40 and 70: the burst is in two windows

    def test_the_baseline_does_not_matter(self):
        assert Service([5] * 10, usual=[5] * 10).first(flagger())[0] is Decision.ROLL_BACK


class TestArgo:
    def test_one_failed_measurement_is_too_many_by_default(self):
        decision, after, words = Service([0, 0, 0, 9, 0]).first(Argo(BOUNDS, interval=10.0))
        assert (decision, after) == (Decision.ROLL_BACK, 40.0)
        assert "failed (1) > failureLimit (0)" in words

    def test_tolerates_as_many_as_the_failure_limit(self):
        rule = Argo(BOUNDS, interval=10.0, failure_limit=2)
        assert Service([0, 9, 0, 9, 0, 0]).first(rule)[0] is None
        decision, after, _ = Service([0, 9, 0, 9, 0, 9]).first(Argo(BOUNDS, interval=10.0, failure_limit=2))
        assert (decision, after) == (Decision.ROLL_BACK, 60.0)

    def test_nought_by_nought_is_not_a_number_and_fails(self):
        decision, _, words = Service([0, 0, 0], requests=0).first(Argo(BOUNDS, interval=10.0))
        assert decision is Decision.ROLL_BACK
        assert "assessed Failed" in words

    def test_five_errors_in_a_row_abort(self):
        rule, table = Argo(BOUNDS, interval=10.0), Service([0]).table()
        answers = [rule.look(table, now).decision for now in (10.0, 30.0, 50.0, 70.0, 90.0, 110.0)]
        assert answers == [None] * 5 + [Decision.ROLL_BACK]

    def test_a_result_between_the_conditions_pauses_and_decides_nothing(self):
        rule = Argo(BOUNDS, interval=10.0, most_errors=0.01, failing_errors=0.1)
        decision, _, words = Service([0, 5, 50, 50]).first(rule)
        assert decision is None
        assert "Inconclusive" in words
        rule = Argo(BOUNDS, interval=10.0, most_errors=0.01, failing_errors=0.1, inconclusive_limit=1)
        assert Service([0, 5, 50, 50]).first(rule)[0] is Decision.ROLL_BACK


class TestKayenta:
    WORSE = (20, 22, 25, 21, 24, 23, 26, 20, 22, 25, 24, 21, 22, 23)
    USUAL = (1, 2, 0, 1, 2, 1, 0, 2, 1, 1, 0, 2, 1, 1)

    def test_waits_for_twelve_points(self):
        decision, after, words = Service([*self.WORSE], [*self.USUAL]).first(Kayenta(BOUNDS, start=0.0))
        assert (decision, after) == (Decision.ROLL_BACK, 120.0)
        assert words == "score 0, errors High"

    def test_the_tolerance_swallows_a_shift_whose_interval_reaches_a_quarter_of_it(self):
        noisy = [1, 9, 0, 14, 2, 0, 8, 12, 1, 0, 3, 9, 0, 4]
        assert Service(noisy, [*self.USUAL]).first(Kayenta(BOUNDS, start=0.0))[0] is None

    def test_looks_only_at_the_end_when_told_so(self):
        one = Kayenta(BOUNDS, start=0.0, end=140.0)
        assert Service([*self.WORSE], [*self.USUAL]).first(one)[:2] == (Decision.ROLL_BACK, 140.0)
        same = Kayenta(BOUNDS, start=0.0, end=140.0)
        assert Service([*self.USUAL], [*self.USUAL]).first(same)[:2] == (Decision.PROMOTE, 140.0)

    def test_a_ratio_of_means_below_the_allowed_one_passes(self):
        rule = Kayenta(BOUNDS, start=0.0, allowed_increase=50.0)
        assert Service([*self.WORSE], [*self.USUAL]).first(rule)[0] is None

    def test_without_critical_metrics_the_score_decides(self):
        rule = Kayenta(BOUNDS, start=0.0, end=140.0, critical=False, marginal_score=40.0)
        decision, _, words = Service([*self.WORSE], [*self.USUAL]).first(rule)
        assert (decision, words) == (None, "score 50, errors High")

    def test_nothing_measured_fails_the_only_look(self):
        table = Service([0]).table()
        assert Kayenta(BOUNDS, start=100.0, end=140.0).look(table, 140.0).decision is Decision.ROLL_BACK


@pytest.mark.parametrize(("counts", "expected"), [([0, 0, 0, 0], None), ([50, 50, 0, 0], 98.2), ([0, 0, 0, 9], 1000.0)])
def test_quantiles_are_prometheus_own(counts, expected):
    """By hand: rank 99 of 100 is the 49th of 50 in the bucket from 10 to 100: 10 + 90 × 49 / 50."""
    table = Service([0]).table()
    table.latency[0, 0] = counts
    assert p99(table, slice(0, 1), BOUNDS, canary=True) == (expected and pytest.approx(expected))
