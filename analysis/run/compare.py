"""The rivals' rules and our judge on the same recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.judges.judge import judge_table
from analysis.judges.rivals.argo import Argo
from analysis.judges.rivals.base import error_rate, p99
from analysis.judges.rivals.flagger import Flagger
from analysis.judges.rivals.kayenta import Kayenta
from analysis.judges.table import Table, tabulate
from analysis.model.policy import Policy
from analysis.model.verdict import Decision
from analysis.run.replay import look_times, with_end

if TYPE_CHECKING:
    from analysis.judges.rivals.base import Rival
    from analysis.model.recording import Recording

__all__ = ["Row", "compare"]


@dataclass(frozen=True, slots=True)
class Row:
    """What one rule would have done.

    Attributes:
        judge: Its name.
        decision: PROMOTE, ROLL_BACK, or None when it never decided.
        after: Seconds after the first look's start; None without a decision.
        requests: Canary attempts until then.
        errors: Of those, the failed ones.
        words: Why.
    """

    judge: str
    decision: Decision | None
    after: float | None
    requests: int
    errors: int
    words: str


def compare(recording: Recording, policy: Policy | None = None, *, every: float = 10.0) -> list[Row]:
    """Run every rule on a recording until it decides.

    Args:
        recording: The release.
        policy: Our policy; by default the recording's, or the default one.
        every: Seconds between looks.

    Returns:
        Ours first. The tuned rules know the service: 2 × its own errors, 1.5 × its own p99, from before the release
        where the recording holds that, otherwise from the baseline's first two minutes.
    """
    policy = policy or recording.policy or Policy(recording.bounds_ms)
    table = tabulate(recording.windows, len(recording.bounds_ms) + 1)
    times = look_times(recording, table, every)
    if not times:
        return []
    start = times[0] - every
    rows = [_ours(recording, policy, table, with_end(times, table), start)]
    return rows + [_rival(rival, table, times, start) for rival in _rivals(recording, table, start, times[-1])]


def _rivals(recording: Recording, table: Table, start: float, end: float) -> list[Rival]:
    bounds = recording.bounds_ms
    until = start if float(table.start[0]) < start else start + 120.0
    own = slice(0, int(np.searchsorted(table.start, until)))
    rate = 2 * (error_rate(table, own, canary=False) or 0.0)
    slow = 1.5 * (p99(table, own, bounds, canary=False) or 1.0)
    return [
        Flagger(bounds, name="Flagger, its defaults"),
        Flagger(bounds, most_errors=rate, most_p99=slow, name="Flagger, tuned"),
        Argo(bounds, most_errors=rate, most_p99=slow, name="Argo Rollouts, tuned"),
        Kayenta(bounds, start=start, name="Kayenta, every look"),
        Kayenta(bounds, start=start, end=end, name="Kayenta, one look"),
    ]


def _ours(recording: Recording, policy: Policy, table: Table, times: list[float], start: float) -> Row:
    words = ""
    for time in times:
        part = _until(table, time)
        begun = [step for step in recording.step_starts if step < time]
        verdict = judge_table(part, policy, pods_started=recording.pods_started, step_starts=begun, now=time)
        words = verdict.summary
        if verdict.decision in {Decision.PROMOTE, Decision.ROLL_BACK}:
            return _row("Coalmine", verdict.decision, time - start, part, words)
    return _row("Coalmine", None, None, table, words)


def _rival(rival: Rival, table: Table, times: list[float], start: float) -> Row:
    words = ""
    for time in times:
        part = _until(table, time)
        answer = rival.look(part, time)
        words = answer.words
        if answer.decision is not None:
            return _row(rival.name, answer.decision, time - start, part, words)
    return _row(rival.name, None, None, table, words)


def _until(table: Table, time: float) -> Table:
    return table.rows(slice(0, int(np.searchsorted(table.end, time + 1e-6, side="right"))))


def _row(name: str, decision: Decision | None, after: float | None, table: Table, words: str) -> Row:
    attempts, errors = (int(part[:, table.canary].sum()) for part in (table.attempts, table.errors))
    return Row(name, decision, after, attempts, errors, words)
