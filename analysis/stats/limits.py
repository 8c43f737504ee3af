"""An e-process for a bad share against a fixed limit, which may be looked at at any time and forgets what was good long ago.

Against "each request is bad with probability at most p, whatever came before it", a bet of size b multiplies its wealth by
``e^b`` for a bad request and pays ``e^(-p (e^b - 1))`` for every request: by ``1 + x ≤ e^x`` its expectation is at most 1.
A mixture of bets that start at different times is an e-process, and by Ville's inequality it passes 1/α with
probability at most α. To divide the log wealth by a dispersion of 1 or more, and to hear no bet before it has seen some
bad requests, can only lower it below ``max(wealth, 1)``: neither can add a false alarm.

Sources: Ville 1939; Robbins 1970 (mixtures); Shiryaev 1963 (starts at any time, against a change).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from analysis.stats.bets import GRID, LOG_STAKES_WORSE
from analysis.stats.counting import Array, log_mean, priced

__all__ = ["Beyond", "beyond", "stakes"]

FEWEST: Final = 10
"""A bet is heard when it has seen so many bad requests."""
_FROM_THE_START: Final = 0.5
_AT_ANY_SECOND: Final = 0.3
_AT_STEPS: Final = 0.2
_WORSE: Final = np.isfinite(LOG_STAKES_WORSE)


class Beyond(NamedTuple):
    """The evidence that a limit is exceeded.

    Attributes:
        wealth: Log wealth against "at most the limit".
        row: The row from which on the evidence is strongest.
    """

    wealth: float
    row: int


def stakes(starts: Array, steps: Array) -> Array:
    """Return the stake of bets that begin at each row; they sum to at most 1 however long a release takes.

    Half is staked on everything. The rest is shared out among the steps, and among all seconds since the first one as
    ``1 / n (n + 1)``: a second whose row was merged into another's gives its stake up.

    Args:
        starts: Start of each row, Unix seconds, ascending.
        steps: When steps began, ascending.
    """
    found = np.zeros(starts.size)
    if not starts.size:
        return found
    found[0] = _FROM_THE_START
    if not steps.size:
        return found
    seconds, rows = np.unique(np.floor(starts - steps[0]) + 1.0, return_index=True)
    later = seconds >= 1.0
    found[rows[later]] += _AT_ANY_SECOND / (seconds[later] * (seconds[later] + 1.0))
    for number, row in enumerate(np.searchsorted(starts, steps), start=1):
        if row < starts.size:
            found[row] += _AT_STEPS / (number * (number + 1.0))
    return found


def beyond(bad: Array, attempts: Array, limit: float, staked: Array, *, dispersion: float = 1.0) -> Beyond:
    """Return the evidence that more than a share ``limit`` of the requests is bad.

    Args:
        bad: Bad requests by row.
        attempts: Requests by row.
        limit: The largest share that is fine.
        staked: The stake of bets that begin at each row.
        dispersion: Factor, at least 1, by which counts vary more than independent ones.
    """
    rows = np.flatnonzero(staked)
    if not rows.size:
        return Beyond(0.0, 0)
    nothing = np.zeros_like(bad)
    free, price = priced(bad, nothing, attempts, nothing, GRID[_WORSE], ratio=0.0)
    since = np.cumsum((free - limit * price)[::-1], axis=0)[::-1][rows] / dispersion
    logs = log_mean(since, LOG_STAKES_WORSE[_WORSE])
    few = np.cumsum(bad[::-1])[::-1][rows] < FEWEST
    logs = np.where(few, np.minimum(logs, 0.0), logs)
    shares = np.log(staked[rows])
    kept = np.log(max(1.0 - float(staked.sum()), 1e-12))
    wealth = float(log_mean(np.append(logs, 0.0), np.append(shares, kept)))
    return Beyond(wealth, int(rows[int(np.argmax(logs + shares))]))
