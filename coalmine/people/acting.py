"""``coalmine promote``, ``approve``, ``reject``, ``abort``, ``retry``, ``pause``, ``resume`` and ``skip``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from coalmine.people.api import connect
from coalmine.people.commanding import WAIT_SECONDS, annotate, await_answer, fresh_value
from coalmine.people.endings import Goal
from coalmine.people.errors import get_rollout
from coalmine.people.options import one_rollout, targeted, watch_options
from rollouts.api import names
from rollouts.views.explain import commands_of
from rollouts.views.release import release_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from coalmine.people.target import Target

__all__ = ["abort", "approve", "pause", "promote", "reject", "resume", "retry", "skip"]

Obj = dict[str, Any]
_ANNOTATIONS: Final[Mapping[str, str]] = {
    "abort": names.ABORT_ANNOTATION,
    "approve": names.APPROVE_ANNOTATION,
    "pause": names.PAUSE_ANNOTATION,
    "promote": names.PROMOTE_ANNOTATION,
    "reject": names.REJECT_ANNOTATION,
    "resume": names.RESUME_ANNOTATION,
    "retry": names.RETRY_ANNOTATION,
    "skip": names.SKIP_ANNOTATION,
}
_DECISIONS: Final = frozenset({"approve", "reject"})
_MOST_COMMENT: Final = 500


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  coalmine {line}" for line in lines)


def _command(verb: str, *examples: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command of a function: one Rollout, kubectl's options, ``--watch``."""

    def made(function: Callable[..., Any]) -> click.Command:
        decorated = one_rollout(watch_options(targeted(function)))
        return click.command(verb, epilog=_examples(*examples))(decorated)

    return made


@_command("promote", "promote payment", "promote payment --watch")
def promote(target: Target, name: str, timeout: str, *, watch: bool) -> None:
    """Promote a release now, without waiting for evidence. Gates that ask who decides are not passed by it."""
    _give(target, "promote", name, watch=watch, timeout=timeout)


@_command("abort", "abort payment", "abort payment --watch")
def abort(target: Target, name: str, timeout: str, *, watch: bool) -> None:
    """Take a release back to the stable version at once."""
    _give(target, "abort", name, watch=watch, timeout=timeout, goal=Goal.TAKEN_BACK)


@_command("retry", "retry payment", "retry payment --watch --timeout 30m")
def retry(target: Target, name: str, timeout: str, *, watch: bool) -> None:
    """Run a release that was taken back again, from its first step."""
    _give(target, "retry", name, watch=watch, timeout=timeout)


@_command("pause", "pause payment", "resume payment")
def pause(target: Target, name: str, timeout: str, *, watch: bool) -> None:
    """Keep a release where it is, with its guards on, until it is resumed.

    Nothing that git holds is changed. To keep releases from starting at all, set spec.paused in git.
    """
    _give(target, "pause", name, watch=watch, timeout=timeout)


@_command("resume", "resume payment", "resume payment --watch")
def resume(target: Target, name: str, timeout: str, *, watch: bool) -> None:
    """Let a paused release go on: a pause step, or what `coalmine pause` stopped."""
    _give(target, "resume", name, watch=watch, timeout=timeout)


@_command("skip", "skip payment", "skip payment --watch")
def skip(target: Target, name: str, timeout: str, *, watch: bool) -> None:
    """End the present step, whatever it waits for, and begin the next. The guards come first."""
    _give(target, "skip", name, watch=watch, timeout=timeout)


def _with_comment(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--comment", metavar="TEXT", default="", help="Why; it is recorded with the decision.")(
        function
    )


@_command(
    "approve", "approve payment", 'approve payment --comment "looked at the dashboard"', "approve payment --watch"
)
@_with_comment
def approve(target: Target, name: str, comment: str, timeout: str, *, watch: bool) -> None:
    """Say yes to what a release asks people, as the user whom kubectl knows."""
    _give(target, "approve", name, comment=comment, watch=watch, timeout=timeout)


@_command("reject", "reject payment", 'reject payment --comment "errors in the logs"')
@_with_comment
def reject(target: Target, name: str, comment: str, timeout: str, *, watch: bool) -> None:
    """Say no to what a release asks people, which takes it back."""
    _give(target, "reject", name, comment=comment, watch=watch, timeout=timeout, goal=Goal.TAKEN_BACK)


def _give(
    target: Target,
    verb: str,
    name: str,
    *,
    watch: bool,
    timeout: str,
    comment: str = "",
    goal: Goal = Goal.PROMOTED,
) -> None:
    """Give a command: only where it would do something, and say what came of it."""
    from coalmine.people.following import follow, seconds_or_never  # noqa: PLC0415 - a look needs none of it

    seconds = seconds_or_never(timeout)
    if len(comment) > _MOST_COMMENT:
        raise click.BadParameter(
            f"at most {_MOST_COMMENT} characters are kept, these are {len(comment)}", param_hint="--comment"
        )
    annotation, value = _ANNOTATIONS[verb], fresh_value()
    with connect(target) as api:
        before = get_rollout(api, target, name)
        offered = commands_of(release_of(before))
        if verb not in offered:
            raise click.ClickException(_nothing_to(verb, before, offered))
        written: dict[str, str | None] = {annotation: value}
        if verb in _DECISIONS:
            written[names.COMMENT_ANNOTATION] = comment or None
        given = annotate(api, target, before, written)
        answer = await_answer(api, target, given, _counted(verb, before, value), annotation)
        if answer.ignored:
            raise click.ClickException(f"it did nothing: {answer.ignored}")
        place = f"rollout.coalmine.dev/{before['metadata']['name']}"
        if not answer.seen:
            click.echo(
                f"{place}: {verb} was written, and the controller has not answered within {WAIT_SECONDS:.0f} s; "
                "it acts as soon as it runs (coalmine doctor)",
                err=True,
            )
        else:
            click.echo(f"{place}: {verb}: {_outcome(verb, answer.rollout)}")
        if watch:
            follow(api, target, answer.rollout, seconds=seconds, goal=goal)


def _counted(verb: str, before: Obj, value: str) -> Callable[[Obj], bool]:
    """Return what tells that the controller has taken the command."""
    annotation = _ANNOTATIONS[verb]
    asked = (before.get("status") or {}).get("approval") or {}

    def handled(rollout: Obj) -> bool:
        status = rollout.get("status") or {}
        if (status.get("handled") or {}).get(annotation) == value:
            return True
        now = status.get("approval") or {}
        decided = len(now.get("decisions") or ()) > len(asked.get("decisions") or ())
        return verb in _DECISIONS and bool(asked) and (now.get("gate") != asked.get("gate") or decided)

    return handled


def _outcome(verb: str, rollout: Obj) -> str:
    r = release_of(rollout)
    if verb == "approve" and r.approval is not None and r.approval.raw.get("summary"):
        return str(r.approval.raw["summary"])
    return f"{r.look.title}: {r.message}" if r.message else r.look.title


def _nothing_to(verb: str, rollout: Obj, offered: Mapping[str, str]) -> str:
    r = release_of(rollout)
    can = ", ".join(f"coalmine {command}" for command in offered)
    why = {
        "approve": "nobody is asked to approve anything",
        "reject": "nobody is asked to approve anything",
        "retry": "no release was taken back",
        "resume": "spec.paused is true: take it off in git" if r.paused else "it is not paused",
        "skip": "no step waits that could be skipped",
    }.get(verb, "no release is under way")
    extra = (
        "; spec.paused: true in git keeps releases from starting" if verb == "pause" and r.phase == "Healthy" else ""
    )
    return f"there is nothing to {verb}: {r.name} is {r.look.title.lower()} and {why}{extra}" + (
        f". You can: {can}" if can else ""
    )
