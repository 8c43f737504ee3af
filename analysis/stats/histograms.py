"""Latency from cumulative buckets: survival, quantiles for display, ranks, and what a slow-down does to a histogram.

Inside a bucket latencies are taken as spread evenly on the log scale.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from analysis.stats.counting import Array

__all__ = [
    "centred_ranks",
    "edges",
    "lognormal_shares",
    "nearest_boundary",
    "quantile",
    "slowed_ratio",
    "survival",
    "survival_at",
]

_MOST: Final = 0.5


def edges(bounds: Sequence[float]) -> Array:
    """Lower and upper ends of the buckets: half the first bound, the bounds, and twice the last one."""
    inner = np.asarray(bounds, dtype=np.float64)
    return np.concatenate([[inner[0] / 2], inner, [inner[-1] * 2]])


@lru_cache(maxsize=16)
def _log_edges(bounds: tuple[float, ...]) -> Array:
    found = np.log(edges(bounds))
    found.flags.writeable = False
    return found


def survival(counts: Array) -> Array:
    """Share of requests above each of the ``len(counts) + 1`` edges; all 0 without requests."""
    above = np.zeros(counts.size + 1)
    above[:-1] = counts[::-1].cumsum()[::-1]
    return above / above[0] if above[0] > 0 else above


def survival_at(counts: Array, bounds: Sequence[float], at: Array) -> Array:
    """Share of requests slower than each value of ``at`` (milliseconds), interpolated."""
    return np.asarray(np.interp(np.log(at), _log_edges(tuple(bounds)), survival(counts), left=1.0, right=0.0))


def quantile(counts: Array, bounds: Sequence[float], share: float) -> float | None:
    """The latency (milliseconds) that ``share`` of the requests do not exceed, interpolated; None without requests.

    For display only: decisions are made on counts.
    """
    if counts.sum() <= 0:
        return None
    below = 1.0 - survival(counts)
    ends = _log_edges(tuple(bounds))
    bucket = max(min(int(np.searchsorted(below, share, side="left")), counts.size) - 1, 0)
    mass = below[bucket + 1] - below[bucket]
    part = (share - below[bucket]) / mass if mass > 0 else 1.0
    return float(np.exp(ends[bucket] + (ends[bucket + 1] - ends[bucket]) * min(max(part, 0.0), 1.0)))


def slowed_ratio(counts: Array, bounds: Sequence[float], factor: ArrayLike) -> Array:
    """Ratio of each bucket's share when every latency is multiplied by ``factor``, to its share now, … × buckets.

    This is how "``factor`` times slower is fine" becomes a margin on counts. Half a request is spread over each
    histogram, so that an empty bucket gives a finite ratio.
    """
    total = float(counts.sum())
    shift = np.log(np.asarray(factor, dtype=np.float64))[..., None]
    if total <= 0:
        return np.ones((*shift.shape[:-1], counts.size))
    limits = _log_edges(tuple(bounds))
    moved = np.interp(limits - shift, limits, survival(counts), left=1.0, right=0.0)
    moved[..., 0], moved[..., -1] = 1.0, 0.0
    smooth = 0.5 / (total + 1.0)
    return np.asarray((np.maximum(moved[..., :-1] - moved[..., 1:], 0.0) + smooth) / (counts / total + smooth))


def nearest_boundary(counts: Array, share: ArrayLike) -> NDArray[np.intp]:
    """Index of the bucket bound whose exceedance share is nearest to ``share`` (one or several) on the log scale.

    One that most requests exceed is no far percentile, so it is only taken where there is no other: of requests that are
    all alike, none exceeds the bound that is returned.
    """
    above = survival(counts)[1:-1]
    smooth = 0.5 / (float(counts.sum()) + 1.0)
    if above[-1] > _MOST:
        return np.full(np.shape(share), above.size - 1)
    distance = np.abs(np.log((above + smooth) / np.asarray(share, dtype=np.float64)[..., None]))
    return np.asarray(np.where(above <= _MOST, distance, np.inf).argmin(axis=-1))


def centred_ranks(counts: Array) -> Array:
    """Wilcoxon scores of the buckets: midrank as a share, less one half. Their mean over the counts is 0."""
    total = float(counts.sum())
    if total <= 0:
        return np.zeros_like(counts)
    return np.asarray((np.cumsum(counts) - counts / 2) / total - 0.5)


def lognormal_shares(bounds: Sequence[float], p50: float, p99: float) -> Array:
    """Shares of the buckets when latencies are lognormal with this median and 99th percentile (milliseconds)."""
    sd = np.log(p99 / p50) / special.ndtri(0.99)
    below = special.ndtr(np.log(np.asarray(bounds, dtype=np.float64) / p50) / sd)
    return np.diff(np.concatenate([[0.0], below, [1.0]]))
