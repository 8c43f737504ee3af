"""The judge's answers: one sentence each."""

from dataclasses import replace
from functools import partial
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.judges import judge, judge_table
from analysis.judges.table import tabulate
from analysis.model.counts import Arm, PodCounts, Window
from analysis.model.policy import ErrorPolicy, LatencyPolicy, Policy
from analysis.model.verdict import Decision

ERRORS_ONLY = Policy((10.0, 100.0), latency=None)


def metric(verdict, name):
    return next(entry for entry in verdict.evidence if entry.metric == name)


def test_five_percent_errors_are_taken_back_within_seconds_at_default_margins(release):
    policy = replace(release().policy, errors=ErrorPolicy(warm_up=0.0))
    taken = [
        release(rps=100, canary_errors=(0.05,), seconds=40, seed=seed, policy=policy).decided(Decision.ROLL_BACK)
        for seed in range(7)
    ]
    assert None not in taken
    assert median(taken) <= 11


def test_doubled_latency_is_taken_back_soon_after_the_warm_up(release):
    taken = [release(slow=(2.0,), seconds=20, seed=seed, pods_sd=0.05).decided(Decision.ROLL_BACK) for seed in range(5)]
    assert None not in taken
    assert max(taken) <= 12


def test_equal_versions_are_promoted_soon_and_never_taken_back(release):
    for seed in range(3):
        first = release(errors=0.001, canary_errors=(0.001,), seconds=30, seed=seed).decided(
            Decision.PROMOTE, Decision.ROLL_BACK
        )
        assert first is not None
        assert first <= 25
        assert release(seconds=120, seed=seed, pods_sd=0.05).look().decision is Decision.PROMOTE


def test_the_next_step_is_passed_on_evidence_carried_over_and_a_little_of_its_own(release, epoch):
    early, late = release(seconds=30, seed=4), release(seconds=60, share=0.5, seed=5)
    windows = early.windows() + late.windows()[30:]

    def at(seconds):
        return late.look(windows[:seconds], now=epoch + seconds, step_starts=(epoch, epoch + 30)).decision

    assert at(30) is Decision.CONTINUE
    assert at(40) is Decision.PROMOTE


def test_a_version_that_breaks_only_under_more_load_is_not_carried_over(release, epoch):
    early = release(seconds=60, seed=4)
    late = release(seconds=90, share=0.5, canary_errors=(0.04,), seed=5)
    windows = early.windows() + late.windows()[60:]
    decisions = {
        late.look(windows[:seconds], now=epoch + seconds, step_starts=(epoch, epoch + 60)).decision
        for seconds in range(63, 90)
    }
    assert Decision.ROLL_BACK in decisions
    assert Decision.PROMOTE not in decisions


def test_a_step_whose_own_requests_lean_the_other_way_promises_no_time(release, epoch):
    early, late = release(seconds=60, seed=4), release(seconds=75, share=0.5, slow=(1.4,), seed=5)
    windows = early.windows() + late.windows()[60:]
    verdicts = [
        late.look(windows[:seconds], now=epoch + seconds, step_starts=(epoch, epoch + 60)) for seconds in range(61, 76)
    ]
    leaning = [verdict for verdict in verdicts if "do not bear it out" in verdict.summary]
    assert leaning
    assert all(verdict.need is None for verdict in leaning)


def test_one_bad_pod_of_four_is_named_as_the_outlier(release):
    verdict = release(canary_errors=(0.0, 0.0, 0.3, 0.0), seconds=30).look()
    assert verdict.decision is Decision.OUTLIER
    assert verdict.outlier == "canary-2"
    assert "canary-2" in verdict.summary


def test_two_bad_pods_of_five_are_named_and_three_are_a_bad_version(release):
    two = release(canary_errors=(0.0, 0.12, 0.0, 0.12, 0.0), seconds=60, stable=5).look()
    assert two.decision is Decision.OUTLIER
    assert "canary-1" in two.summary
    assert "canary-3" in two.summary
    three = release(canary_errors=(0.1, 0.12, 0.0, 0.12, 0.0), seconds=60, stable=5).look()
    assert three.decision is Decision.ROLL_BACK


def test_four_pods_that_are_all_bad_are_no_outlier(release):
    assert release(canary_errors=(0.1, 0.08, 0.09, 0.11), seconds=30).look().decision is Decision.ROLL_BACK


def test_an_outage_that_both_versions_share_is_no_verdict_on_the_canary(release):
    assert release(errors=0.5, canary_errors=(0.5,), seconds=40).look().decision is not Decision.ROLL_BACK


def test_pods_in_warm_up_are_not_judged_but_gross_failure_is(release, epoch):
    slow = replace(release().policy, errors=ErrorPolicy(warm_up=600.0), latency=LatencyPolicy(warm_up=600.0))
    mild = release(canary_errors=(0.05,), slow=(2.0,), policy=slow, seconds=60).look()
    assert mild.decision is Decision.CONTINUE
    assert metric(mild, "errors").canary_count == 0
    gross = release(canary_errors=(1.0,), policy=slow, seconds=5).look()
    assert gross.decision is Decision.ROLL_BACK
    assert gross.summary.startswith("gross-errors")
    hung = release(slow=(40.0,), policy=slow, seconds=5).look()
    assert hung.decision is Decision.ROLL_BACK
    assert hung.summary.startswith("gross-latency")
    unknown_age = release(canary_errors=(0.05,), policy=slow, seconds=60, starts={}).look()
    assert unknown_age.decision is Decision.ROLL_BACK


def test_the_slo_holds_even_without_a_baseline(release):
    guarded = replace(release().policy, errors=ErrorPolicy(warm_up=0.0, slo=0.01))
    alone = release(share=1.0, canary_errors=(0.04,), policy=guarded).look()
    assert alone.decision is Decision.ROLL_BACK
    assert alone.summary.startswith("slo")
    assert "limit is 1.00 %" in alone.summary
    fine = release(share=1.0, canary_errors=(0.005,), policy=guarded).look()
    assert fine.decision is Decision.NO_BASELINE


def test_at_full_traffic_there_is_no_baseline_yet_gross_failure_is_seen(release, epoch):
    windows = release(seconds=30).windows() + release(seconds=60, share=1.0).windows()[30:]
    kept = release(seconds=60).look(windows, step_starts=(epoch, epoch + 30))
    assert kept.decision is Decision.NO_BASELINE
    failing = release(seconds=30).windows() + release(seconds=60, share=1.0, canary_errors=(0.5,)).windows()[30:]
    assert release().look(failing, step_starts=(epoch, epoch + 30)).decision is Decision.ROLL_BACK


def test_nothing_measured_is_no_data_and_an_outage_of_metrics_is_no_verdict(release, epoch):
    assert judge([], ERRORS_ONLY, pods_started={}, step_starts=(), now=1.0).decision is Decision.NO_DATA
    good = release(seconds=60)
    assert good.look().decision is Decision.PROMOTE
    later = good.look(now=epoch + 120)
    assert later.decision is Decision.NO_DATA
    assert "60 s" in later.summary


def test_a_source_that_is_scraped_may_be_one_scrape_late(release):
    seconds = release(seconds=120)
    table = tabulate(seconds.windows(), len(seconds.policy.bounds_ms) + 1)
    start = float(table.start[0])
    scraped = table.merged([], 15.0)
    length, end = float(scraped.end[-1] - scraped.start[-1]), float(scraped.end[-1])
    ask = partial(judge_table, scraped, seconds.policy, pods_started={}, step_starts=(start,))
    assert length > 1.0
    assert ask(now=end + 15 + 2 * length).decision is Decision.PROMOTE
    assert ask(now=end + 16 + 2 * length).decision is Decision.NO_DATA


def test_silence_of_the_canary_alone_is_not_no_data(release):
    verdict = release(share=0.0, seconds=60).look()
    assert verdict.decision is Decision.CONTINUE


def test_requests_that_reached_no_pod_count_for_the_arm(release):
    windows = [
        replace(window, pods=(*window.pods[:2], PodCounts(Arm.CANARY, "", 20, 20)))
        for window in release(seconds=10).windows()
    ]
    assert release(seconds=10).look(windows).decision is Decision.ROLL_BACK


@pytest.mark.parametrize(("slower", "promoted"), [(1.0, True), (1.35, True), (1.6, False)])
def test_a_last_step_that_leans_neither_way_ends(release, epoch, slower, promoted):
    equal = release(share=0.5, seconds=60, stable=3)
    last = replace(equal, share=0.95, seconds=240, slow=(slower,), seed=3)
    windows = equal.windows() + last.windows()[60:]
    answers = {
        last.look(windows[:seconds], now=epoch + seconds, step_starts=(epoch, epoch + 60)).decision
        for seconds in range(70, 241, 10)
    }
    assert (Decision.PROMOTE in answers) is promoted


def test_what_is_missing_is_estimated_at_the_present_shares(release, epoch):
    """With a twentieth left for stable, a canary's request says less than it did at half and half."""
    policy = replace(release().policy, errors=ErrorPolicy(absolute=0.002), latency=None)
    half = release(share=0.5, seconds=40, errors=0.01, canary_errors=(0.01,), policy=policy)
    late = replace(half, share=0.95, seconds=70, seed=1)
    before = half.look(now=epoch + 40).need
    after = late.look(half.windows() + late.windows()[40:], now=epoch + 70, step_starts=(epoch, epoch + 40)).need
    assert before is not None
    assert after is not None
    assert after.attempts > 4 * before.attempts


def test_too_little_traffic_says_how_much_is_missing_and_the_estimate_is_about_right(release):
    at_risk = release(rps=50, errors=0.01, canary_errors=(0.01,), seconds=400, stable=4)
    policy = Policy(at_risk.policy.bounds_ms, errors=ErrorPolicy(absolute=0.004), latency=None)
    case = replace(at_risk, policy=policy)
    windows = case.windows()
    early = case.look(windows[:60], now=case.steps[0] + 60)
    assert early.decision is Decision.CONTINUE
    assert early.need is not None
    assert "more canary requests" in early.summary
    promoted = case.decided(Decision.PROMOTE)
    assert promoted is not None
    assert 0.3 < (promoted - 60) / early.need.seconds < 3


def test_words_hold_the_counts_and_the_bound(release):
    verdict = release(errors=0.001, canary_errors=(0.05,), seconds=60).look()
    words = metric(verdict, "errors").words
    assert words.startswith("canary ")
    assert "% errors of 1," in words
    assert "baseline 0.055 % of 1" in words
    assert "worse by ≥" in words
    assert words.endswith("points, 99.5 % confidence at any time")
    slow = metric(release(slow=(2.0,), seconds=60).look(), "latency").words
    assert "canary p99" in slow
    assert "slower by ≥" in slow


@pytest.mark.parametrize("seed", range(8))
def test_equal_versions_on_pods_that_differ_are_never_said_to_be_slower(release, seed):
    verdict = release(pods_sd=0.05, seed=seed).look()
    (latency,) = (entry for entry in verdict.evidence if entry.metric == "latency")
    assert "slower by ≥" not in latency.words


def test_evidence_bounds_hold_the_estimates(release):
    verdict = release(errors=0.01, canary_errors=(0.03,), seconds=60).look()
    entry = metric(verdict, "errors")
    assert entry.interval[0] <= entry.difference <= entry.interval[1]
    low, high = metric(release(slow=(1.5,), seconds=60).look(), "latency").interval
    assert low < 1.5 < high
    assert low > 1.2


def test_latency_counts_of_another_shape_are_refused_by_name():
    window = Window(0, 1, (PodCounts(Arm.CANARY, "a", 1, 0, (1, 2)),))
    with pytest.raises(ValueError, match="bounds_ms"):
        judge([window], ERRORS_ONLY, pods_started={}, step_starts=(), now=1.0)


def test_names_of_pods_and_order_of_windows_do_not_matter(release):
    case = release(canary_errors=(0.02,), errors=0.01, seconds=20, starts={})
    windows = case.windows()
    renamed = [
        replace(w, pods=tuple(replace(pod, pod=f"x{pod.pod[::-1]}") for pod in reversed(w.pods)))
        for w in reversed(windows)
    ]
    once, again = case.look(windows), case.look(renamed)
    assert once.decision is again.decision
    for left, right in zip(once.evidence, again.evidence, strict=True):
        assert left.rollback_e == pytest.approx(right.rollback_e)
        assert left.promote_e == pytest.approx(right.promote_e)


def test_a_gap_in_the_metrics_changes_nothing(release):
    case = release(canary_errors=(0.02,), errors=0.01, seconds=40, starts={})
    windows = [window for window in case.windows() if not 10 <= window.start - case.steps[0] < 20]
    empty = [*windows, *(replace(w, pods=()) for w in case.windows()[10:20])]
    zeros = [
        *windows,
        *(replace(w, pods=tuple(PodCounts(p.arm, p.pod, 0, 0) for p in w.pods)) for w in case.windows()[10:20]),
    ]
    expected = case.look(windows)
    for other in (empty, zeros):
        found = case.look(other)
        assert found.decision is expected.decision
        for left, right in zip(expected.evidence, found.evidence, strict=True):
            assert left.rollback_e == pytest.approx(right.rollback_e)


@settings(max_examples=30)
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(list(Arm)), st.sampled_from(["", "a", "b"]), st.integers(0, 10**9), st.floats(0, 1)
            ),
            max_size=4,
        ),
        max_size=6,
    )
)
def test_whatever_the_counts_the_answer_is_finite(rows):
    windows = [
        Window(
            float(i),
            i + 1.0,
            tuple(PodCounts(arm, pod, n, int(n * part), (n, 0, int(n * part))) for arm, pod, n, part in pods),
        )
        for i, pods in enumerate(rows)
    ]
    policy = Policy((10.0, 100.0), errors=ErrorPolicy(slo=0.5))
    verdict = judge(windows, policy, pods_started={"a": 0.0}, step_starts=(0.0, 2.0), now=7.0)
    for entry in verdict.evidence:
        assert 0 <= entry.rollback_e < float("inf")
        assert 0 <= entry.promote_e < float("inf")


def test_the_same_arguments_give_the_same_answer(release):
    case = release(canary_errors=(0.03,), seconds=20)
    assert case.look() == case.look()


def test_a_policy_that_judges_nothing_says_so(release):
    verdict = release(policy=Policy((1.0,), errors=None, latency=None)).look(
        [Window(0, 60, (PodCounts(Arm.BASELINE, "a", 9, 0),))], now=60.0
    )
    assert verdict.decision is Decision.CONTINUE
    assert "judges neither" in verdict.summary


def test_the_interval_is_below_the_margin_when_that_is_what_promotes(release):
    errors = ErrorPolicy(absolute=0.004)
    at_risk = release(rps=50, errors=0.01, canary_errors=(0.01,), seconds=400, stable=4)
    case = replace(at_risk, policy=Policy(at_risk.policy.bounds_ms, errors=errors, latency=None))
    windows = case.windows()
    sides = set()
    for seconds in range(20, 400, 20):
        found = metric(case.look(windows[:seconds], now=case.steps[0] + seconds), "errors")
        below = found.interval[1] <= (errors.ratio - 1) * found.baseline + errors.absolute
        assert below == (found.promote_e >= found.promote_at), f"{seconds} s: {found}"
        sides.add(below)
    assert sides == {True, False}
