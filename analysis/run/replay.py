"""Judge a recorded release again, look by look."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges.judge import judge_table
from analysis.judges.table import Table, tabulate
from analysis.model.policy import Policy
from analysis.model.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from analysis.model.verdict import Verdict

__all__ = ["Look", "look_times", "looks", "replay", "with_end"]

_SAME: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Look:
    """One look.

    Attributes:
        time: Unix seconds.
        verdict: What the judge said.
    """

    time: float
    verdict: Verdict


def replay(
    samples: Recording | Sequence[Recording], policy: Policy | None = None, *, every: float = 1.0, explain: bool = True
) -> list[Look] | list[list[Look]]:
    """Judge recorded releases as the controller would have.

    Args:
        samples: A recording, or several.
        policy: Margins and probabilities; by default the recording's, or the default policy on its own buckets.
        every: Seconds between looks.
        explain: Whether verdicts hold their evidence in words and intervals.

    Returns:
        One entry for each look; a list of such lists for several recordings.

    Raises:
        ValueError: ``every`` is not above 0, or the policy's buckets are not the recording's.
    """
    if isinstance(samples, Recording):
        return list(looks(samples, policy, every=every, explain=explain))
    return [list(looks(recording, policy, every=every, explain=explain)) for recording in samples]


def looks(
    recording: Recording, policy: Policy | None = None, *, every: float = 1.0, explain: bool = True
) -> Iterator[Look]:
    """Return the looks at one recording one by one, as ``replay`` does."""
    if not every > 0:
        raise ValueError(f"every is {every:g}: give the seconds between looks, above 0")
    policy = policy or recording.policy or Policy(recording.bounds_ms)
    if policy.bounds_ms != recording.bounds_ms:
        raise ValueError("the policy's bounds_ms are not the recording's boundsMs: use the recording's")
    table = tabulate(recording.windows, len(recording.bounds_ms) + 1)
    for time in with_end(look_times(recording, table, every), table):
        part = table.rows(slice(0, int(np.searchsorted(table.end, time + _SAME, side="right"))))
        begun = [step for step in recording.step_starts if step < time]
        yield Look(
            time,
            judge_table(
                part, policy, pods_started=recording.pods_started, step_starts=begun, now=time, explain=explain
            ),
        )


def look_times(recording: Recording, table: Table, every: float) -> list[float]:
    """When to look: from the canary's first window (or the first step) on."""
    canary = np.flatnonzero(table.attempts[:, table.canary].sum(axis=1) > 0)
    if not canary.size:
        return []
    first = min([float(table.start[canary[0]]), *recording.step_starts])
    count = math.floor((float(table.end[-1]) - first) / every + 1e-9)
    return [first + every * number for number in range(1, count + 1)]


def with_end(times: list[float], table: Table) -> list[float]:
    """Return the times of looks and the end of the recording: a release that was judged ends with the look that decided."""
    end = float(table.end[-1]) if times else 0.0
    return [*times, end] if times and end - times[-1] > _SAME else times
