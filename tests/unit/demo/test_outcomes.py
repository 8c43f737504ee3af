"""From moments and requests to the numbers of the JSON file."""

from dataclasses import replace

import pytest

from coalmine.demo.journal import Acknowledged, Ended, Moment, PhaseChanged, WeightSet
from coalmine.demo.outcomes import measure, sum_up
from coalmine.demo.records import NO_VERSION, Request
from coalmine.demo.releases import BAD_ERRORS, GOOD, SLOW, Outcome, Release
from coalmine.demo.report import ReleaseReport
from rollouts.api.rollout import HistoryEntry, Phase

COMMITTED, ENDED = 100.0, 200.0


def ended(version: str, outcome: str, time: float = 190.0) -> Ended:
    at = "2026-01-01T00:00:00Z"
    return Ended(
        time,
        HistoryEntry.model_validate(
            {
                "revision": "r",
                "images": (f"r/payment:{version}",),
                "outcome": outcome,
                "reason": "why",
                "startedAt": at,
                "endedAt": at,
            }
        ),
    )


def rolled_back(release: Release) -> list[Moment]:
    return [
        PhaseChanged(90, Phase.ROLLED_BACK, "v0", ""),  # the release before: not ours
        PhaseChanged(101, Phase.STARTING, release.version, ""),
        WeightSet(104, 10),
        Acknowledged(104.2, 10, 2),
        PhaseChanged(120, Phase.ROLLING_BACK, release.version, ""),
        WeightSet(120.1, 0),
        Acknowledged(120.3, 0, 2),
        PhaseChanged(121, Phase.ROLLED_BACK, release.version, ""),
        ended(release.version, "RolledBack"),
    ]


def stable(*times: float) -> list[Request]:
    return [Request(t, 20, 200, "v1") for t in times]


def run(release: Release, moments: list[Moment], requests: list[Request], exit_code: int | None = 1) -> ReleaseReport:
    return measure(
        release, committed=COMMITTED, ended=ENDED, moments=moments, requests=requests, kubectl_exit_code=exit_code
    )


def test_a_rollback_is_measured_from_the_first_failed_answer_of_the_version() -> None:
    requests = [
        Request(105, 20, 200, "v3"),
        Request(106, 20, 500, "v1", "injected"),
        Request(110, 20, 500, "v3", "injected"),
        Request(111, 20, 500, "v3", "injected"),
    ]
    report = run(BAD_ERRORS, rolled_back(BAD_ERRORS), requests)
    assert report.outcome is Outcome.ROLLED_BACK
    assert report.reason == "why"
    assert report.rollback_seconds == pytest.approx(10.3)
    assert report.decision_seconds == pytest.approx(20)
    assert report.weights == (10, 0)
    assert report.as_expected


def test_each_answer_of_a_slow_version_is_a_bad_one() -> None:
    report = run(SLOW, rolled_back(SLOW), [Request(105, 40, 200, "v4"), Request(110, 40, 200, "v4")])
    assert report.rollback_seconds == pytest.approx(15.3)


def test_a_zero_before_the_first_bad_answer_is_not_the_rollback() -> None:
    moments = [Acknowledged(101, 0, 2), *rolled_back(BAD_ERRORS)]
    report = run(BAD_ERRORS, moments, [Request(110, 20, 500, "v3", "injected")])
    assert report.rollback_seconds == pytest.approx(10.3)


def test_no_bad_answer_means_no_rollback_time() -> None:
    assert run(BAD_ERRORS, rolled_back(BAD_ERRORS), stable(105)).rollback_seconds is None


def promoted() -> list[Moment]:
    return [
        WeightSet(104, 10),
        Acknowledged(105, 10, 2),
        WeightSet(120, 50),
        Acknowledged(120.5, 50, 2),
        WeightSet(130, 100),
        Acknowledged(130.2, 100, 2),
        PhaseChanged(140, Phase.PROMOTING, "v2", ""),
        WeightSet(150, 0),
        Acknowledged(150.1, 0, 2),
        PhaseChanged(160, Phase.HEALTHY, "", ""),
        ended("v2", "Promoted"),
    ]


def test_the_share_is_counted_while_a_weight_is_in_force_and_no_other_is_asked_for() -> None:
    requests = [
        *stable(104.5, 106, 107, 108),
        *[Request(t, 20, 200, "v2") for t in (104.6, 109)],  # the first one before 10 % was in force
        Request(120.2, 20, 200, "v2"),  # 50 % asked for, and not yet in force everywhere
        *[Request(121, 20, 200, "v2"), *stable(122)],
        *[Request(t, 20, 200, "v2") for t in (131, 149)],
    ]
    report = run(GOOD, promoted(), requests, exit_code=0)
    assert report.actual_share == {"10": 25.0, "50": 50.0, "100": 100.0}
    assert report.weights == (10, 50, 100, 0)
    assert report.decision_seconds == pytest.approx(40)
    assert report.rollback_seconds is None
    assert report.as_expected


def test_requests_are_counted_by_version_between_commit_and_end() -> None:
    requests = [
        *stable(99, 100, 150, 201),
        Request(150, 20, 500, "v2", "injected"),
        Request(151, 1, 0, NO_VERSION, "x"),
    ]
    report = run(GOOD, promoted(), requests, exit_code=0)
    assert report.requests == {"none": 1, "v1": 2, "v2": 1}
    assert report.failed == {"none": 1, "v1": 0, "v2": 1}
    assert report.failed_by_us == 1
    assert not report.as_expected


@pytest.mark.parametrize("exit_code", [0, None])
def test_kubectl_must_agree(exit_code: int | None) -> None:
    assert not run(BAD_ERRORS, rolled_back(BAD_ERRORS), stable(110), exit_code=exit_code).as_expected


def test_a_release_without_an_end_is_undecided() -> None:
    report = run(GOOD, promoted()[:-1], [], exit_code=0)
    assert report.outcome is Outcome.UNDECIDED
    assert not report.as_expected


def test_another_end_than_the_two_is_undecided_and_says_which() -> None:
    report = run(GOOD, [ended("v2", "Superseded")], [], exit_code=0)
    assert (report.outcome, report.reason) == (Outcome.UNDECIDED, "Superseded: why")


def test_the_end_of_another_version_is_not_ours() -> None:
    assert run(GOOD, [ended("v1", "Promoted")], []).outcome is Outcome.UNDECIDED


def test_the_whole_run_is_fine_only_when_every_part_is() -> None:
    good = run(GOOD, promoted(), stable(150), exit_code=0)
    whole = sum_up([good], requests=stable(1, 2), trouble=[], rate=200, seconds=10)
    assert whole.ok
    assert whole.requests == 2
    assert not whole.model_copy(update={"trouble": ("an apply failed",)}).ok
    assert not sum_up([], requests=[], trouble=[], rate=200, seconds=10).ok
    wrong = good.model_copy(update={"expected": Outcome.ROLLED_BACK})
    assert not sum_up([good, wrong], requests=[], trouble=[], rate=200, seconds=10).ok


def test_a_failure_between_releases_counts_and_is_shown() -> None:
    lost = replace(stable(250)[0], status=503, version=NO_VERSION, note="upstream connect error")
    whole = sum_up([run(GOOD, promoted(), [], exit_code=0)], requests=[lost], trouble=[], rate=200, seconds=10)
    assert whole.failed_by_us == 1
    assert "upstream connect error" in whole.failures[0]
    assert not whole.ok
