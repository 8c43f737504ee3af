"""How much more counts vary from window to window than independent requests would: errors in clumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from analysis.stats.counting import Array

__all__ = ["dispersion"]


def dispersion(sums: Array, attempts: Array, *, unit: float | None = None, prior_weight: float = 4.0) -> Array:
    """Short-scale dispersion φ from successive differences of each pod, at least 1.

    Differences of neighbouring windows cancel slow trends and what separates pods, and leave clumps. For independent
    requests the ratio below is 1 on average; for clumps of ``c`` it is about ``c``, even with few of them.

    Args:
        sums: Bad requests (or sums of centred scores), … × windows × pods: each of the leading axes' for itself.
        attempts: Attempts, windows × pods.
        unit: Variance of one attempt's contribution; None for counts, where it is the bad share of each pair.
        prior_weight: How many bad requests' (or pairs') worth of "independent" is assumed beforehand.

    Returns:
        φ ≥ 1, of the leading axes' shape; 1 when there is nothing to learn from.

    Source: von Neumann 1941 (mean square successive difference), as a ratio of sums.
    """
    product = attempts[:-1] * attempts[1:]
    paired = (product > 0).astype(np.float64)
    uses = np.zeros(attempts.shape)  # how many of the differences each window is part of
    uses[:-1] = paired
    uses[1:] += paired
    rates = sums / np.where(attempts > 0, attempts, 1.0)
    steps = rates[..., 1:, :] - rates[..., :-1, :]
    each = (*sums.shape[:-2], -1)
    squares = (steps * steps).reshape(each) @ product.ravel()
    expected = sums.reshape(each) @ uses.ravel() if unit is None else unit * np.vdot(attempts, uses)
    if unit is not None and paired.any():  # in the same terms
        prior_weight = prior_weight * expected / paired.sum()
    total = expected + prior_weight
    found = (squares + prior_weight) / np.where(total > 0, total, 1.0)
    return np.asarray(np.where(total > 0, np.maximum(found, 1.0), 1.0))
