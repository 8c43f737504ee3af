"""One test's counts: which requests count as bad, and by how much a bet says that there are more of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.stats.bets import GRID
from analysis.stats.counting import Array, log_evalues
from analysis.stats.dispersion import dispersion
from analysis.stats.histograms import centred_ranks, slowed_ratio, survival, survival_at
from analysis.stats.pods import Spread, between_pods, effective_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.judges.table import Table

__all__ = ["Series", "errors_series", "exceedance_series", "rank_series"]

ERROR_SPREAD: Final = Spread(variance=0.2**2, dof=4.0)
"""Prior: what the log error rates of equal pods differ by."""

LATENCY_SPREAD: Final = Spread(variance=0.05**2, dof=8.0)
"""Prior: what the log latencies of equal pods differ by."""


@dataclass(frozen=True, slots=True)
class Series:
    """Counts of one test.

    Attributes:
        canary: Bad canary requests, cells × categories.
        baseline: Bad baseline requests, cells × categories.
        canary_n: Canary attempts by cell.
        baseline_n: Baseline attempts by cell.
        ratio: Margin on the rates, one for each category.
        scores: How strongly each category speaks; one category with score 1 for plain counts.
        null: Scores of all categories and their shares at the margin, by which tilts are normalised; None for counts.
        sums: Scores of each baseline pod, cells × pods, around their mean.
        pod_n: Attempts of each baseline pod, cells × pods.
        canary_pod_n: Attempts of each canary pod, cells × pods.
        unit: Variance of one attempt's score.
        dispersion: φ, by which log e-values are divided.
        prior: Prior of the variance between pods, in units of the tilt.
    """

    canary: Array
    baseline: Array
    canary_n: Array
    baseline_n: Array
    ratio: Array
    scores: Array
    null: tuple[Array, Array] | None
    sums: Array
    pod_n: Array
    canary_pod_n: Array
    unit: float
    dispersion: float
    prior: Spread

    def tilts(self, sizes: Array) -> Array:
        """Log ratios of rates beyond the margin, categories × bets, for tilts of these sizes."""
        raw: Array = np.outer(self.scores, sizes)
        if self.null is None:
            return raw
        scores, shares = self.null
        return raw - np.log(shares @ np.exp(np.outer(scores, sizes)))

    def log_evalues(self, *, since: int = 0, shift: float = 0.0, absolute: float = 0.0) -> Array:
        """Log wealth of each bet of the grid from a cell on, with the margin widened by a tilt of ``shift``."""
        ratio = self.ratio
        if shift:
            ratio = ratio * np.exp(self.tilts(np.array([shift]))[:, 0])
        rows = slice(since, None)
        cells = log_evalues(
            self.canary[rows],
            self.baseline[rows],
            self.canary_n[rows],
            self.baseline_n[rows],
            self.tilts(GRID),
            ratio=ratio,
            absolute=absolute,
        )
        return np.asarray(cells / self.dispersion)

    def spread(self, since: int) -> Spread:
        """Variance of the arms' log ratio that comes from pods alone, over the cells from ``since`` on."""
        attempts = self.pod_n[since:].sum(axis=0)
        found = between_pods(
            self.sums[since:].sum(axis=0), attempts, unit=self.unit, dispersion=self.dispersion, prior=self.prior
        )
        pods = max(effective_number(self.canary_pod_n[since:].sum(axis=0)), 1.0)
        others = max(effective_number(attempts), 1.0)
        return Spread(found.variance * (1.0 / pods + 1.0 / others), found.dof)


def errors_series(table: Table, ratio: float) -> Series:
    """Failed attempts."""
    return _counts(table, table.errors, table.attempts, ratio, ERROR_SPREAD)


def exceedance_series(table: Table, bounds: Sequence[float], boundary: int, factor: float) -> Series:
    """Attempts slower than a bucket bound; "``factor`` times slower is fine" becomes a margin on their rate."""
    attempts = table.latency.sum(axis=2)
    slow = table.latency[:, :, boundary + 1 :].sum(axis=2)
    counts = table.latency[:, ~table.canary].sum(axis=(0, 1))
    pod = _tail_ratio(counts, bounds, boundary, float(np.exp(np.sqrt(LATENCY_SPREAD.variance))))
    prior = Spread(float(np.log(pod)) ** 2, LATENCY_SPREAD.dof)
    return _counts(table, slow, attempts, _tail_ratio(counts, bounds, boundary, factor), prior)


def rank_series(table: Table, bounds: Sequence[float], factor: float) -> Series:
    """Pooled ranks: every bucket is a category, and the bets tilt its rate by the bucket's Wilcoxon score.

    Given the pooled counts of each bucket, which arm they fell to is a counting process for each bucket; a bet's tilts
    ``exp(θ score)`` make its log likelihood ratio linear in the Wilcoxon rank sum (Lehmann, Nonparametrics, 1975).
    """
    used = table.latency.sum(axis=(0, 1)) > 0
    counts = table.latency[:, ~table.canary].sum(axis=(0, 1))
    pooled = table.latency.sum(axis=(0, 1))
    scores = centred_ranks(pooled)
    ratio = slowed_ratio(counts, bounds, factor)
    share = _share(counts)
    pod = slowed_ratio(counts, bounds, float(np.exp(np.sqrt(LATENCY_SPREAD.variance))))
    unit = float(_share(pooled) @ scores**2)
    tilt = float(((pod - 1.0) * share) @ scores) / unit if unit > 0 else 0.0
    attempts = table.latency.sum(axis=2)
    sums = table.latency @ scores
    null = ratio * (share + 0.5 / (float(counts.sum()) + 1.0))  # slowed_ratio's own smoothing taken back
    own = sums[:, ~table.canary] - attempts[:, ~table.canary] * float(share @ scores)
    named = _named(table)
    return Series(
        canary=table.latency[:, table.canary].sum(axis=1)[:, used],
        baseline=table.latency[:, ~table.canary].sum(axis=1)[:, used],
        canary_n=attempts[:, table.canary].sum(axis=1),
        baseline_n=attempts[:, ~table.canary].sum(axis=1),
        ratio=ratio[used],
        scores=scores[used],
        null=(scores, null / null.sum()) if null.sum() > 0 else None,
        sums=own[:, named[~table.canary]],
        pod_n=attempts[:, ~table.canary & named],
        canary_pod_n=attempts[:, table.canary & named],
        unit=unit,
        dispersion=dispersion(own, attempts[:, ~table.canary], unit=unit),
        prior=Spread(tilt**2, LATENCY_SPREAD.dof),
    )


def _counts(table: Table, bad: Array, attempts: Array, ratio: float, prior: Spread) -> Series:
    baseline_n = attempts[:, ~table.canary].sum(axis=1)
    baseline = bad[:, ~table.canary].sum(axis=1)
    named = _named(table)
    total = float(baseline_n.sum())
    return Series(
        canary=bad[:, table.canary].sum(axis=1, keepdims=True),
        baseline=baseline[:, None],
        canary_n=attempts[:, table.canary].sum(axis=1),
        baseline_n=baseline_n,
        ratio=np.array([ratio]),
        scores=np.ones(1),
        null=None,
        sums=bad[:, ~table.canary & named],
        pod_n=attempts[:, ~table.canary & named],
        canary_pod_n=attempts[:, table.canary & named],
        unit=float(baseline.sum()) / total if total > 0 else 0.0,
        dispersion=dispersion(bad[:, named], attempts[:, named]),
        prior=prior,
    )


def _tail_ratio(counts: Array, bounds: Sequence[float], boundary: int, factor: float) -> float:
    smooth = 0.5 / (float(counts.sum()) + 1.0)
    moved = float(survival_at(counts, bounds, np.array([bounds[boundary] / factor]))[0])
    return (moved + smooth) / (float(survival(counts)[boundary + 1]) + smooth)


def _named(table: Table) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.array([bool(name) for name in table.pods], dtype=np.bool_)


def _share(counts: Array) -> Array:
    total = float(counts.sum())
    return counts / total if total > 0 else np.zeros_like(counts)
