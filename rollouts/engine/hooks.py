"""Hooks as they are done: each in a task of its own, so that no look at a Rollout ever waits for one.

What is known here may be lost at any time: the run is noted in the Rollout's status, and another process begins it
anew with the same key (a request) or finds it (a Job).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import aiohttp

from analysis.providers.base import SourceError
from rollouts.core.canary import owner_reference
from rollouts.core.hook_runs import HookFacts, Progress
from rollouts.engine.hook_jobs import hook_job, outcome
from rollouts.engine.hook_requests import pause_after, prepare, send
from rollouts.engine.jobs import OwnedJobs
from rollouts.engine.secrets import secret_reader

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rollouts.api.hooks import HttpHook, JobHook
    from rollouts.core.hook_runs import EndHook, HookOrder
    from rollouts.core.observed import Subject
    from rollouts.engine.cache import Key
    from rollouts.engine.kube import Kube

__all__ = ["HookRunner"]

_LOG = logging.getLogger(__name__)
PROBLEM_SECONDS: Final = 5.0
"""How long to wait when a run cannot be tried at all."""
_MOST_RETRY_AFTER: Final = 300.0
_MOST_STOPPED: Final = 64


@dataclass
class _Task:
    """A run under way."""

    progress: Progress
    task: asyncio.Task[None] | None = None


class HookRunner:
    """Does the runs of all Rollouts."""

    def __init__(
        self,
        kube: Kube,
        *,
        clock: Callable[[], float],
        trigger: Callable[[Key], None],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Make one.

        Args:
            kube: The API server.
            clock: Unix seconds.
            trigger: Asks for a look at a Rollout.
            pause: Waits for a time in seconds.
        """
        self._kube, self._clock, self._trigger, self._pause = kube, clock, trigger, pause
        self._session: aiohttp.ClientSession | None = None
        self._runs: dict[Key, dict[str, _Task]] = {}
        self._stopped: dict[Key, list[str]] = {}

    def look(self, key: Key) -> HookFacts:
        """Return what is known of a Rollout's runs."""
        runs = self._runs.get(key, {})
        return HookFacts(
            progress={name: run.progress for name, run in runs.items()}, stopped=frozenset(self._stopped.get(key, ()))
        )

    async def begin(self, subject: Subject, order: HookOrder) -> None:
        """Do a run in the background, unless it is under way with the same settings."""
        key = (subject.namespace, subject.name)
        runs = self._runs.setdefault(key, {})
        known = runs.get(order.run.key)
        if known is not None and known.progress.hook == order.hook:
            return
        if known is not None:
            await _ended(known)
        run = runs[order.run.key] = _Task(Progress(order.hook))
        run.task = asyncio.create_task(self._run(key, subject, order, run), name=f"hook {order.run.name}")

    async def end(self, subject: Subject, action: EndHook) -> None:
        """Forget a run and delete its Job.

        Raises:
            KubeError: The Job cannot be deleted.
        """
        key = (subject.namespace, subject.name)
        if run := self._runs.get(key, {}).pop(action.key, None):
            await _ended(run)
        if action.job:
            await self._jobs(subject).delete(action.job)
            self._stopped[key] = [*self._stopped.get(key, []), action.key][-_MOST_STOPPED:]
            self._trigger(key)

    async def forget(self, key: Key) -> None:
        """Forget a Rollout that is gone; its Jobs go with it."""
        self._stopped.pop(key, None)
        for run in self._runs.pop(key, {}).values():
            await _ended(run)

    async def close(self) -> None:
        """End all runs, and leave the Jobs alone: whoever comes next goes on with them."""
        for key in list(self._runs):
            await self.forget(key)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _connection(self) -> aiohttp.ClientSession:
        """Return the connection for requests; no hook gets another's cookies, nor waits for others to be answered."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=connector)
        return self._session

    def _jobs(self, subject: Subject) -> OwnedJobs:
        return OwnedJobs(self._kube, subject.namespace, owner_reference(subject), self._pause)

    async def _run(self, key: Key, subject: Subject, order: HookOrder, run: _Task) -> None:
        def tell(progress: Progress) -> None:
            if progress != run.progress:
                run.progress = progress
                self._trigger(key)

        while run.progress.passed is None:
            tries = run.progress.tries
            tell(replace(run.progress, tries=tries + 1))
            try:
                if order.hook.http is not None:
                    await self._ask(subject, order, order.hook.http, run, tell)
                elif order.hook.job is not None:
                    await self._work(subject, order, order.hook.job, run, tell)
            except SourceError as error:
                tell(self._stuck(run.progress, tries, str(error)))
                await self._pause(PROBLEM_SECONDS)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told and tried again
                _LOG.warning("%s/%s: hook %s", *key, order.run.name, exc_info=True)
                tell(self._stuck(run.progress, tries, f"{type(error).__name__}: {error}"))
                await self._pause(PROBLEM_SECONDS)

    def _stuck(self, progress: Progress, tries: int, problem: str) -> Progress:
        since = progress.problem_at if progress.problem else self._clock()
        return replace(progress, tries=tries, problem=problem, problem_at=since)

    async def _work(
        self, subject: Subject, order: HookOrder, job: JobHook, run: _Task, tell: Callable[[Progress], None]
    ) -> None:
        jobs = self._jobs(subject)
        found = await jobs.begun(hook_job(order, job))
        tell(replace(run.progress, problem=""))
        passed, words = outcome(await jobs.ended(found))
        tell(replace(run.progress, passed=passed, words=words))

    async def _ask(
        self, subject: Subject, order: HookOrder, http: HttpHook, run: _Task, tell: Callable[[Progress], None]
    ) -> None:
        """Ask once, and tell the result or wait until it may be asked again."""
        read = secret_reader(self._kube, subject.namespace)
        request = await prepare(order, http, read, self._clock())
        tell(replace(run.progress, problem=""))
        answer = await send(self._connection(), request, self._clock())
        progress = replace(run.progress, words=answer.words)
        if answer.passed:
            tell(replace(progress, passed=True))
        elif http.poll_interval is not None:
            over = http.poll_timeout is not None and self._clock() - order.run.since >= http.poll_timeout
            tell(replace(progress, passed=False if over else None))
            if not over:
                await self._pause(http.poll_interval)
        elif answer.definite or progress.tries > http.retries:
            tell(replace(progress, passed=False))
        else:
            tell(progress)
            await self._pause(max(pause_after(progress.tries), min(answer.pause or 0.0, _MOST_RETRY_AFTER)))


async def _ended(run: _Task) -> None:
    if run.task is not None:
        run.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await run.task
