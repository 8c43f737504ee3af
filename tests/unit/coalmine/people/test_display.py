"""A followed Rollout on a terminal and in a log."""

from __future__ import annotations

import io

import pytest

from coalmine.people.display import Lines, Redrawn, display_on
from coalmine.people.paint import colours
from coalmine.people.watching import Objects


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def size(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "30")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)


def test_it_is_drawn_over_the_one_before_and_only_when_it_differs(rollout):
    terminal = Terminal()
    display = Redrawn(terminal)
    seen = Objects(rollout=rollout("judging"))
    display.show(seen, 1_800_000_000.0)
    first = terminal.getvalue()
    display.show(seen, 1_800_000_000.0)
    assert terminal.getvalue() == first
    rows = first.count("\n")
    display.show(Objects(rollout=rollout("asking")), 1_800_000_000.0)
    assert terminal.getvalue()[len(first) :].startswith(f"\x1b[{rows}F")
    assert terminal.getvalue().endswith("\x1b[J")


def test_a_low_window_gets_what_fits_and_is_told(rollout, monkeypatch):
    monkeypatch.setenv("LINES", "8")
    terminal = Terminal()
    Redrawn(terminal).show(Objects(rollout=rollout("judging")), 0.0)
    assert terminal.getvalue().count("\n") == 7
    assert "more lines: make the window higher" in terminal.getvalue()


def test_a_log_has_a_line_for_each_change_that_matters(rollout):
    log = io.StringIO()
    display = display_on(log)
    assert isinstance(display, Lines)
    for each in (rollout("judging"), rollout("judging", message="judges 10 %; about 19s more"), rollout("asking")):
        display.show(Objects(rollout=each), 1_800_000_000.0)
    one, two = log.getvalue().splitlines()
    assert one.startswith(
        "08:00:00Z payment: Progressing | ▶ 10 %  · pause 5m  · 50 %  · approval  · 100 % | 10 % set, "
    )
    assert "payment: Awaiting approval" in two
    assert "\x1b" not in log.getvalue()


def test_a_log_tells_when_the_cluster_is_not_seen(rollout):
    log = io.StringIO()
    display = Lines(log)
    for troubles in ({}, {"rollouts": "no answer"}, {"rollouts": ""}):
        display.show(Objects(rollout=rollout("judging"), troubles=troubles), 0.0)
    assert ["rollouts are not seen: no answer" in line for line in log.getvalue().splitlines()] == [False, True, False]


def test_what_may_not_be_read_is_told_beside_the_rest(rollout):
    terminal = Terminal()
    Redrawn(terminal).show(Objects(rollout=rollout("judging"), troubles={"pods": "pods is forbidden"}), 0.0)
    assert "pods are not seen: pods is forbidden" in terminal.getvalue()


@pytest.mark.parametrize(
    ("stream", "env", "wanted"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colours_are_for_terminals_and_for_those_who_want_them(stream, env, wanted):
    assert colours(stream, env) is wanted
