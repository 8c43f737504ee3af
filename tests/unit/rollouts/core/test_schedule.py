"""Release windows and freezes: when a release may start, and that only its start waits."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from analysis.model.verdict import Decision
from rollouts.api.names import PROMOTE_ANNOTATION
from rollouts.api.schedule import Freeze, ReleaseWindow
from rollouts.core.schedule import closed

OFFICE = {"schedule": "0 9 * * 1-5", "duration": "8h", "timeZone": "Europe/Berlin"}
XMAS = {"start": "2026-12-20T00:00:00Z", "end": "2027-01-04T00:00:00Z", "reason": "holidays"}


def at(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


def look(now: str, *freezes: dict, windows=(OFFICE,)):
    return closed(
        [ReleaseWindow.model_validate(w) for w in windows], [Freeze.model_validate(f) for f in freezes], at(now)
    )


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-20T09:00:00+01:00", None),
        ("2026-11-20T09:00:59+01:00", None),
        ("2026-11-20T16:59:59+01:00", None),
        ("2026-11-20T17:00:00+01:00", "2026-11-23T09:00:00+01:00"),
        ("2026-11-20T08:59:59+01:00", "2026-11-20T09:00:00+01:00"),
        ("2026-11-21T12:00:00+01:00", "2026-11-23T09:00:00+01:00"),
        # The clock is put forward on the 29th of March 2026.
        ("2026-03-27T18:00:00+01:00", "2026-03-30T09:00:00+02:00"),
    ],
)
def test_a_window_opens_by_the_clock_of_its_zone(now, opens):
    found = look(now)
    assert (found.opens if found else None) == (at(opens) if opens else None)


def test_of_several_windows_one_that_is_open_is_enough():
    night = {"schedule": "30 22 * * *", "duration": "3h"}
    assert look("2026-11-21T01:00:00+00:00", windows=(OFFICE, night)) is None
    assert look("2026-11-21T01:30:00+00:00", windows=(OFFICE, night)).opens == at("2026-11-21T22:30:00+00:00")


def test_a_freeze_holds_whatever_the_windows_say_and_then_they_count_again():
    found = look("2026-12-22T10:00:00+00:00", XMAS)
    assert "frozen (holidays) until 2027-01-04T00:00:00Z" in found.why
    assert found.opens == at("2027-01-04T09:00:00+01:00")
    assert look("2026-12-22T10:00:00+00:00", XMAS, windows=()).opens == at("2027-01-04T00:00:00+00:00")
    assert look("2027-01-04T10:00:00+01:00", XMAS) is None


@given(st.integers(int(at("2026-01-01T00:00:00Z")), int(at("2028-01-01T00:00:00Z"))))
def test_it_is_open_when_it_was_said_to_open_and_not_before(moment):
    windows, freezes = [ReleaseWindow.model_validate(OFFICE)], [Freeze.model_validate(XMAS)]
    found = closed(windows, freezes, moment)
    if found is not None:
        assert found.opens > moment
        assert closed(windows, freezes, found.opens) is None
        assert closed(windows, freezes, found.opens - 1) is not None


@pytest.mark.parametrize(
    ("model", "fields", "says"),
    [
        (ReleaseWindow, OFFICE | {"schedule": "every day"}, "write minute, hour, day, month and weekday"),
        (ReleaseWindow, OFFICE | {"schedule": "0 0 30 2 *"}, "no schedule that ever comes"),
        (ReleaseWindow, OFFICE | {"timeZone": "Berlin"}, "write an IANA name"),
        (ReleaseWindow, OFFICE | {"timeZone": "../etc"}, "write an IANA name"),
        (ReleaseWindow, OFFICE | {"duration": "0s"}, "greater than 0"),
        (Freeze, XMAS | {"end": XMAS["start"]}, "end is not after start"),
        (Freeze, XMAS | {"start": "2026-12-20T00:00:00"}, "timezone"),
    ],
)
def test_what_is_wrong_is_said(model, fields, says):
    with pytest.raises(ValidationError, match=says):
        model.model_validate(fields)


def freeze(world, seconds):
    start = dt.datetime.fromtimestamp(world.now, dt.UTC)
    end = start + dt.timedelta(seconds=seconds)
    return {"start": start.isoformat(), "end": end.isoformat(), "reason": "audit"}


def test_a_change_waits_held_and_starts_when_it_may(world):
    world.settle()
    world.spec["freezes"] = [freeze(world, 600)]
    world.push("shop:2")
    world.settle()
    assert (world.phase, world.canary, world.paused) == ("Healthy", None, True)
    assert "waits: releases are frozen (audit) until" in world.status["message"]
    assert world.decide().wake_at == at(world.spec["freezes"][0]["end"])
    world.now += 601
    world.settle()
    assert (world.state, world.weight) == ("Judging", 10)


def test_a_running_release_goes_on_and_may_be_taken_back(world):
    world.released()
    world.spec["freezes"] = [freeze(world, 6000)]
    world.says(Decision.PROMOTE)
    world.wait(40)
    assert (world.state, world.weight) == ("Judging", 50)
    world.says(Decision.ROLL_BACK)
    world.wait(5)
    assert world.phase == "RolledBack"


def test_a_replaced_release_is_taken_back_and_the_new_one_waits(world):
    world.released()
    world.spec["freezes"] = [freeze(world, 600)]
    world.push("shop:3")
    world.wait(20)
    assert (world.weight, world.canary) == (0, None)
    assert "frozen" in world.status["message"]
    world.now += 601
    world.settle()
    assert (world.state, world.status["canary"]["images"]) == ("Judging", ["shop:3"])


def test_going_back_needs_no_window(make_world):
    world = make_world(rollbackWindow={})
    world.settle()
    for image in ("shop:2", "shop:3"):
        world.push(image)
        world.settle()
        world.annotate(PROMOTE_ANNOTATION, image)
        world.wait(20)
    world.spec["freezes"] = [freeze(world, 6000)]
    world.push("shop:2")
    world.wait(20)
    assert (world.phase, world.status["stable"]["images"]) == ("Healthy", ["shop:2"])
