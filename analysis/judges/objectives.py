"""Service level objectives: does a version spend its error budget faster than it may? With or without a baseline."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges.cells import Cells, cells_of
from analysis.judges.conclude import carriers
from analysis.judges.errors import BadCounts, errors_of
from analysis.model import budget
from analysis.model.objective import Burn
from analysis.model.verdict import Evidence
from analysis.stats.limits import Beyond, beyond, stakes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from analysis.judges.table import Table
    from analysis.model.objective import Objective
    from analysis.model.policy import Policy
    from analysis.stats.counting import Array

__all__ = ["exceeds", "judge_objectives"]

_LARGEST_LOG: Final = 700.0
_SAME: Final = 1e-6


def judge_objectives(
    table: Table, policy: Policy, *, pods_started: Mapping[str, float], step_starts: Sequence[float]
) -> tuple[Burn, ...]:
    """Judge each of ``policy.objectives`` from all the counts of a release.

    Args:
        table: The counts. Not merged to a coarser grid than they are stored in: what begins suddenly is seen at once.
        policy: Objectives, latency bounds, and the probability of a false rollback, of which they have their share.
        pods_started: Start of each pod, Unix seconds; pods that are not in it count as warm.
        step_starts: When the share of traffic changed, Unix seconds.
    """
    alphas, steps = budget.split(policy), sorted(step_starts)
    return tuple(
        _burn(one, table, policy.bounds_ms, born=pods_started, steps=steps, goal=-math.log(alphas[budget.named(one)]))
        for one in policy.objectives
    )


def exceeds(counts: BadCounts, limit: float, *, canary: bool = True) -> Beyond:
    """Return the evidence that more than a share ``limit`` of a version's attempts is bad.

    Args:
        counts: Bad attempts of both versions; how clumped they are is learned from both.
        limit: The largest share that is fine.
        canary: Which of the two.
    """
    cells = counts.cells
    bad, attempts = _of(cells, counts.bad, canary=canary), _of(cells, cells.attempts, canary=canary)
    staked = stakes(cells.table.start, np.asarray(cells.steps, dtype=np.float64))
    return beyond(bad, attempts, limit, staked, dispersion=counts.dispersion)


def _of(cells: Cells, values: Array, *, canary: bool) -> Array:
    return np.asarray(values @ (cells.canary if canary else ~cells.canary).astype(np.float64))


def _burn(
    objective: Objective,
    table: Table,
    bounds: tuple[float, ...],
    *,
    born: Mapping[str, float],
    steps: Sequence[float],
    goal: float,
) -> Burn:
    cells = cells_of(table, table.warm(born, objective.warm_up), steps)
    problem, judged_ms = "", None
    if objective.threshold_ms is None:
        counts = errors_of(cells)
    elif problem := _unmeasurable(objective.threshold_ms, bounds):
        counts = BadCounts(cells, np.zeros_like(cells.attempts), table.named)
    else:
        counts, judged_ms = _slow(cells, objective.threshold_ms, bounds)
    found, stable = (exceeds(counts, objective.limit, canary=side) for side in (True, False))
    missed = not problem and found.wealth >= goal
    stable_too = not problem and stable.wealth >= goal

    def without(pods: Sequence[str]) -> float:
        kept = [not (c and pod in pods) for c, pod in zip(table.canary, table.pods, strict=True)]
        rest = BadCounts(cells.only(np.array(kept)), counts.bad * kept, counts.columns)
        return exceeds(rest, objective.limit).wealth

    pods = carriers(counts, without) if missed else ()
    row = found.row if missed else int(np.searchsorted(table.start, steps[-1])) if steps else 0
    (share, n), (other, m) = (_share(counts, row, canary=side) for side in (True, False))
    rate = None if share is None or problem else share / objective.budget
    evidence = Evidence(
        metric=budget.named(objective),
        canary=share,
        baseline=other,
        canary_count=n,
        baseline_count=m,
        difference=None,
        interval=None,
        rollback_e=math.exp(min(found.wealth, _LARGEST_LOG)),
        rollback_at=math.exp(goal),
        promote_e=1.0,
        promote_at=0.0,
        words=problem or _words(objective, (share, n), other, judged_ms, stable_too=stable_too),
    )
    return Burn(objective, missed, rate, stable_too, evidence, problem, pods)


def _unmeasurable(threshold: float, bounds: tuple[float, ...]) -> str:
    """Why a latency objective cannot be judged with these bounds; empty when it can."""
    if not bounds:
        return "cannot be judged: the source has no histogram of the latency; set the source's latency"
    if _bucket(threshold, bounds) >= len(bounds):
        most = f"{bounds[-1]:g} ms"
        return f"cannot be judged: the threshold is beyond {most}, the last bound of the latency histogram; lower it"
    return ""


def _bucket(threshold: float, bounds: tuple[float, ...]) -> int:
    """The last bucket that counts as fast: that of the first bound that is not below the threshold."""
    return bisect_left(bounds, threshold * (1.0 - _SAME))


def _slow(cells: Cells, threshold: float, bounds: tuple[float, ...]) -> tuple[BadCounts, float]:
    """Attempts that surely took longer than the threshold, and the bound, in milliseconds, from which on that is known."""
    last = _bucket(threshold, bounds)
    slow = cells.table.latency[:, :, last + 1 :].sum(axis=2) * cells.keep
    return BadCounts(cells, slow, cells.table.named), bounds[last]


def _share(counts: BadCounts, row: int, *, canary: bool) -> tuple[float | None, int]:
    """A version's share of bad attempts from a row on, and how many attempts there were."""
    bad, attempts = (
        float(_of(counts.cells, part, canary=canary)[row:].sum()) for part in (counts.bad, counts.cells.attempts)
    )
    return (bad / attempts if attempts > 0 else None), round(attempts)


def _words(
    objective: Objective,
    canary: tuple[float | None, int],
    stable: float | None,
    judged_ms: float | None,
    *,
    stable_too: bool,
) -> str:
    share, count = canary
    allowed = f"{_percent(objective.budget)} may"
    if share is None:
        return f"no canary requests yet; {allowed} be bad"
    what = "failed"
    if objective.threshold_ms is not None:
        what = f"took longer than {objective.threshold_ms:g} ms"
        if judged_ms is not None and abs(judged_ms - objective.threshold_ms) > _SAME * judged_ms:
            what += f" (judged at {judged_ms:g} ms, the next bound of the histogram)"
    words = (
        f"{_percent(share)} of {count:,} canary requests {what} where {allowed}: the error budget burns "
        f"{share / objective.budget:.3g} times as fast as it may, {objective.burn_rate:g} times are tolerated"
    )
    if stable is None:
        return words
    also = " as well" if stable_too else ""
    return f"{words}; stable burns it {stable / objective.budget:.3g} times as fast{also}"


def _percent(share: float) -> str:
    return f"{100.0 * share:.3g} %"
