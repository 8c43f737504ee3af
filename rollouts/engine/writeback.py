"""Reverts of releases that were taken back, made in tasks of their own, so that no look at a Rollout ever waits for git.

What is known here may be lost at any time: another process asks git what is there, and does only what is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from analysis.providers.base import SourceError
from rollouts.core.reverts import Revert, WriteBackFacts, brings, commit_message, link_in, revert_of
from rollouts.engine.git import Git, GitError
from rollouts.engine.secrets import secret_data

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rollouts.core.observed import Subject
    from rollouts.core.reverts import WriteBack
    from rollouts.engine.cache import Key
    from rollouts.engine.kube import Kube

__all__ = ["WriteBacks", "write_back"]

_LOG = logging.getLogger(__name__)
PAUSES: Final = (5.0, 15.0, 60.0, 300.0)
"""Seconds between two tries; the last one stays."""
_MOST_COMMITS: Final = 20
_SKEW_SECONDS: Final = 30.0
"""How far the clock of whoever commits may be ahead of ours."""
_SUBJECT: Final = 120


@dataclass
class _Work:
    """A revert under way."""

    order: WriteBack
    task: asyncio.Task[None] | None = None
    tries: int = 0
    facts: WriteBackFacts = field(default_factory=WriteBackFacts)


class WriteBacks:
    """Does the reverts of all Rollouts."""

    def __init__(
        self, kube: Kube, *, trigger: Callable[[Key], None], pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Make one.

        Args:
            kube: The API server.
            trigger: Asks for a look at a Rollout.
            pause: Waits for a time in seconds.
        """
        self._kube, self._trigger, self._pause = kube, trigger, pause
        self._works: dict[Key, _Work] = {}

    def look(self, key: Key) -> WriteBackFacts:
        """Return what came of a Rollout's last try."""
        work = self._works.get(key)
        return work.facts if work else WriteBackFacts()

    async def begin(self, subject: Subject, order: WriteBack) -> None:
        """Make a revert in the background, unless that is under way, or waits before the next try."""
        key = (subject.namespace, subject.name)
        work = self._works.get(key)
        if work is None or work.order != order:
            await self.forget(key)
            work = self._works[key] = _Work(order)
        if work.task is None or (work.task.done() and not work.facts.done):
            work.task = asyncio.create_task(self._try(key, work), name=f"write back {subject.name}")

    async def forget(self, key: Key) -> None:
        """Forget a Rollout that is gone."""
        work = self._works.pop(key, None)
        if work is not None and work.task is not None:
            work.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work.task

    async def close(self) -> None:
        """End all of them; whoever comes next goes on."""
        for key in list(self._works):
            await self.forget(key)

    async def _try(self, key: Key, work: _Work) -> None:
        """Try once, tell what came of it, and wait until it may be tried again."""
        order = work.order
        try:
            words = await self._write(key, order)
        except (GitError, SourceError) as error:
            words = f"the revert of revision {order.target} could not be written to {order.settings.url}: {error}"
            work.facts = WriteBackFacts(order.target, done=False, words=words)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told and tried again
            _LOG.warning("%s/%s: write back", *key, exc_info=True)
            work.facts = WriteBackFacts(order.target, done=False, words=f"{type(error).__name__}: {error}")
        else:
            work.facts = WriteBackFacts(order.target, done=True, words=words)
        self._trigger(key)
        if not work.facts.done:
            await self._pause(PAUSES[min(work.tries, len(PAUSES) - 1)])
            work.tries += 1
            self._trigger(key)

    async def _write(self, key: Key, order: WriteBack) -> str:
        secret = await secret_data(self._kube, key[0], order.settings.secret_ref.name)
        with tempfile.TemporaryDirectory(prefix="coalmine-git-", ignore_cleanup_errors=True) as folder:
            git = Git(Path(folder), order.settings.url, secret, order.settings.author)
            return await write_back(git, order, "/".join(key))


async def write_back(git: Git, order: WriteBack, rollout: str) -> str:
    """Revert in git what brought a release, unless that was done already.

    Args:
        git: In an empty folder.
        order: What is wanted.
        rollout: ``namespace/name``, for the commit's message.

    Returns:
        What was done, or found to be done, in words.

    Raises:
        GitError: It cannot be done (now).
    """
    settings = order.settings
    if order.branch != settings.branch and await git.run(
        "ls-remote", "--heads", settings.url, f"refs/heads/{order.branch}"
    ):
        return f"branch {order.branch} of {settings.url} is there already: open a pull request for it"
    # Without the contents of all files ever: those that are looked at come when they are asked for.
    await git.run("clone", "--quiet", "--no-tags", "--single-branch", "--filter=blob:none", "--branch", settings.branch, "--", settings.url, ".")  # fmt: skip
    revert = await _find(git, order)
    if done := await git.run(
        "log", "-1", "--format=%H", "--fixed-strings", f"--grep=This reverts commit {revert.commit}"
    ):
        return f"commit {revert.words} is reverted on {settings.branch} already, by {done[:10]}"
    parents = (await git.run("rev-list", "--parents", "-1", revert.commit)).split()[1:]
    if not parents:
        raise GitError(f"commit {revert.words} is the first one of {settings.branch}: there is nothing to go back to")
    await git.run("checkout", "--quiet", "-B", order.branch)
    await _undo(git, revert, ("-m", "1") if len(parents) > 1 else ())
    if not await git.run("status", "--porcelain", "--untracked-files=no"):
        return f"what commit {revert.words} did is undone on {settings.branch} already"
    await git.run("commit", "--quiet", "--no-verify", "-m", commit_message(revert, order, rollout))
    made = (await git.run("rev-parse", "HEAD")).strip()[:10]
    _, said = await git.both("push", "origin", f"HEAD:refs/heads/{order.branch}")
    if order.branch == settings.branch:
        return f"pushed {made} to {order.branch} of {settings.url}: it reverts {revert.words}"
    where = link_in(said) or "open a pull request for it"
    return f"pushed branch {order.branch} to {settings.url}: {made} reverts {revert.words}; {where}"


async def _undo(git: Git, revert: Revert, more: tuple[str, ...]) -> None:
    try:
        await git.run("revert", "--no-commit", *more, revert.commit)
    except GitError as error:
        raise GitError(f"commit {revert.words} cannot be reverted by itself ({error}): revert it by hand") from None


async def _find(git: Git, order: WriteBack) -> Revert:
    """Return the commit that brought the release: the one that the Deployment names, or the newest that fits."""
    if order.commit:
        with contextlib.suppress(GitError):
            return _read(await git.run("log", "-1", "--format=%H %s", order.commit, "--"))
    before = dt.datetime.fromtimestamp(order.began + _SKEW_SECONDS, dt.UTC).isoformat(timespec="seconds")
    path = order.settings.path or "."
    which = ("--first-parent", f"--before={before}", f"--max-count={_MOST_COMMITS}")
    lines = (await git.run("log", *which, "--format=%H %s", "--", path)).splitlines()
    candidates = []
    for line in lines:
        one = _read(line)
        diff = await git.run("show", "--first-parent", "--format=", "--unified=0", one.commit, "--", path)
        candidates.append((one, diff))
        if brings(diff, order.images):
            break
    found = revert_of(candidates, order)
    if found is None:
        images = ", ".join(order.images)
        raise GitError(
            f"none of the last {_MOST_COMMITS} commits on {order.settings.branch} brings {images}: set spec.gitWriteBack.path to"
            " the workload's folder, or annotate the Deployment with its commit (coalmine.dev/git-commit)"
        )
    return found


def _read(line: str) -> Revert:
    commit, _, subject = line.strip().partition(" ")
    return Revert(commit, subject[:_SUBJECT])
