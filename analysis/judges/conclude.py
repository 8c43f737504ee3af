"""From the metrics of one look to its verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges import need
from analysis.judges.cells import cells_of
from analysis.judges.errors import errors_of
from analysis.judges.latency import Latency, latency_of
from analysis.judges.wealth import QUIET
from analysis.model.verdict import Decision, Need, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from analysis.judges.errors import BadCounts
    from analysis.judges.metrics import Metric, Promotion
    from analysis.judges.table import Table
    from analysis.model.policy import Policy
    from analysis.model.verdict import Evidence

__all__ = ["Look", "against", "carriers", "forward"]

_SURVIVES: Final = math.log(3.0)
_STEP_LEANS: Final = math.log(2.0)
_STEP_IS_LONG: Final = 25 * _STEP_LEANS
"""What the step's requests would have said by now of a canary that is just as good."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look is given.

    Attributes:
        table: The counts.
        policy: Margins, error probabilities, warm-up.
        born: Start of each pod, Unix seconds.
        now: Unix seconds.
        explain: Whether to estimate what is still needed.
    """

    table: Table
    policy: Policy
    born: Mapping[str, float]
    now: float
    explain: bool


def against(refuted: Sequence[Metric], shown: Sequence[Evidence], found: Sequence[Metric]) -> Verdict:
    """Roll back, unless every refuted metric rests on a minority of the pods."""
    outliers: tuple[str, ...] = ()
    words = {metric.name: entry.words for metric, entry in zip(found, shown, strict=False)}
    for metric in refuted:
        pods = carriers(metric.counts, metric.without)
        if not pods:
            return Verdict(Decision.ROLL_BACK, f"{metric.name}: {words.get(metric.name, 'worse')}", tuple(shown))
        outliers = outliers or pods
    who = f"One canary pod, {outliers[0]}, carries" if len(outliers) == 1 else f"{' and '.join(outliers)} alone carry"
    return Verdict(
        Decision.OUTLIER,
        f"{who} the whole difference: {words.get(refuted[0].name, refuted[0].name)}",
        tuple(shown),
        outlier=outliers[0],
    )


def carriers(counts: BadCounts | Latency | None, without: Callable[[Sequence[str]], float] | None) -> tuple[str, ...]:
    """The canary pods, fewer than half of them (or one of two), without which hardly any evidence is left; none for none.

    Args:
        counts: What was judged.
        without: The log wealth without some canary pods.
    """
    if without is None or counts is None:
        return ()
    cells = counts.cells
    busy = cells.attempts.sum(axis=0) > 0
    pods = sorted({pod for pod, c, n in zip(cells.table.pods, cells.canary, busy, strict=True) if c and pod and n})
    if len(pods) < 2:  # noqa: PLR2004 - the only pod is the canary
        return ()
    # Not by leaving out one at a time: two bad pods hide each other.
    worst = sorted(pods, key=_badness(counts).__getitem__, reverse=True)
    for number in range(1, max((len(pods) - 1) // 2, 1) + 1):
        if without(worst[:number]) < _SURVIVES:
            return tuple(worst[:number])
    return ()


def _badness(counts: BadCounts | Latency) -> dict[str, float]:
    """Of each canary pod, what it adds to the difference with each attempt, in the metric's own terms."""
    cells = counts.cells
    bad, attempts = counts.by_column(), cells.attempts.sum(axis=0)
    names = np.array(cells.table.pods)
    return {
        pod: float(bad[mine].sum() / max(attempts[mine].sum(), 1.0))
        for pod in cells.table.pods
        if (mine := cells.canary & (names == pod)).any()
    }


def forward(
    found: Sequence[Metric],
    shown: tuple[Evidence, ...],
    look: Look,
) -> Verdict:
    """Promote if every metric is shown to be fine and none is near a rollback; otherwise say what is missing."""
    goal = -math.log(look.policy.promotion_alpha)
    judged = [(metric, metric.promotion) for metric in found if metric.promotion is not None]
    if not judged:
        return Verdict(Decision.CONTINUE, "The policy judges neither errors nor latency.", shown)
    suspicious = [metric.name for metric in found if metric.rollback >= QUIET]
    missing = [metric.name for metric, wealth in judged if wealth.release < goal]
    if suspicious:
        return Verdict(Decision.CONTINUE, f"{' and '.join(suspicious)} may be worse; more evidence is needed.", shown)
    unsettled = [] if missing else [m.name for m, wealth in judged if not _settled(m, wealth, look)]
    if not (missing or unsettled):
        return Verdict(Decision.PROMOTE, "Every metric is shown to be within its margin.", shown)
    missed = _need(judged, look) if look.explain else None
    what = " and ".join(missing or unsettled)
    if missing:
        summary = f"{what}: not yet shown to be within the margin{_words(missed)}."
    elif missed is None and look.explain:
        summary = f"{what}: this step's own requests do not bear it out so far."
    else:
        summary = f"{what}: this step's own requests do not say enough yet{_words(missed)}."
    return Verdict(Decision.CONTINUE, summary, shown, missed)


def _settled(metric: Metric, wealth: Promotion, look: Look) -> bool:
    """Whether the step's own requests lean to "fine", or are many and lean neither way, which the margin tolerates.

    The latter is how it looks where stable's pods, with a twentieth of the requests at the last step, are faster for
    being idle.
    """
    if wealth.step >= _STEP_LEANS:
        return True
    if metric.counts is None or wealth.step < -_STEP_LEANS:
        return False
    cells = metric.counts.cells
    since = cells.table.start >= cells.steps[-1] if len(cells.steps) else slice(None)
    attempts = float(cells.attempts[since][:, cells.canary].sum())
    gain = _gain(metric.counts, look)
    return gain is not None and attempts * gain >= _STEP_IS_LONG


def _need(
    judged: Sequence[tuple[Metric, Promotion]],
    look: Look,
) -> Need | None:
    goal = -math.log(look.policy.promotion_alpha)
    attempts, wait = 0.0, 0.0
    for metric, wealth in judged:
        short = max(goal - wealth.release, _STEP_LEANS - wealth.step)
        if short <= 0.0:
            continue
        if metric.counts is None:  # values come at their own pace
            return None
        if wealth.step < -_STEP_LEANS:  # it goes the wrong way: more of the same never gets there
            return None
        gain = _gain(metric.counts, look)
        if gain is None:
            return None
        attempts = max(attempts, short / gain)
        wait = max(wait, _warming(metric, look))
    return _in_time(attempts, wait, look.table)


def _gain(counts: BadCounts | Latency, look: Look) -> float | None:
    """What a canary attempt adds, going by the warm ones; by all of them while there are none."""
    cold = counts.cells.arms[0] <= 0
    if isinstance(counts, Latency):
        assert look.policy.latency is not None  # noqa: S101 - it has been judged
        counts = latency_of(cells_of(look.table, None, ()), counts.bounds) if cold else counts
        return need.of_latency(counts, look.policy.latency)
    assert look.policy.errors is not None  # noqa: S101 - likewise
    return need.of_errors(errors_of(cells_of(look.table, None, ())) if cold else counts, look.policy.errors)


def _warming(metric: Metric, look: Look) -> float:
    """Seconds until the first canary pod is warm for this metric."""
    part = look.policy.errors if metric.name == "errors" else look.policy.latency
    pods = [pod for pod, c in zip(look.table.pods, look.table.canary, strict=True) if c]
    if part is None or not pods:
        return 0.0
    return max(0.0, min(look.born.get(pod, -math.inf) for pod in pods) + part.warm_up - look.now)


def _in_time(attempts: float, wait: float, table: Table) -> Need:
    recent = table.rows(table.start >= float(table.end[-1]) - need.RECENT_SECONDS)
    span = float(recent.end[-1] - recent.start[0]) if recent.start.size else 0.0
    rate = float(recent.attempts[:, recent.canary].sum()) / span if span > 0 else 0.0
    whole = math.ceil(min(attempts, 1e15))
    return Need(whole, round(wait + whole / rate, 1) if rate > 0 else None)


def _words(more: Need | None) -> str:
    if more is None or more.attempts is None:
        return ""
    if more.seconds is None:
        return f"; about {more.attempts:,} more canary requests"
    span = f"{more.seconds:.0f} s" if more.seconds < 120 else f"{more.seconds / 60:.0f} minutes"  # noqa: PLR2004
    return f"; about {more.attempts:,} more canary requests, {span}"
