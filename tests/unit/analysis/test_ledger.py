"""The ledger: bounded, exact after a restart, and the same however the windows come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.judges import judge
from analysis.judges.judge import judge_table
from analysis.judges.ledger import Ledger
from analysis.model.counts import Arm, PodCounts, Window

BUCKETS = 3


def window(start, length=1.0, *, pods=(("a", Arm.BASELINE), ("b", Arm.CANARY)), n=10):
    counts = tuple(PodCounts(arm, pod, n, n // 5, (n - 3, 2, 1)) for pod, arm in pods)
    return Window(float(start), float(start + length), counts)


def same(one, other):
    assert one.pods == other.pods
    for left, right in zip(parts(one), parts(other), strict=True):
        np.testing.assert_array_equal(left, right)


def parts(table):
    return table.start, table.end, table.canary, table.attempts, table.errors, table.latency


@settings(max_examples=60)
@given(
    seconds=st.integers(1, 900),
    portions=st.lists(st.integers(1, 300), max_size=8),
    steps=st.lists(st.integers(0, 900), max_size=3),
)
def test_portions_and_restarts_make_no_difference(seconds, portions, steps):
    windows = [window(1000 + s, n=10 + s % 7) for s in range(seconds)]
    whole = Ledger(BUCKETS)
    whole.add(windows, [1000.0 + s for s in steps])
    other, start = Ledger(BUCKETS), 0
    for portion in [*portions, seconds]:
        part = windows[start : start + portion]
        # a step is known a little after it began, and before its windows are old
        known = [1000.0 + s for s in steps if s < start + portion]
        other.add(part, known)
        other = Ledger.load(other.dump())
        start += portion
    same(whole.table, other.table)
    assert whole.table.attempts.sum() == sum(pod.attempts for w in windows for pod in w.pods)


def test_old_cells_are_merged_but_never_across_a_step_and_a_day_is_kept():
    ledger = Ledger(BUCKETS)
    for hour in range(30):
        ledger.add([window(hour * 3600 + s, 10.0) for s in range(0, 3600, 10)], [5000.0])
    table = ledger.table
    assert table.start.size < 600
    assert not ((table.start < 5000) & (table.end > 5000)).any()
    assert table.end[-1] - table.start[0] <= 86_400 + 300
    assert table.attempts[:, 0].sum() == pytest.approx(10 * (table.end[-1] - table.start[0]) / 10)


def test_windows_told_twice_count_once_and_pods_may_come_and_go():
    ledger = Ledger(BUCKETS)
    ledger.add([window(0), window(1)], [])
    ledger.add([window(1), window(2, pods=(("c", Arm.CANARY),))], [])
    assert ledger.table.pods == ("a", "b", "c")
    assert ledger.table.attempts.sum(axis=0).tolist() == [20, 20, 10]
    assert ledger.until == 3.0


def test_columns_of_pods_that_are_long_gone_are_forgotten():
    ledger = Ledger(BUCKETS)
    ledger.add([window(0, pods=(("old", Arm.CANARY),))], [])
    ledger.add([window(100_000)], [])
    assert ledger.table.pods == ("a", "b")


@pytest.mark.parametrize("data", [b"", b"nonsense", b"PK\x03\x04"])
def test_what_is_no_dump_is_refused_in_words(data):
    with pytest.raises(ValueError, match="not a stored ledger"):
        Ledger.load(data)


def test_the_judge_says_the_same_of_a_ledger_as_of_the_windows(release):
    made = release(errors=0.001, canary_errors=(0.02,), seconds=55)
    windows = made.windows()
    ledger = Ledger(len(made.policy.bounds_ms) + 1)
    for part in windows:
        ledger.add([part], made.steps)
    now = windows[-1].end
    arguments = {"pods_started": made.starts, "step_starts": made.steps, "now": now}
    assert judge_table(ledger.table, made.policy, **arguments) == judge(windows, made.policy, **arguments)


def test_a_replaced_pods_counts_are_forgotten_up_to_a_time_and_stay_so():
    windows = [window(1000 + s, pods=(("a", Arm.BASELINE), ("b", Arm.CANARY), ("c", Arm.CANARY))) for s in range(300)]
    ledger = Ledger(BUCKETS)
    for part in (windows[:150], windows[150:]):
        ledger.add(part, [1000.0, 1203.0])
        ledger.leave_out("b", 1203.0)
        ledger = Ledger.load(ledger.dump())
    table = ledger.table
    column = table.pods.index("b")
    early = table.start < 1203.0
    assert table.attempts[early, column].sum() == table.latency[early, column].sum() == 0
    assert table.attempts[~early, column].sum() == 10 * 97
    assert table.attempts[:, table.pods.index("c")].sum() == 3000


def test_a_stable_pod_of_the_same_name_is_not_forgotten():
    ledger = Ledger(BUCKETS)
    ledger.add([window(1000)], [])
    ledger.leave_out("a", 2000.0)
    assert ledger.table.attempts.sum() == 20
