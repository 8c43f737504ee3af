"""From everything seen to the scene on the screen. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from coalmine.demo.records import failed_by_us, traffic_by_version
from coalmine.demo.releases import FIRST_VERSION, Release, image_version
from coalmine.demo.scenes import Commit, Mark, ReleaseLine, Scene, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coalmine.demo.report import ReleaseReport
    from coalmine.demo.watching import Observatory

__all__ = ["Progress", "stage"]

RECENT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the run is.

    Attributes:
        releases: All of them.
        reports: Of those that ended.
        running: The one under way.
        commits: Hash and subject, newest first.
        applied: Hash of the commit in the cluster.
        activity: What the demo is doing.
        kubectl: The last line of ``kubectl rollout status``.
    """

    releases: Sequence[Release]
    reports: tuple[ReleaseReport, ...]
    running: Release | None
    commits: tuple[tuple[str, str], ...]
    applied: str
    activity: str
    kubectl: str


def stage(seen: Observatory, progress: Progress, *, now: float, began: float) -> Scene:
    """Put the scene together.

    Args:
        seen: What is known of the cluster.
        progress: How far the run is.
        now: Unix seconds.
        began: When the first release was committed, Unix seconds; 0 before that.
    """
    rollout, split = seen.journal.rollout, seen.journal.split_status
    until = min(now, seen.recorded_until)
    traffic = traffic_by_version(seen.requests_since(until - RECENT_SECONDS), until - RECENT_SECONDS, until)
    canary = image_version(rollout.canary.images) if rollout.canary else ""
    asked = sum(t.requests for t in traffic.values())
    return Scene(
        elapsed=now - began if began else 0.0,
        activity=progress.activity,
        releases=_release_lines(progress),
        spec=seen.spec,
        rollout=rollout,
        weight_set=seen.journal.weight_set,
        weight_acknowledged=seen.journal.weight_acknowledged,
        weight_actual=_actual(seen, canary, until),
        proxies=f"{split.proxies.acknowledged}/{split.proxies.affected}" if split.proxies.affected else "",
        stable=image_version(rollout.stable.images) if rollout.stable else FIRST_VERSION,
        canary=canary,
        traffic=traffic if asked else {},
        failed_by_us=len(failed_by_us(r for r in seen.requests if r.ended >= began)) if began else 0,
        requests=sum(r.ended >= began for r in seen.requests) if began else 0,
        kubectl=progress.kubectl,
        commits=tuple(_commits(progress)),
        events=tuple(seen.events),
        shortened=shortened(seen.spec) if seen.spec else (),
    )


def _actual(seen: Observatory, canary: str, until: float) -> float | None:
    """Return the canary's share since its present weight is in force, over at most the recent seconds, in percent."""
    since = max(until - RECENT_SECONDS, seen.journal.weight_since)
    traffic = traffic_by_version(seen.requests_since(since), since, until)
    total = sum(t.requests for t in traffic.values())
    if not total:
        return None
    return 100 * traffic[canary].requests / total if canary in traffic else 0.0


def _release_lines(progress: Progress) -> tuple[ReleaseLine, ...]:
    reports = {r.version: r for r in progress.reports}
    lines = []
    for release in progress.releases:
        if report := reports.get(release.version):
            lines.append(ReleaseLine(release, Mark.DONE, report.outcome, report.decision_seconds))
        else:
            lines.append(ReleaseLine(release, Mark.RUNNING if release is progress.running else Mark.WAITING))
    return tuple(lines)


def _commits(progress: Progress) -> list[Commit]:
    hashes = [head for head, _ in progress.commits]
    at = hashes.index(progress.applied) if progress.applied in hashes else len(hashes)
    return [Commit(head[:7], subject, applied=index >= at) for index, (head, subject) in enumerate(progress.commits)]
