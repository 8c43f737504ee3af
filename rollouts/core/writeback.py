"""Writing a revert into git after a rollback: when it is wanted, and what is told of it. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from rollouts.api.writeback import COMMIT_ANNOTATION
from rollouts.core.effects import announce
from rollouts.core.machine import State
from rollouts.core.reverts import WriteBack, WriteBackNotes

if TYPE_CHECKING:
    from rollouts.core.context import Context

__all__ = ["note_of", "write_back_actions"]

_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")
_TAKEN_BACK: Final = frozenset({"RolledBack", "Aborted"})


def note_of(c: Context) -> Context:
    """Return the context with what came of the last try, told once."""
    facts, known = c.o.write_back, c.notes.write_back
    new = WriteBackNotes(target=facts.target, done=facts.done, words=facts.words)
    if (
        not facts.target
        or facts.target != c.notes.target
        or new == known
        or (known.done and known.target == new.target)
    ):
        return c
    kind: Literal["Normal", "Warning"] = "Normal" if facts.done else "Warning"
    return announce(c.noted(write_back=new), kind, "WrittenBack" if facts.done else "WriteBackFailed", facts.words)


def write_back_actions(c: Context) -> tuple[WriteBack, ...]:
    """Return the revert that is wanted: after a rollback, while the Deployment still asks for what was taken back."""
    settings, notes = c.spec.git_write_back, c.notes
    wanted = (
        settings is not None
        and c.problem is None
        and notes.state is State.ROLLED_BACK
        and notes.outcome in _TAKEN_BACK
        and c.revision == notes.target
        and not (notes.write_back.done and notes.write_back.target == notes.target)
    )
    if not wanted or settings is None:
        return ()
    said = c.deployment.raw["metadata"].get("annotations") or {}
    commit = str(said.get(COMMIT_ANNOTATION, "")).lower()
    found = _COMMIT.search(commit.rpartition(":")[2])
    return (
        WriteBack(
            settings=settings,
            target=notes.target,
            images=notes.target_images,
            began=notes.began,
            commit=found[0] if found else "",
            reason=notes.reason,
        ),
    )
