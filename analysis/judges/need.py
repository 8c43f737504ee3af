"""How much longer: what one more canary attempt adds to the promotion wealth if the canary is as good as the baseline."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from analysis.judges.cells import Cells, Restart
from analysis.judges.errors import errors_of
from analysis.judges.latency import latency_of
from analysis.stats.bets import GRID

if TYPE_CHECKING:
    from analysis.model.policy import Policy
    from analysis.stats.counting import Array

__all__ = ["estimate"]

_ROUNDING = 1e-12


def estimate(metric: str, cells: Cells, policy: Policy) -> float | None:
    """Log wealth that one more canary attempt adds on average, at the present shares of traffic.

    Args:
        metric: ``errors`` or ``latency``.
        cells: What was measured so far.
        policy: Margins.

    Returns:
        The gain with the best bet; None where it is not positive or nothing is known.
    """
    canary_n, baseline_n = cells.arms
    if canary_n <= 0 or baseline_n <= 0:
        return None
    own = _equal(cells, canary_n, baseline_n)
    if metric == "errors" and policy.errors is not None:
        phi = errors_of(cells).dispersion
        gains = [errors_of(own).wealth(policy.errors.ratio, policy.errors.absolute) / phi]
    elif metric == "latency" and policy.latency is not None:
        found = latency_of(own, policy.bounds_ms)
        if not found.routes:
            return None
        gains = list(found.likelihoods(policy.latency.ratio)[:3, 0])
    else:
        return None
    best = min(_best(gain) for gain in gains) / canary_n
    return best if best > _ROUNDING else None


def _equal(cells: Cells, canary_n: float, baseline_n: float) -> Cells:
    """All that was measured as one cell in which both arms have the pooled rates, route by route."""
    table = cells.table
    share = canary_n / (canary_n + baseline_n)
    errors = (table.errors * cells.keep).sum(axis=0)
    latency = (table.latency * cells.keep[:, :, None]).sum(axis=0)
    attempts = cells.attempts.sum(axis=0)
    parts: list[tuple[Array, Array, Array]] = []
    for columns in cells.routes:
        sums = (attempts[columns].sum(), errors[columns].sum(), latency[columns].sum(axis=0))
        parts += [tuple(np.asarray(total * part) for total in sums) for part in (share, 1.0 - share)]  # type: ignore[misc]
    one = replace(
        table,
        start=table.start[-1:],
        end=table.end[-1:],
        pods=("canary", "baseline") * len(cells.routes),
        canary=np.array([True, False] * len(cells.routes)),
        attempts=np.array([[part[0] for part in parts]]),
        errors=np.array([[part[1] for part in parts]]),
        latency=np.array([[part[2] for part in parts]]),
        routes=tuple(str(number // 2) for number in range(len(parts))),
    )
    return Cells(one, np.ones_like(one.attempts), one.attempts, one.canary, one.by_route(), (Restart(0, 1.0),))


def _best(wealth: Array) -> float:
    return float(wealth[GRID < 0].max())
