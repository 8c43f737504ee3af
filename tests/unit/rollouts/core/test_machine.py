"""The state machine's table, and its picture in the documentation."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rollouts.core.checks import CHECKS
from rollouts.core.machine import PHASES, RELEASE, TABLE, Event, IllegalEventError, State, advance, diagram
from rollouts.core.words import _MESSAGES

PAGE = Path(__file__).parents[4] / "docs" / "state-machine.md"
TEXT = """# The state machine of a release

Generated from `rollouts/core/machine.py`; `COALMINE_REGENERATE=1 pytest tests/unit/rollouts/core/test_machine.py` writes it anew.
What each event means is said there too; when it happens is the ordered list of checks in `rollouts/core/checks/`.
`Release` holds the states from which one weight change takes everything back. `Restoring` follows the Rollout's deletion.

```mermaid
{diagram}```
"""


def test_the_picture_in_the_documentation_is_the_table():
    wanted = TEXT.format(diagram=diagram())
    if os.environ.get("COALMINE_REGENERATE"):
        PAGE.write_text(wanted)
    assert PAGE.read_text() == wanted


def test_an_event_that_the_table_does_not_know_raises():
    with pytest.raises(IllegalEventError, match=r"MARKED in Healthy"):
        advance(State.HEALTHY, Event.MARKED)


def test_every_state_can_be_reached_and_left():
    reached = {State.INITIALIZING, *TABLE.values()}
    assert reached == set(State)
    assert {state for state, _ in TABLE} == set(State) - {State.GONE}


def test_every_state_has_checks_a_phase_and_words():
    assert set(CHECKS) == set(PHASES) == set(_MESSAGES) == set(State)


@pytest.mark.parametrize("state", sorted(RELEASE))
@pytest.mark.parametrize("event", [Event.ROLL_BACK, Event.ABORT])
def test_every_state_of_a_release_can_be_taken_back(state, event):
    assert advance(state, event) is State.ROLLING_BACK


def test_deletion_is_heard_in_every_state():
    for state in set(State) - {State.RESTORING, State.GONE}:
        assert advance(state, Event.DELETE) is State.RESTORING
