"""How the probability of a false rollback is shared out among the tests of one release (a union bound)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.model.objective import Objective
    from analysis.model.policy import Policy

__all__ = ["named", "split"]

_ERRORS: Final = 0.5
_LATENCY: Final = 0.4
_GROSS: Final = 0.05
_CUSTOM: Final = 0.2
_OBJECTIVES: Final = 0.1


def named(objective: Objective) -> str:
    """Return an objective's name among the metrics: no metric of a template can have it."""
    return f"slo/{objective.name}"


def split(policy: Policy, values: Sequence[str] = ()) -> dict[str, float]:
    """Return each test's share of ``policy.rollback_alpha``, by the metric's name; they sum to at most that.

    Objectives get a tenth beforehand, in equal parts: what they look for is large, so a small share costs little time.

    Args:
        policy: What is judged.
        values: Names of the value metrics that may roll back: together they get a fifth, in equal parts.
    """
    alpha = policy.rollback_alpha
    custom = {named(one): alpha * _OBJECTIVES / len(policy.objectives) for one in policy.objectives}
    alpha *= 1.0 - _OBJECTIVES if policy.objectives else 1.0
    custom |= {name: alpha * _CUSTOM / len(values) for name in values}
    rest = alpha * (1.0 - _CUSTOM if values else 1.0)
    found: dict[str, float] = {}
    if policy.errors is not None:
        guarded = policy.errors.slo is not None
        found["errors"] = rest * _ERRORS / (2.0 if guarded else 1.0)
        if guarded:
            found["slo"] = rest * _ERRORS / 2.0
        found["gross-errors"] = rest * _GROSS
    if policy.latency is not None:
        found["latency"] = rest * _LATENCY
        found["gross-latency"] = rest * _GROSS
    return found | custom
