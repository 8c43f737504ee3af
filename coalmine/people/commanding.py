"""Giving a Rollout a command, and waiting a moment for the controller to say whether it counted."""

from __future__ import annotations

import datetime as dt
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from coalmine.people.api import ApiError, UnreachableError, path_of
from coalmine.people.errors import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coalmine.people.api import Api
    from coalmine.people.target import Target

__all__ = ["WAIT_SECONDS", "Answer", "annotate", "await_answer", "fresh_value"]

Obj = dict[str, Any]
WAIT_SECONDS: Final = 10.0
"""The controller looks within a second; a new leader needs some more."""


@dataclass(frozen=True)
class Answer:
    """What the controller made of a command.

    Attributes:
        rollout: As it is now.
        seen: Whether the controller has acted on it, or said that it does nothing.
        ignored: Why it did nothing; empty where it did something.
    """

    rollout: Obj
    seen: bool
    ignored: str = ""


def fresh_value() -> str:
    """Return a value that no command had before: the time."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def annotate(api: Api, target: Target, rollout: Obj, annotations: dict[str, str | None]) -> Obj:
    """Set annotations of a Rollout as the user, and return it."""
    with told(target, "patch", "rollouts.coalmine.dev"):
        path = path_of("rollouts", target.place, rollout["metadata"]["name"])
        return api.patch(path, {"metadata": {"annotations": annotations}})


def await_answer(
    api: Api,
    target: Target,
    before: Obj,
    counted: Callable[[Obj], bool],
    annotation: str,
    *,
    seconds: float = WAIT_SECONDS,
) -> Answer:
    """Wait until the controller has answered, for a while.

    Args:
        api: The API server.
        target: The namespace.
        before: The Rollout as the command was given.
        counted: Whether the controller has seen it.
        annotation: The command, as the controller's words name it.
        seconds: How long.
    """
    known = _last_number(before)
    latest = before
    for rollout in _changes(api, target, before, seconds):
        latest = rollout
        ignored = next((a["note"] for a in _announced(rollout, known) if _ignores(a, annotation)), "")
        if ignored or counted(rollout):
            return Answer(rollout, seen=True, ignored=ignored)
    return Answer(latest, seen=False)


def _changes(api: Api, target: Target, rollout: Obj, seconds: float) -> Iterator[Obj]:
    """Yield the Rollout whenever it changes, for so long."""
    changes: queue.SimpleQueue[Obj] = queue.SimpleQueue()
    path, name = path_of("rollouts", target.place), rollout["metadata"]["name"]
    version = rollout["metadata"]["resourceVersion"]

    def watch() -> None:
        try:
            for kind, item in api.watch(path, version, fieldSelector=f"metadata.name={name}"):
                if kind in {"ADDED", "MODIFIED"}:
                    changes.put(item)
        except (ApiError, UnreachableError):  # whoever may patch need not be allowed to watch: then nothing is heard
            return

    threading.Thread(target=watch, daemon=True, name="answer").start()
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            yield changes.get(timeout=left)
        except queue.Empty:
            return


def _announced(rollout: Obj, after: int) -> list[Obj]:
    found = ((rollout.get("status") or {}).get("internal") or {}).get("announcements") or []
    return [a for a in found if a.get("number", 0) > after]


def _last_number(rollout: Obj) -> int:
    return max((a.get("number", 0) for a in _announced(rollout, 0)), default=0)


def _ignores(announcement: Obj, annotation: str) -> bool:
    """Return whether the controller says that a command, or a decision, does nothing."""
    if announcement.get("reason") != "CommandIgnored":
        return False
    note = str(announcement.get("note", ""))
    return annotation in note or "This does nothing" in note
