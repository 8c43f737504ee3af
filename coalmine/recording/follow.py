"""Follows one release of a Rollout and records it: from the history before it to the end of its judging."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

import aiohttp

from analysis.model.counts import Arm
from coalmine.recording.release import release_of
from rollouts.engine.kube import KubeError
from rollouts.engine.measure import policy_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from analysis.run.record import Recorder
    from coalmine.recording.release import Release
    from rollouts.core.naming import Names
    from rollouts.core.observed import Subject
    from rollouts.engine.feeds import Feed
    from rollouts.engine.measure import Known

__all__ = ["Cluster", "FollowError", "Follower", "Wish"]

_LOOK_SECONDS: Final = 1.0
_PODS_SECONDS: Final = 5.0
_UNREACHABLE: Final = (KubeError, aiohttp.ClientError, OSError, TimeoutError)
_SAME: Final = 1e-3


class FollowError(Exception):
    """There is nothing to record; the message says why and what to do."""


class Cluster(Protocol):
    """What is read of a cluster."""

    async def rollout(self) -> Subject | None:
        """Return the Rollout; None when there is none."""
        ...

    async def pods(self, names: Names) -> Known:
        """Return what is known of the pods behind both Services."""
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be recorded.

    Attributes:
        history: Seconds before the release that are recorded too.
        last: The release that ended last, rather than the one that goes on or comes next.
        until: When to end even if the release goes on, Unix seconds; None to wait for its end.
        patience: Seconds to wait for the counts of a release's last moments.
        latency: Whether latencies are recorded.
    """

    history: float
    last: bool
    until: float | None
    patience: float
    latency: bool = True


class Follower:
    """Records one release.

    Attributes:
        release: The release as it was seen last; None before there is one.
    """

    def __init__(
        self,
        cluster: Cluster,
        open_feed: Callable[[Release, float, Mapping[str, Arm]], Feed],
        recorder: Recorder,
        wish: Wish,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        say: Callable[[str], None],
        update: Callable[[str], None],
    ) -> None:
        """Make one.

        Args:
            cluster: Where the Rollout is.
            open_feed: Opens the counts of a release from a time (Unix seconds) on; the arms of pods by name are filled in
                as they are seen.
            recorder: Takes the windows.
            wish: What is to be recorded.
            clock: Unix seconds.
            sleep: Waits for some seconds.
            say: Takes what has happened.
            update: Takes how it is going.
        """
        self._cluster, self._open_feed, self._recorder, self._wish = cluster, open_feed, recorder, wish
        self._clock, self._sleep, self._say, self._update = clock, sleep, say, update
        self.release: Release | None = None
        self._arms: dict[str, Arm] = {}
        self._pods_at = -_PODS_SECONDS
        self._trouble = ""

    async def run(self) -> None:
        """Record until the release has ended, or its time is over.

        Raises:
            FollowError: There is no such Rollout, or no release to record in that time.
            KubeError: The API server refuses to say what is asked first.
        """
        release = await self._found()
        if release is None:
            raise FollowError(
                "no release began in the time of --for: give it longer, or --last for the one that ended last"
            )
        self._begin(release)
        since = release.began - self._wish.history
        feed = self._open_feed(release, since, self._arms)
        give_up: float | None = None
        try:
            while True:
                if release.ended is None:
                    release = await self._look(release)
                self._tell(release)
                await self._look_at_pods(release)
                self._take(feed, release)
                if release.ended is not None:
                    give_up = give_up or self._clock() + self._wish.patience
                    if self._is_complete(feed, release, give_up):
                        return
                elif self._time_is_over():
                    return
                await self._sleep(_LOOK_SECONDS)
        finally:
            await feed.close()

    async def _found(self) -> Release | None:
        """Wait for the release; None when the time is over before there is one."""
        subject = await self._cluster.rollout()
        if subject is None:
            raise FollowError("there is no such Rollout: check the name and -n NAMESPACE (kubectl get rollouts -A)")
        found = before = release_of(subject)
        if self._wish.last:
            if found is None or found.ended is None:
                why = "has had no release yet" if found is None else "is in the middle of a release: leave --last out"
                raise FollowError(f"{subject.namespace}/{subject.name} {why}")
            return found
        if before is not None and before.ended is not None:
            self._say(f"the last release has ended ({before.outcome}); --last records it")
        waiting = False
        while found is None or (found.ended is not None and before is not None and found.began == before.began):
            if self._time_is_over():
                return None
            if not waiting:
                self._say("waiting for the next release")
                waiting = True
            self._update(f"no release yet{self._trouble}")
            await self._sleep(_LOOK_SECONDS)
            found = await self._seen() or found
        return found

    def _begin(self, release: Release) -> None:
        recorder = self._recorder
        recorder.began, recorder.title = release.began, recorder.title or release.title
        self.release = release
        ago = self._clock() - release.began
        self._say(f"{release.title} (began {ago:.0f} s ago)")

    async def _look(self, release: Release) -> Release:
        """Return what the Rollout says of the release now."""
        seen_until = max(self._recorder.until, release.began)
        try:
            found = await self._seen()
        except FollowError as error:
            return replace(release, ended=seen_until, outcome=str(error))
        if found is None:
            return release
        if found.began != release.began:
            return replace(release, ended=seen_until, outcome="the next release has begun")
        return found

    async def _seen(self) -> Release | None:
        """Return the release that the Rollout tells of; None where there is none, or nobody answers."""
        try:
            subject = await self._cluster.rollout()
        except _UNREACHABLE as error:
            self._trouble = _words(error)
            return None
        self._trouble = ""
        if subject is None:
            raise FollowError("the Rollout was deleted")
        return release_of(subject)

    def _tell(self, release: Release) -> None:
        recorder, self.release = self._recorder, release
        for number, start in enumerate(release.step_starts, start=1):
            if start not in recorder.step_starts:
                newest = number == len(release.step_starts) and release.ended is None
                share = f": {release.weight} %" if newest else ""
                self._say(f"step {number} began after {start - release.began:.0f} s{share}")
        if release.ended is not None and recorder.ended is None:
            self._say(f"it ended after {release.ended - release.began:.0f} s: {release.outcome}")
        recorder.step_starts, recorder.ended = release.step_starts, release.ended

    async def _look_at_pods(self, release: Release) -> None:
        now = self._clock()
        if now - self._pods_at < _PODS_SECONDS:
            return
        try:
            known = await self._cluster.pods(release.names)
        except _UNREACHABLE as error:
            self._trouble = self._trouble or _words(error)
            return
        self._pods_at = now
        self._arms.update(known.arms)
        self._recorder.pods_started.update(known.started)

    def _take(self, feed: Feed, release: Release) -> None:
        recorder = self._recorder
        if feed.bounds is not None:
            if recorder.bounds_ms is None:
                recorder.bounds_ms = feed.bounds if self._wish.latency else ()
            recorder.add(feed.take(), feed.problems)
            if release.analysis is not None:
                recorder.policy = policy_of(release.analysis, recorder.bounds_ms)
        trouble = f" ({feed.problem})" if feed.problem else self._trouble
        sums = recorder.sums()
        canary, baseline = sums[Arm.CANARY], sums[Arm.BASELINE]
        seconds = max(recorder.until - release.began, 0.0) if recorder.windows else 0.0
        self._update(
            f"{seconds:.0f} s, canary {canary.attempts:,} attempts ({canary.errors:,} failed), "
            f"baseline {baseline.attempts:,} ({baseline.errors:,}){trouble}"
        )

    def _is_complete(self, feed: Feed, release: Release, give_up: float) -> bool:
        if release.ended is None or self._recorder.until >= release.ended - _SAME:
            return True
        if self._clock() < give_up:
            return False
        why = feed.problem or "the source has none of it"
        self._say(f"the counts of the release's last moments are not in the recording: {why}")
        return True

    def _time_is_over(self) -> bool:
        return self._wish.until is not None and self._clock() >= self._wish.until


def _words(error: Exception) -> str:
    return f" (the API server: {str(error) or type(error).__name__})"
