"""Log wealth of a test: bets, restarts, pods that differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.stats.bets import LOG_STAKES_BETTER, LOG_STAKES_WORSE, log_random_effects, t_quantile
from analysis.stats.counting import Array, log_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.judges.series import Series

__all__ = ["Restart", "promotion", "restarts", "rollback", "simple"]

_FROM_THE_START: Final = 0.6
_AT_STEPS: Final = 0.2
_ON_THE_GRID: Final = 0.2
_GRID_SECONDS: Final = 120.0
_RANDOM: Final = 0.8
_BEYOND_PODS: Final = 0.998


@dataclass(frozen=True, slots=True)
class Restart:
    """A test that starts afresh.

    Attributes:
        row: The first cell that it sees.
        stake: Its share of the stake.
    """

    row: int
    stake: float


def restarts(starts: Array, canary_n: Array, step_starts: Sequence[float]) -> tuple[Restart, ...]:
    """The restarts that have begun: at the canary's first request, at each later step, and every two minutes.

    Stakes of later ones fall as ``1 / i (i + 1)``, so that they sum to at most 1 however long a release takes.
    """
    begun = np.flatnonzero(canary_n > 0)
    if not begun.size:
        return ()
    first = float(starts[begun[0]])
    found = [Restart(0, _FROM_THE_START)]
    steps = sorted(step for step in step_starts if first < step <= starts[-1])
    grid = np.arange(first + _GRID_SECONDS, float(starts[-1]) + 1e-9, _GRID_SECONDS)
    for share, times in ((_AT_STEPS, steps), (_ON_THE_GRID, list(grid))):
        for number, time in enumerate(times, start=1):
            found.append(Restart(int(np.searchsorted(starts, time)), share / (number * (number + 1))))
    return tuple(found)


def rollback(series: Series, begun: Sequence[Restart], *, absolute: float = 0.0) -> float:
    """Log wealth against "not worse than the margin, up to what pods differ by".

    Each restart is 0.8 of a random-effects test and 0.2 of one whose margin is widened by what pods alone exceed
    once in 500 draws, with its own estimate of what pods differ by over its own horizon. With an absolute margin the
    wealth is the smaller of that and of the test of that margin: both nulls must be refuted.
    """
    logs, stakes = [], []
    cells = series.log_evalues()
    margin = series.log_evalues(absolute=absolute) if absolute else None
    for restart in begun:
        log_e = _differing_pods(series, cells[restart.row :].sum(axis=0), restart.row)
        if margin is not None:
            log_e = min(log_e, log_mean(margin[restart.row :].sum(axis=0), LOG_STAKES_WORSE))
        logs.append(log_e)
        stakes.append(restart.stake)
    kept = 1.0 - sum(stakes)
    return log_mean(np.array([*logs, 0.0]), np.log(np.array([*stakes, kept])))


def _differing_pods(series: Series, likelihood: Array, row: int) -> float:
    spread = series.spread(row)
    scale = float(np.sqrt(spread.variance))
    null = log_random_effects(scale, spread.dof)
    random = log_mean(likelihood, LOG_STAKES_WORSE) - log_mean(likelihood, null)
    if row:
        return random
    shifted = series.log_evalues(shift=t_quantile(_BEYOND_PODS, spread.dof) * scale).sum(axis=0)
    parts = np.array([random, log_mean(shifted, LOG_STAKES_WORSE)])
    return log_mean(parts, np.log([_RANDOM, 1.0 - _RANDOM]))


def simple(series: Series, *, absolute: float = 0.0) -> float:
    """Log wealth against a fixed margin, pods taken as equal: for guards with wide margins."""
    return log_mean(series.log_evalues(absolute=absolute).sum(axis=0), LOG_STAKES_WORSE)


def promotion(series: Series, row: int = 0, *, absolute: float = 0.0) -> float:
    """Log wealth against "worse by the margin or more", from a cell on."""
    return log_mean(series.log_evalues(since=row, absolute=absolute).sum(axis=0), LOG_STAKES_BETTER)
