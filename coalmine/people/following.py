"""Following a Rollout until its release ends."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from coalmine.people.display import display_on
from coalmine.people.endings import Follower, Goal
from coalmine.people.watching import Watch, look
from rollouts.views.words import duration_words, seconds_of

if TYPE_CHECKING:
    from coalmine.people.api import Api
    from coalmine.people.target import Target

__all__ = ["follow", "seconds_or_never"]


def seconds_or_never(duration: str) -> float | None:
    """Return the seconds of a duration; None for 0.

    Raises:
        click.BadParameter: It is none.
    """
    seconds = 0.0 if duration == "0" else seconds_of(duration)
    if seconds is None:
        raise click.BadParameter(
            f"{duration!r} is no duration: write it like 30s, 10m or 1h30m", param_hint="--timeout"
        )
    return seconds or None


def follow(
    api: Api, target: Target, rollout: dict[str, Any], *, seconds: float | None, goal: Goal = Goal.PROMOTED
) -> None:
    """Show a Rollout until its release has ended, and end the program with kubectl's exit codes.

    Args:
        api: The API server.
        target: The namespace.
        rollout: As it was seen.
        seconds: Give up after this time; None never does.
        goal: What counts as success.

    Raises:
        SystemExit: 0 when it came to what was wanted, 1 when not, or not in time.
    """
    follower, display = Follower(goal), display_on(sys.stdout)
    ending = None
    for objects in Watch(api, target.place, look(api, target.place, rollout)).changes(seconds):
        display.show(objects, time.time())
        ending = follower.look(objects.rollout, held=objects.held, asked=objects.asked)
        if ending is not None:
            break
    display.end()
    if ending is None:
        raise click.ClickException(f"timed out after {duration_words(seconds or 0)}: the release goes on without you")
    click.echo(ending.words, err=bool(ending.code))
    raise SystemExit(ending.code)
