"""How much more counts vary from window to window than independent requests would: errors in clumps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from analysis.stats.counting import Array

__all__ = ["dispersion"]


def dispersion(sums: Array, attempts: Array, *, unit: float | None = None, prior_weight: float = 4.0) -> float:
    """Short-scale dispersion φ from successive differences of each pod, at least 1.

    Differences of neighbouring windows cancel slow trends and what separates pods, and leave clumps. For independent
    requests the ratio below is 1 on average; for clumps of ``c`` it is about ``c``, even with few of them.

    Args:
        sums: Bad requests (or sums of centred scores), windows × pods.
        attempts: Attempts, windows × pods.
        unit: Variance of one attempt's contribution; None for counts, where it is the bad share of each pair.
        prior_weight: How many bad requests' (or pairs') worth of "independent" is assumed beforehand.

    Returns:
        φ ≥ 1; 1 when there is nothing to learn from.

    Source: von Neumann 1941 (mean square successive difference), as a ratio of sums.
    """
    left, right, n, m = sums[:-1], sums[1:], attempts[:-1], attempts[1:]
    paired = (n > 0) & (m > 0)
    product = np.where(paired, n * m, 1.0)
    squares = np.where(paired, (left * m - right * n) ** 2 / product, 0.0)
    expected = np.where(paired, left + right if unit is None else unit * (n + m), 0.0)
    if unit is not None and paired.any():
        prior_weight *= float(expected.sum()) / int(paired.sum())
    total = float(expected.sum()) + prior_weight
    return max(1.0, (float(squares.sum()) + prior_weight) / total) if total > 0 else 1.0
