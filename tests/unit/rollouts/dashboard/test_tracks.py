"""What a Rollout was over time: from status changes alone, bounded, and honest about where it begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollouts.dashboard.columns import Columns
from rollouts.dashboard.evidence import Scales, evidence_entry
from rollouts.dashboard.tracks import Track


def said(number):
    return {"number": number, "at": float(number), "type": "Normal", "reason": "StepStarted", "note": f"{number}"}


def test_a_release_that_was_seen_from_its_begin_is_complete(rollout, releasing, clock):
    track = Track()
    track.add(rollout(), clock.time - 200)
    track.add(releasing(), clock.time)
    found = track.series.dump()
    assert (found["complete"], found["since"]) == (True, clock.time - 95)
    assert found["release"] == {"revision": "9b7e10", "began": clock.time - 95, "ended": None, "outcome": ""}


def test_after_a_restart_in_the_middle_it_says_where_it_begins(releasing, clock):
    track = Track()
    track.add(releasing(), clock.time)
    found = track.series.dump()
    assert (found["complete"], found["since"]) == (False, clock.time)


def test_the_interval_closes_in_on_the_margin_and_the_decision_has_its_moment(releasing, evidence, clock):
    track, width = Track(), 0.02
    for second in range(20):
        width *= 0.8
        promote_e = 1.5**second
        errors = evidence("errors", interval=[0.0002 - width, 0.0002 + width], promoteE=promote_e)
        verdict = "Promote" if promote_e >= 20 else "Continue"
        track.add(releasing(evidence=[errors], verdict=verdict, summary="fine"), clock.time + second)
    found = track.series.dump()
    errors = found["evidence"]["errors"]
    assert len(errors["t"]) == 20
    assert errors["margin"] == [0.003] * 20
    gaps = [upper - lower for upper, lower in zip(errors["upper"], errors["lower"], strict=True)]
    assert gaps == sorted(gaps, reverse=True)
    assert errors["crossed"] == {"at": clock.time + 8, "towards": "promote"}
    assert found["decisions"] == [
        {"at": clock.time + 8, "verdict": "Promote", "step": 1, "metric": None, "words": "fine"}
    ]


def test_a_step_that_is_passed_in_the_same_write_is_the_one_that_was_decided(releasing, evidence, clock):
    track = Track()
    fine = [evidence("errors", promoteE=25.0)]
    track.add(releasing(step=0), clock.time)
    track.add(releasing(step=1, stepStartedAt=None, verdict="Promote", evidence=fine), clock.time + 1)
    track.add(releasing(step=1, stepStartedAt=None, verdict="Promote", evidence=fine), clock.time + 2)
    track.add(releasing(step=1, verdict="Promote", evidence=fine), clock.time + 3)
    decided = track.series.dump()["decisions"]
    assert [(d["at"], d["step"]) for d in decided] == [(clock.time + 1, 0)]


def test_a_rollback_names_the_metric_that_decided_and_ends_the_series(releasing, evidence, clock, stamp):
    track = Track()
    track.add(releasing(), clock.time)
    worse = [evidence("latency"), evidence("errors", rollbackE=913.0)]
    track.add(releasing(phase="RollingBack", verdict="RollBack", evidence=worse), clock.time + 1)
    ended = {"revision": "9b7e10", "outcome": "RolledBack", "endedAt": stamp(clock.time + 2)}
    closed = releasing(phase="RolledBack", verdict="RollBack", history=[ended], internal={"open": False})
    track.add(closed, clock.time + 3)
    found = track.series.dump()
    assert [(d["verdict"], d["metric"]) for d in found["decisions"]] == [("RollBack", "errors")]
    assert found["evidence"]["errors"]["crossed"] == {"at": clock.time + 1, "towards": "rollback"}
    assert (found["release"]["ended"], found["release"]["outcome"]) == (clock.time + 2, "RolledBack")


def test_a_new_release_begins_anew(releasing, clock):
    track = Track()
    track.add(releasing(), clock.time)
    track.series.fresh()
    track.add(releasing(began=clock.time + 10), clock.time + 10)
    assert track.series.fresh() is None, "all of it has to be told"
    assert track.series.dump()["release"]["began"] == clock.time + 10


def test_the_same_version_is_taken_once(releasing, clock):
    track, body = Track(), releasing()
    assert track.add(body, clock.time)
    assert not track.add(body, clock.time + 1), "the watch's index and its event bring the same"


def test_the_timeline_grows_by_number_and_is_bounded(releasing):
    track = Track()
    track.add(releasing(internal={"announcements": [said(7), said(8)]}), 1.0)
    assert [i["number"] for i in track.timeline(fresh=True)["items"]] == [7, 8]
    track.add(releasing(internal={"announcements": [said(8), said(9)]}), 2.0)
    assert [i["number"] for i in track.timeline(fresh=True)["items"]] == [9]
    assert track.timeline(fresh=True)["items"] == []
    for first in range(10, 500, 10):
        track.add(releasing(internal={"announcements": [said(n) for n in range(first, first + 10)]}), 3.0)
    found = track.timeline()
    assert len(found["items"]) == 200
    assert found["since"] == found["items"][0]["number"] == 300


@given(st.integers(1, 400), st.integers(4, 50))
def test_columns_are_bounded_and_keep_their_first_and_newest_rows(count, most):
    columns = Columns("t", "value", most=most)
    for number in range(count):
        columns.add((float(number), None if number % 3 else float(number)))
    assert len(columns) <= most
    found = columns.dump()
    assert found["t"] == sorted(set(found["t"]))
    assert (found["t"][0], found["t"][-1]) == (0.0, count - 1.0)
    assert all((v is None) == bool(t % 3) for t, v in zip(found["t"], found["value"], strict=True))


@given(st.lists(st.integers(0, 5), max_size=60))
def test_what_is_told_bit_by_bit_is_the_whole(steps):
    """Whoever appends each change has what a GET would give."""
    columns, held = Columns("t", "v", most=25), {"t": [], "v": []}
    told, thinned, time = 0, 0, 0.0
    for number in steps:
        for _ in range(number):
            time += 1
            columns.add((time, -time))
        if columns.thinned != thinned:
            held, thinned = columns.dump(), columns.thinned
        else:
            for name, more in columns.dump(told).items():
                held[name] = held[name] + more
        told = len(columns)
        assert held == columns.dump()


@pytest.mark.parametrize(
    ("metric", "spec", "scale", "margin", "noise"),
    [
        ("errors", {}, "difference", 0.003, 0.00005),
        ("errors", {"analysis": {"errors": {"maxRatio": 1, "maxIncreasePercent": 1}}}, "difference", 0.01, 0.00005),
        ("latency", {}, "ratio", 1.25, 1.01),
        ("latency", {"analysis": {"latency": {"maxRatio": 2, "noiseRatio": 1.5}}}, "ratio", 2.0, 1.5),
    ],
)
def test_the_margin_is_on_the_scale_of_the_difference(evidence, metric, spec, scale, margin, noise):
    found = evidence_entry(evidence(metric), Scales.of(spec))
    assert (found["scale"], found["margin"], found["noise"]) == (scale, margin, noise)


def test_without_a_baseline_there_is_no_margin_of_a_difference(evidence):
    assert evidence_entry(evidence("errors", baseline=None), Scales())["margin"] is None


@pytest.mark.parametrize(
    ("numbers", "state"),
    [
        ({}, "open"),
        ({"promoteE": 20.0}, "fine"),
        ({"rollbackE": 400.0, "promoteE": 20.0}, "worse"),
        ({"promoteAt": 0.0, "promoteE": 5.0}, "open"),
    ],
)
def test_the_state_of_evidence_is_which_threshold_it_reached(evidence, numbers, state):
    assert evidence_entry(evidence("errors", **numbers), Scales())["state"] == state
