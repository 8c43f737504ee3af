"""How much longer: what one more canary attempt adds to the promotion wealth if the canary is as good as the baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges.latency import UP_TO_P99
from analysis.judges.route import route_of
from analysis.stats.bets import GRID
from analysis.stats.counting import priced

if TYPE_CHECKING:
    from analysis.judges.cells import Cells
    from analysis.judges.errors import BadCounts
    from analysis.judges.latency import Latency
    from analysis.model.policy import ErrorPolicy, LatencyPolicy
    from analysis.stats.counting import Array

__all__ = ["RECENT_SECONDS", "of_errors", "of_latency"]

RECENT_SECONDS: Final = 20.0
"""What counts as the present: shares of traffic and requests a second."""
_ROUNDING: Final = 1e-12
_BETTER: Final = GRID[GRID < 0]


def of_errors(counts: BadCounts, policy: ErrorPolicy) -> float | None:
    """Log wealth that one more canary attempt adds on average, at the present shares of traffic.

    It is what all that was measured would have added as one cell in which both arms have the pooled rates, route by route.

    Returns:
        The gain with the best bet; None where it is not positive or nothing is known.
    """
    shares = _shares(counts.cells)
    if shares is None:
        return None
    bad, attempts = (np.outer(shares, [part[kind].sum() for part in counts.strata]) for kind in (0, 1))
    free, price = priced(bad[0], bad[1], attempts[0], attempts[1], _BETTER, ratio=policy.ratio)
    gains = (free - policy.absolute * price).sum(axis=0) / counts.dispersion
    return _positive(float(gains.max()) / (shares[0] * sum(counts.cells.arms)))


def of_latency(latency: Latency, policy: LatencyPolicy) -> float | None:
    """The same for latency: of the test that gains least."""
    shares = _shares(latency.cells)
    if shares is None:
        return None
    equal = ((columns, np.outer(shares, arms.sum(axis=(0, 1)))[None]) for columns, arms in latency.arms)
    found = [route_of(columns, arms, [0], latency.bounds) for columns, arms in equal]
    logs = [route.likelihoods(policy.ratio, _BETTER)[: 1 + UP_TO_P99, 0] for route in found if route is not None]
    wealth = float(np.sum(logs, axis=0).max(axis=1).min()) if logs else 0.0
    return _positive(wealth / (shares[0] * sum(latency.cells.arms)))


def _shares(cells: Cells) -> Array | None:
    """The canary's and the baseline's share of the latest attempts; of all if one had none; None while one never had any."""
    arms = np.array(cells.arms)
    if arms.min() <= 0:
        return None
    latest = cells.attempts[cells.table.end >= cells.table.end[-1] - RECENT_SECONDS]
    present = np.array([latest[:, cells.canary].sum(), latest[:, ~cells.canary].sum()])
    if present.min() <= 0:
        present = arms
    return np.asarray(present / present.sum())


def _positive(gain: float) -> float | None:
    return gain if gain > _ROUNDING else None
