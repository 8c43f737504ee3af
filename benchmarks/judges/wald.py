"""How soon at best: Wald's sequential test, which knows both versions' error rates beforehand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.judges.case import Case

__all__ = ["bound"]


def bound(case: Case, alpha: float = 0.01) -> float | None:
    """Expected seconds until Wald's test of the failures' arms passes 1/α; None where errors do not differ, or never.

    Given that a request failed, the canary sent it with probability q if both are alike, and r if not: each failure is
    worth the divergence of r from q (Wald 1945).
    """
    if case.canary_errors <= case.errors:
        return None
    left, now = -math.log(alpha), case.worse_from
    for number, share in enumerate(case.shares):
        until = (number + 1) * case.step_seconds
        if now >= until:
            continue
        gain = case.rps * _information(case.errors, case.canary_errors, share)
        if left <= gain * (until - now):
            return now + left / gain
        left, now = left - gain * (until - now), float(until)
    return None


def _information(rate: float, worse: float, share: float) -> float:
    """Expected log likelihood ratio of one request."""
    bad = share * worse + (1 - share) * rate
    r = share * worse / bad
    return bad * sum(p * math.log(p / q) for p, q in ((r, share), (1 - r, 1 - share)) if p > 0)
