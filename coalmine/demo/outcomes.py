"""From moments and records to a release's numbers. No I/O."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

from coalmine.demo.journal import DECIDED, Acknowledged, Ended, Moment, PhaseChanged, WeightSet
from coalmine.demo.records import Request, failed_by_us, traffic_by_version
from coalmine.demo.releases import Outcome, Release
from coalmine.demo.report import DemoReport, ReleaseReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["measure", "sum_up"]

_FAILURES_SHOWN = 20


def measure(
    release: Release,
    *,
    committed: float,
    ended: float,
    moments: Sequence[Moment],
    requests: Sequence[Request],
    kubectl_exit_code: int | None,
) -> ReleaseReport:
    """Work out one release's numbers.

    Args:
        release: What was committed.
        committed: When it was committed, Unix seconds.
        ended: When the demo was done with it, Unix seconds.
        moments: All moments of the run; those outside of the release are ignored.
        requests: All requests of the run; likewise.
        kubectl_exit_code: Of ``kubectl rollout status``; None when it had to be ended.
    """
    mine = [m for m in moments if committed <= m.time <= ended]
    asked = [r for r in requests if committed <= r.ended <= ended]
    outcome, reason = _outcome(release, mine)
    return ReleaseReport(
        name=release.name,
        version=release.version,
        expected=release.expected,
        outcome=outcome,
        reason=reason,
        decision_seconds=_decision_seconds(committed, mine),
        rollback_seconds=_rollback_seconds(release, mine, asked) if outcome is Outcome.ROLLED_BACK else None,
        weights=_weights(mine),
        actual_share=_actual_share(release, mine, asked, ended),
        requests=dict(sorted(Counter(r.version for r in asked).items())),
        failed={v: sum(r.failed for r in asked if r.version == v) for v in sorted({r.version for r in asked})},
        kubectl_exit_code=kubectl_exit_code,
        failed_by_us=len(failed_by_us(asked)),
    )


def sum_up(
    reports: Iterable[ReleaseReport],
    *,
    requests: Sequence[Request],
    trouble: Sequence[str],
    rate: float,
    seconds: float,
) -> DemoReport:
    """Put the releases together."""
    ours = failed_by_us(requests)
    return DemoReport(
        releases=tuple(reports),
        failed_by_us=len(ours),
        failures=tuple(
            f"{r.ended:.3f} status {r.status} version {r.version}: {r.note}" for r in ours[:_FAILURES_SHOWN]
        ),
        trouble=tuple(trouble),
        rate=rate,
        requests=len(requests),
        seconds=round(seconds, 1),
    )


def _outcome(release: Release, moments: Iterable[Moment]) -> tuple[Outcome, str]:
    entries = [m.entry for m in moments if isinstance(m, Ended) and m.version == release.version]
    if not entries:
        return Outcome.UNDECIDED, "no end of it in the Rollout's history"
    last = entries[-1]
    if last.outcome in {Outcome.PROMOTED, Outcome.ROLLED_BACK}:
        return Outcome(last.outcome), last.reason
    return Outcome.UNDECIDED, f"{last.outcome}: {last.reason}"


def _decision_seconds(committed: float, moments: Iterable[Moment]) -> float | None:
    times = [m.time for m in moments if isinstance(m, PhaseChanged) and m.phase in DECIDED]
    return round(times[0] - committed, 2) if times else None


def _rollback_seconds(release: Release, moments: Iterable[Moment], requests: Iterable[Request]) -> float | None:
    """Return the seconds from the first bad response to the first weight 0 after it."""
    bad = [r.ended for r in requests if r.version == release.version and (r.failed or release.all_bad)]
    if not bad:
        return None
    first = min(bad)
    zero = [m.time for m in moments if isinstance(m, Acknowledged) and m.weight == 0 and m.time >= first]
    return round(min(zero) - first, 2) if zero else None


def _weights(moments: Iterable[Moment]) -> tuple[int, ...]:
    seen = [m.weight for m in moments if isinstance(m, Acknowledged)]
    return tuple(weight for weight, _ in itertools.groupby(seen))


def _actual_share(
    release: Release, moments: Sequence[Moment], requests: Sequence[Request], ended: float
) -> dict[str, float]:
    """Measure each weight from the moment it was in force to the moment another one was asked for."""
    shares: dict[str, float] = {}
    for moment in moments:
        if not isinstance(moment, Acknowledged) or moment.weight == 0:
            continue
        changes = [m.time for m in moments if isinstance(m, WeightSet) and m.time > moment.time]
        traffic = traffic_by_version(requests, moment.time, min(changes, default=ended))
        if total := sum(t.requests for t in traffic.values()):
            canary = traffic[release.version].requests if release.version in traffic else 0
            shares[str(moment.weight)] = round(100 * canary / total, 2)
    return shares
