"""The local git repository, and the applier that stands in for Argo CD or Flux."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Final

from coalmine.demo.kubectl import Finished, Kubectl, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["Applier", "GitError", "Repository"]

POLL_SECONDS: Final = 1.0
DRIFT_SECONDS: Final = 10.0
"""How often an unchanged commit is applied again, as GitOps tools do to correct drift."""
FIELD_MANAGER: Final = "gitops"
_BRANCH: Final = "main"


class GitError(Exception):
    """A git command failed; the text is the command and what it said."""


async def _git(folder: Path, *args: str) -> str:
    # Nobody's own configuration: no signing, no hooks, no missing name.
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        env |= {f"GIT_{role}_NAME": "Shop developer", f"GIT_{role}_EMAIL": "developer@shop.example"}
    done = await run("git", "-C", str(folder), *args, env=env)
    if done.code:
        raise GitError(f"git {' '.join(args)}: {done.err.strip() or done.out.strip()}")
    return done.out.strip()


class Repository:
    """What the shop's developers commit to."""

    def __init__(self, folder: Path) -> None:
        """Describe the repository; `create` makes it."""
        self.folder = folder

    async def create(self) -> None:
        """Make an empty repository."""
        self.folder.mkdir(parents=True)
        await _git(self.folder, "init", "--quiet", "--initial-branch", _BRANCH)

    async def commit(self, files: Mapping[str, str], subject: str) -> str:
        """Write the files (by path in the repository), commit them and return the commit's hash."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        await _git(self.folder, "add", "--", *files)
        await _git(self.folder, "commit", "--quiet", "--message", subject)
        return await self.head()

    def read(self, name: str) -> str:
        """Return a file as it stands."""
        return (self.folder / name).read_text()

    async def head(self) -> str:
        """Return the newest commit's hash."""
        return await _git(self.folder, "rev-parse", "HEAD")


class Applier:
    """Applies the newest commit server-side, and again every few seconds, never with force.

    It stays the owner of what is in git: whoever else writes one of these fields, Coalmine included, makes the next apply
    report a conflict.
    """

    def __init__(
        self,
        repository: Repository,
        clone: Path,
        kubectl: Kubectl,
        *,
        trouble: Callable[[str], None],
        poll: float = POLL_SECONDS,
        drift: float = DRIFT_SECONDS,
    ) -> None:
        """Describe the applier; `run` starts it.

        Args:
            repository: What is watched.
            clone: Where its own copy goes.
            kubectl: Applies to the cluster.
            trouble: Called with each failure's text.
            poll: Seconds between two looks at the repository.
            drift: Seconds after which an unchanged commit is applied again.
        """
        self._repository = repository
        self._clone = clone
        self._kubectl = kubectl
        self._trouble = trouble
        self._poll = poll
        self._drift = drift
        self._changed = asyncio.Event()
        self.applied = ""
        """Hash of the commit that was applied last."""

    async def run(self) -> None:
        """Poll and apply until cancelled."""
        if not self._clone.exists():
            await _git(self._repository.folder, "clone", "--quiet", str(self._repository.folder), str(self._clone))
        last = 0.0
        while True:
            head = await self._repository.head()
            if head != self.applied or time.monotonic() - last >= self._drift:
                await self._apply(head)
                last = time.monotonic()
            await asyncio.sleep(self._poll)

    async def _apply(self, head: str) -> None:
        await _git(self._clone, "fetch", "--quiet", "origin")
        await _git(self._clone, "reset", "--quiet", "--hard", head)
        done = await self._kubectl(
            "apply", "--server-side", f"--field-manager={FIELD_MANAGER}", "--filename", str(self._clone)
        )
        if done.code:
            self._trouble(f"kubectl apply of {head[:7]}: {_first_line(done)}")
            return
        self.applied = head
        self._changed.set()

    async def await_applied(self, head: str) -> None:
        """Wait until this commit is applied."""
        while self.applied != head:
            self._changed.clear()
            await self._changed.wait()


def _first_line(done: Finished) -> str:
    text = done.err.strip() or done.out.strip()
    return text.splitlines()[0] if text else f"exit code {done.code}"
