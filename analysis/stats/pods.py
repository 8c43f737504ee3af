"""How much pods of one version differ among themselves: only replication between pods can see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from analysis.stats.counting import Array

_NO_UNIT: Final = 1e-15

__all__ = ["Spread", "between_pods", "effective_number"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Variance between pods.

    Attributes:
        variance: Of the log rate (or score tilt) between pods.
        dof: Degrees of freedom behind it, the prior's included.
    """

    variance: float
    dof: float


def effective_number(attempts: Array) -> float:
    """Number of equally loaded pods that would average as well: ``(Σn)² / Σn²``; 0 without attempts."""
    square = float((attempts * attempts).sum())
    return float(attempts.sum()) ** 2 / square if square > 0 else 0.0


def between_pods(sums: Array, attempts: Array, *, unit: float, dispersion: float, prior: Spread) -> Spread:
    """Variance between pods by the method of moments, shrunk to a prior by what the counts can tell.

    Args:
        sums: Bad requests (or sums of scores around their mean) of each pod.
        attempts: Attempts of each pod.
        unit: Variance of one attempt's contribution without pod effects: the bad share, or the scores' variance.
        dispersion: Factor by which counts vary more than independent ones.
        prior: What pods usually differ by.

    Returns:
        The shrunk variance; the prior when the pods or the counts are too few to tell.

    Source: DerSimonian and Laird 1986 (moments), with a scaled-inverse-chi-square prior's weights.
    """
    used = attempts > 0
    sums, attempts = sums[used], attempts[used]
    groups, total = attempts.size, float(attempts.sum())
    if groups < 2 or unit < _NO_UNIT:  # noqa: PLR2004 - one pod shows no difference
        return prior
    mean = float(sums.sum()) / total
    heterogeneity = float(((sums - attempts * mean) ** 2 / (attempts * unit)).sum())
    information = unit * (total - float((attempts * attempts).sum()) / total)
    moment = max(0.0, (heterogeneity - dispersion * (groups - 1)) / information)
    signal = information / (groups - 1) * max(prior.variance, moment)
    weight = (signal / (dispersion + signal)) ** 2 * (groups - 1)
    dof = prior.dof + weight
    return Spread((prior.dof * prior.variance + weight * moment) / dof, dof)
