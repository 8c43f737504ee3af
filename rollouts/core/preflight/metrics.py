"""Whether there is anything to judge from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollouts.api.preflight import PreflightResult
from rollouts.core.preflight.facts import Finding, fails, warns

if TYPE_CHECKING:
    from rollouts.core.context import Context
    from rollouts.core.preflight.facts import Facts

__all__ = ["metrics"]


def metrics(c: Context, _f: Facts) -> Finding | None:
    """Does the source of the counts answer?"""
    measured = c.o.measured
    if not c.judged:
        return None
    if measured.problem and measured.answered:
        return warns(f"nothing can be judged yet: {measured.problem}")
    if measured.problem:
        return fails(
            f"nothing could be judged: {measured.problem}. Mend it, correct spec.analysis.source, or set spec.analysis.enabled: false"
        )
    if not measured.answered:
        return Finding(
            PreflightResult.UNKNOWN, "the first answer of the source of metrics has not come yet", passing=True
        )
    return None
