"""How much pods of one version differ among themselves: only replication between pods can see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from analysis.stats.counting import Array

_NO_UNIT: Final = 1e-15

__all__ = ["Spread", "between_pods", "effective_number"]


@dataclass(frozen=True, slots=True)
class Spread:
    """Variance between pods.

    Attributes:
        variance: Of the log rate (or score tilt) between pods; one value, or one for each horizon.
        dof: Degrees of freedom behind it, the prior's included.
    """

    variance: Array
    dof: Array

    @classmethod
    def of(cls, variance: float, dof: float) -> Spread:
        """A spread of one value."""
        return cls(np.asarray(variance, dtype=np.float64), np.asarray(dof, dtype=np.float64))


def effective_number(attempts: Array) -> Array:
    """Number of equally loaded pods that would average as well: ``(Σn)² / Σn²`` over the last axis; 0 without attempts."""
    square = (attempts * attempts).sum(axis=-1)
    total = attempts.sum(axis=-1)
    return np.asarray(np.divide(total * total, square, out=np.zeros_like(square), where=square > 0))


def between_pods(
    sums: Array, attempts: Array, *, unit: Array | float, dispersion: Array | float, prior: Spread
) -> Spread:
    """Variance between pods by the method of moments, shrunk to a prior by what the counts can tell.

    Args:
        sums: Bad requests (or sums of scores) of each pod beyond what the version's own rate makes, … × pods; a common
            offset in the rate does not matter.
        attempts: Attempts of each pod, … × pods.
        unit: Variance of one attempt's contribution without pod effects: the bad share, or the scores' variance.
        dispersion: Factor by which counts vary more than independent ones, one or one for each of the leading axes.
        prior: What pods usually differ by.

    Returns:
        The shrunk variance; the prior where the pods or the counts are too few to tell.

    Source: DerSimonian and Laird 1986 (moments), with a scaled-inverse-chi-square prior's weights.
    """
    unit = np.asarray(unit, dtype=np.float64)
    groups = (attempts > 0).sum(axis=-1)
    total = attempts.sum(axis=-1)
    known = (groups > 1) & (unit > _NO_UNIT)
    whole = np.where(total > 0, total, 1.0)
    mean = sums.sum(axis=-1) / whole
    scale = np.where(attempts > 0, attempts, 1.0) * np.where(known, unit, 1.0)[..., None]
    heterogeneity = ((sums - attempts * mean[..., None]) ** 2 / scale).sum(axis=-1)
    information = np.where(known, unit * (total - (attempts * attempts).sum(axis=-1) / whole), 1.0)
    freedom = np.maximum(groups - 1, 1)
    moment = np.maximum(0.0, (heterogeneity - dispersion * freedom) / information)
    signal = information / freedom * np.maximum(prior.variance, moment)
    weight = np.where(known, (signal / (dispersion + signal)) ** 2 * freedom, 0.0)
    dof = prior.dof + weight
    return Spread((prior.dof * prior.variance + weight * moment) / dof, dof)
