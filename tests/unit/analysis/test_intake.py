"""Windows that are wrong: left out, said in words, never evidence, never a crash."""

import math
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from analysis.judges.intake import Intake
from analysis.judges.judge import judge_table
from analysis.judges.ledger import Ledger
from analysis.model.counts import Arm, PodCounts, Window
from analysis.model.policy import Policy
from analysis.model.verdict import Decision

GOOD = PodCounts(Arm.CANARY, "a", 10, 1, (7, 2, 1))


def window(start, *pods, seconds=1.0):
    return Window(float(start), start + seconds, pods or (GOOD,))


def test_good_windows_are_taken_in_order_and_those_told_again_left_out():
    intake = Intake(3)
    assert intake.take([window(2), window(1)], 10.0) == [window(1), window(2)]
    assert intake.take([window(2), window(3)], 10.0) == [window(3)]
    assert intake.told == 1
    assert intake.problems == ()


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (replace(GOOD, attempts=-1), "pod 'a' has counts that are negative or no numbers"),
        (replace(GOOD, errors=math.nan), "pod 'a' has counts that are negative or no numbers"),
        (replace(GOOD, requests=math.inf), "pod 'a' has counts that are negative or no numbers"),
    ],
)
def test_counts_that_cannot_be_are_left_out_and_named(pod, words):
    intake = Intake(3)
    other = replace(GOOD, pod="b")
    (taken,) = intake.take([window(1, pod, other)], 10.0)
    assert taken.pods == (other,)
    assert intake.problems[0].startswith(words)


def test_latencies_in_other_buckets_are_left_out_and_the_errors_kept():
    intake = Intake(3)
    (taken,) = intake.take([window(1, replace(GOOD, latency=(1, 2)))], 10.0)
    assert taken.pods == (replace(GOOD, latency=()),)
    assert "has 2 latency buckets where 3 belong" in intake.problems[0]


def test_one_counter_may_be_read_a_moment_before_the_other():
    intake = Intake(3)
    early = replace(GOOD, attempts=0, errors=1, latency=(2, 0, 0))
    (taken, _) = intake.take([window(1, early), window(2)], 10.0)
    assert taken.pods == (replace(early, attempts=1),)
    assert intake.problems == ()


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (replace(GOOD, errors=20), "the canary has more errors than requests in all"),
        (replace(GOOD, latency=(9, 9, 9)), "the canary has more latencies than requests in all"),
    ],
)
def test_counts_that_never_agree_are_told(pod, words):
    intake = Intake(3)
    intake.take([window(second, pod) for second in range(20)], 100.0)
    assert intake.problems[0].startswith(words)


def test_wrong_times_overlaps_and_clocks_are_told_with_how_often():
    intake = Intake(3)
    assert intake.take([window(5, seconds=0.0), window(6, seconds=-1.0), Window(math.nan, 3.0, ())], 10.0) == []
    assert intake.take([window(1), window(1.5)], 10.0) == [window(1)]
    assert intake.take([window(100)], 10.0) == []
    assert intake.problems == (
        "a window's end is not after its start: the source's times are wrong (3 times)",
        "windows overlap: counts of the same time came twice; the later ones were left out",
        "telemetry is ahead of the controller's clock by 91 s: set the machines' clocks",
    )


def test_what_was_wrong_long_ago_is_not_told_any_more():
    intake = Intake(3)
    intake.take([window(1), window(1.5)], 10.0)
    intake.take([window(601)], 1000.0)
    assert intake.problems
    intake.take([window(602)], 1000.0)
    assert intake.problems == ()


def test_one_pod_told_twice_is_taken_once():
    intake = Intake(3)
    (taken,) = intake.take([window(1, GOOD, GOOD)], 10.0)
    assert taken.pods == (GOOD,)
    assert intake.problems == ()
    (taken,) = intake.take([window(2, GOOD, replace(GOOD, attempts=99))], 10.0)
    assert taken.pods == (GOOD,)
    assert "told twice" in intake.problems[0]


NUMBERS = st.one_of(st.integers(-5, 2**40), st.floats())
PODS = st.builds(
    PodCounts,
    st.sampled_from(Arm),
    st.sampled_from(["", "a", "b"]),
    NUMBERS,
    NUMBERS,
    st.lists(NUMBERS, max_size=4).map(tuple),
    NUMBERS,
    NUMBERS,
)


@example([Window(-1.7976931348623157e308, 0.0, ())])
@example([Window(-1.0, 0.0, (PodCounts(Arm.CANARY, "a", 0, 10**154),))])
@example([Window(-1.0, 0.0, (PodCounts(Arm.CANARY, "a", 2**53, 2**53, (2**53, 0, 0)),))])
@given(st.lists(st.builds(Window, st.floats(), st.floats(), st.lists(PODS, max_size=3).map(tuple)), max_size=8))
def test_whatever_comes_the_judge_answers_without_a_verdict_on_nonsense(windows):
    ledger = Ledger(3)
    for part in windows:
        ledger.add([part], (), 1e6)
    verdict = judge_table(ledger.table, Policy((10.0, 100.0)), pods_started={}, step_starts=(), now=1e6)
    assert verdict.decision in set(Decision)
    assert len(ledger.problems) <= 5
