"""One run of the demo on a cluster that is up: commits, waits and measures."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from coalmine.demo.gitops import Applier, Repository
from coalmine.demo.journal import Ended, Moment, moment_words
from coalmine.demo.outcomes import measure, sum_up
from coalmine.demo.releases import Outcome, Release, write_release
from coalmine.demo.shop import PAYMENT_MANIFEST, manifests
from coalmine.demo.staging import Progress, stage
from coalmine.demo.watching import Observatory
from rollouts.api.rollout import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from coalmine.demo.kubectl import Kubectl
    from coalmine.demo.report import DemoReport, ReleaseReport
    from coalmine.demo.scenes import Scene
    from coalmine.demo.showing import Display

__all__ = ["DemoError", "Run"]

ROLLOUT: Final = "payment"
START_SECONDS: Final = 120.0
RELEASE_SECONDS: Final = 180.0
RECORD_SECONDS: Final = 15.0
STEADY_LINES: Final = 3
_AT_REST: Final = frozenset({Phase.HEALTHY, Phase.ROLLED_BACK})


class DemoError(Exception):
    """The demo cannot go on; the text says why and where to look."""


@dataclass(slots=True)
class Run:
    """A run.

    Attributes:
        kubectl: For the shop's namespace.
        folder: Where the repository and its clone go.
        shop: Folder of the shop's programs.
        releases: What is committed, in order.
        rate: Requests a second.
        display: Where it is shown.
        pause: Seconds between the end of a release and the next commit; none after a slow release, whose rollback
            must still be fresh.
    """

    kubectl: Kubectl
    folder: Path
    shop: Path
    releases: Sequence[Release]
    rate: float
    display: Display
    pause: float = 3.0
    trouble: list[str] = field(default_factory=list)
    _reports: list[ReleaseReport] = field(default_factory=list)
    _commits: list[tuple[str, str]] = field(default_factory=list)
    _running: Release | None = None
    _began: float = 0.0
    _activity: str = ""
    _kubectl_line: str = ""
    _repository: Repository = field(init=False)
    _applier: Applier = field(init=False)
    _seen: Observatory = field(init=False)

    async def __call__(self) -> DemoReport:
        """Run every release and return what came of it.

        Raises:
            DemoError: The shop did not come up.
        """
        self._repository = Repository(self.folder / "shop.git")
        self._applier = Applier(self._repository, self.folder / "applied", self.kubectl, trouble=self._take_trouble)
        self._seen = Observatory(self.kubectl, ROLLOUT, self._take_moment, self._take_trouble)
        async with asyncio.TaskGroup() as tasks:
            others = [tasks.create_task(self.display.run(self.scene))]
            await self._open(others, tasks)
            self._began = time.time()
            for release in self.releases:
                report = await self._release(release)
                self._reports.append(report)
                self.display.say(
                    f"{release.version} {release.name}: {report.outcome}, expected {report.expected}: {report.reason}"
                )
                if report.outcome is Outcome.UNDECIDED:
                    break
                if not release.all_bad and release is not self.releases[-1]:
                    await asyncio.sleep(self.pause)
            ended = time.time()
            await self._records_until(ended)
            for task in others:
                task.cancel()
        requests = [r for r in self._seen.requests if self._began <= r.ended <= ended]
        return sum_up(
            self._reports, requests=requests, trouble=self.trouble, rate=self.rate, seconds=ended - self._began
        )

    async def _open(self, others: list[asyncio.Task[None]], tasks: asyncio.TaskGroup) -> None:
        """Commit the shop's first version and wait until it is ready and the load is steady."""
        self._doing("opening the shop")
        await self._repository.create()
        await self._commit(manifests(self.shop, self.rate), "Open the shop")
        others += [tasks.create_task(self._applier.run()), tasks.create_task(self._seen.run())]
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._applier.await_applied(await self._repository.head())
                for deployment in ("frontend", "payment", "load"):
                    await self._rollout_status(deployment)
                self._doing("waiting for a steady load")
                await self._seen.until(lambda: self._seen.journal.rollout.phase is Phase.HEALTHY and self._steady())
        except TimeoutError as error:
            raise DemoError(f"{self._activity}: not done within {START_SECONDS:.0f} s; {self._last_words()}") from error

    def _steady(self) -> bool:
        lines = self._seen.recent[-STEADY_LINES:]
        enough = self.rate * 0.9
        return len(lines) == STEADY_LINES and all(
            len(line.requests) >= enough * (line.end - line.start) and not any(r.failed for r in line.requests)
            for line in lines
        )

    async def _release(self, release: Release) -> ReleaseReport:
        self._running = release
        self._doing(f"{release.version} {release.name}: {release.truth}")
        committed = time.time()
        head = await self._commit(
            {PAYMENT_MANIFEST: write_release(self._repository.read(PAYMENT_MANIFEST), release)}, release.title
        )
        exit_code: int | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._applier.await_applied(head)
                exit_code = await self._rollout_status(ROLLOUT)
                await self._seen.until(lambda: self._ended(release, committed))
        ended = time.time()
        await self._records_until(ended)
        self._running = None
        seen = self._seen
        return measure(
            release,
            committed=committed,
            ended=ended,
            moments=seen.journal.moments,
            requests=seen.requests,
            kubectl_exit_code=exit_code,
        )

    def _ended(self, release: Release, committed: float) -> bool:
        journal = self._seen.journal
        entries = [
            m for m in journal.moments if isinstance(m, Ended) and m.time >= committed and m.version == release.version
        ]
        return bool(entries) and journal.rollout.phase in _AT_REST and journal.weight_acknowledged == 0

    async def _records_until(self, moment: float) -> None:
        """Wait for the load's records up to a moment, Unix seconds."""
        try:
            async with asyncio.timeout(RECORD_SECONDS):
                await self._seen.until(lambda: self._seen.recorded_until >= moment)
        except TimeoutError:
            self._take_trouble("the load's records stopped coming")

    async def _commit(self, files: dict[str, str], subject: str) -> str:
        head = await self._repository.commit(files, subject)
        self._commits.insert(0, (head, subject))
        self.display.say(f"git commit {head[:7]} {subject}")
        return head

    async def _rollout_status(self, deployment: str) -> int | None:
        """Run ``kubectl rollout status`` to its end and return its exit code."""
        code: int | None = None
        lines = self.kubectl.lines("rollout", "status", f"deployment/{deployment}")
        async with contextlib.aclosing(lines) as stream:
            async for line in stream:
                self._kubectl_line = line
                if line.startswith("exit code "):
                    code = int(line.removeprefix("exit code "))
                self.display.say(f"kubectl rollout status deployment/{deployment}: {line}")
        return code

    def _last_words(self) -> str:
        rollout = self._seen.journal.rollout
        lines = self._seen.recent[-1:]
        load = f"load: {len(lines[0].requests)} answers in the last second" if lines else "no records of the load yet"
        return f"rollout/payment is {rollout.phase}: {rollout.message or 'no message'}; {load}"

    def scene(self) -> Scene:
        """Return what the screen shows now."""
        progress = Progress(
            self.releases,
            tuple(self._reports),
            self._running,
            tuple(self._commits),
            self._applier.applied,
            self._activity,
            self._kubectl_line,
        )
        return stage(self._seen, progress, now=time.time(), began=self._began)

    def _doing(self, activity: str) -> None:
        self._activity = activity
        self.display.say(activity)

    def _take_moment(self, moment: Moment) -> None:
        self.display.say(moment_words(moment))

    def _take_trouble(self, text: str) -> None:
        if text not in self.trouble:
            self.trouble.append(text)
            self.display.say(f"TROUBLE: {text}")
