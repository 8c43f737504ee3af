"""Reverts in git: which commit they are about, what they say, and what is remembered of one. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from crds.base import Resource
from rollouts.api.writeback import WriteBackMode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollouts.api.writeback import GitWriteBack

__all__ = [
    "Revert",
    "WriteBack",
    "WriteBackFacts",
    "WriteBackNotes",
    "brings",
    "commit_message",
    "link_in",
    "revert_of",
]

_LINK: Final = re.compile(r"^remote:\s+(https://\S+)", re.MULTILINE)
_SHORT: Final = 10


class WriteBackNotes(Resource):
    """What is remembered of it.

    Attributes:
        target: The revision that was written back.
        done: Whether nothing is left to be done; otherwise it is tried again.
        words: What came of it.
    """

    target: str = ""
    done: bool = False
    words: str = ""


@dataclass(frozen=True)
class WriteBackFacts:
    """What came of the last try.

    Attributes:
        target: The revision it was about; empty where nothing was tried.
        done: Whether the revert is in git.
        words: What was done, or why it could not be.
    """

    target: str = ""
    done: bool = False
    words: str = ""


@dataclass(frozen=True)
class WriteBack:
    """Revert in git what brought a revision, in the background. One that is there already is not made again.

    Attributes:
        settings: ``spec.gitWriteBack``.
        target: The revision.
        images: Its images.
        began: When its release began, Unix seconds: what was committed later did not bring it.
        commit: The commit that brought it, as the Deployment says; empty where it does not say.
        reason: Why it was taken back.
    """

    settings: GitWriteBack
    target: str
    images: tuple[str, ...]
    began: float
    commit: str
    reason: str

    @property
    def branch(self) -> str:
        """The branch that the revert goes to."""
        push = self.settings.mode is WriteBackMode.PUSH
        return self.settings.branch if push else f"coalmine/revert-{self.target}"


@dataclass(frozen=True)
class Revert:
    """A commit to be reverted.

    Attributes:
        commit: Its full name.
        subject: The first line of its message.
    """

    commit: str
    subject: str

    @property
    def words(self) -> str:
        """The commit as people read it."""
        return f'{self.commit[:_SHORT]} ("{self.subject}")'


def brings(diff: str, images: Iterable[str]) -> bool:
    """Return whether a commit's diff adds one of the images: in one line, or its tag or digest where tools keep it apart."""
    added = [line[1:] for line in diff.splitlines() if line.startswith("+") and not line.startswith("+++")]
    removed = {line[1:] for line in diff.splitlines() if line.startswith("-") and not line.startswith("---")}
    lines = [line for line in added if line not in removed]
    for image in images:
        name, separator, digest = image.partition("@")
        tag = digest if separator else name.rpartition("/")[2].partition(":")[2]
        value = re.compile(rf"(?:^|[\s\"':=@]){re.escape(tag)}(?:[\s\"',}}\]#]|$)") if tag else None
        if any(image in line or (value is not None and value.search(line)) for line in lines):
            return True
    return False


def revert_of(candidates: Iterable[tuple[Revert, str]], order: WriteBack) -> Revert | None:
    """Return the commit that brought the release.

    Args:
        candidates: Commits that touched ``path`` before the release began, newest first, with their diffs.
        order: What is wanted.

    Returns:
        The newest that adds one of its images. None does, for instance where only an environment variable changed: the
        newest, if ``path`` keeps other workloads' commits away; else None.
    """
    newest: Revert | None = None
    for revert, diff in candidates:
        newest = newest or revert
        if brings(diff, order.images):
            return revert
    return newest if order.settings.path is not None else None


def commit_message(revert: Revert, order: WriteBack, rollout: str) -> str:
    """Return the revert's message, as ``git revert`` writes it, with the reason and trailers that programs read."""
    images = ", ".join(order.images) or "no images"
    return (
        f'Revert "{revert.subject}"\n\nThis reverts commit {revert.commit}.\n\n'
        f"Coalmine took revision {order.target} ({images}) of Rollout {rollout} back: {order.reason}\n\n"
        f"Coalmine-Rollout: {rollout}\nCoalmine-Revision: {order.target}\n"
    )


def link_in(said: str) -> str:
    """Return the address at which the git server offers a pull request for a pushed branch; empty where it offers none."""
    found = _LINK.search(said)
    return found[1] if found else ""
