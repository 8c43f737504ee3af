"""The metrics of one look: each with its wealth on both sides."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.judges.cells import cells_of
from analysis.judges.errors import BadCounts, errors_of
from analysis.judges.gross import gross_errors, gross_latency
from analysis.judges.latency import Latency, latency_of
from analysis.judges.objectives import exceeds
from analysis.judges.values import judge_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from analysis.judges.table import Table
    from analysis.model.policy import ErrorPolicy, Policy
    from analysis.model.values import ValueSeries
    from analysis.model.verdict import Evidence

__all__ = ["Metric", "Promotion", "count_metrics", "cuts", "value_metrics"]


@dataclass(frozen=True, slots=True)
class Promotion:
    """Log wealth for promotion.

    Attributes:
        release: Since the release began.
        step: Since the present step began.
    """

    release: float = 0.0
    step: float = 0.0


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric at this look; wealths are logs.

    Attributes:
        name: As in ``Evidence.metric``.
        rollback: Log wealth against "within noise".
        threshold: Where it rolls back; infinity for a metric that must not.
        counts: What it was judged from; None for a value metric.
        promotion: Log wealth for promotion; None where the metric has no say in it.
        without: The rollback wealth without some canary pods.
        told: The evidence of a value metric.
    """

    name: str
    rollback: float
    threshold: float
    counts: BadCounts | Latency | None = None
    promotion: Promotion | None = None
    without: Callable[[Sequence[str]], float] | None = None
    told: Evidence | None = None

    @property
    def refuted(self) -> bool:
        """Whether it says that the canary is worse."""
        return self.rollback >= self.threshold


def count_metrics(
    table: Table,
    policy: Policy,
    born: Mapping[str, float],
    steps: Sequence[float],
    *,
    alone: float | None,
    alphas: Mapping[str, float],
    exact: bool,
) -> list[Metric]:
    """Judge errors and latency.

    Args:
        table: The counts of the release.
        policy: Margins and warm-up.
        born: Start of each pod, Unix seconds.
        steps: When steps began, ascending.
        alone: Since when the canary has been without a baseline; None while there is one.
        alphas: Each metric's share of the probability of a false rollback.
        exact: Work out each rollback wealth even where a bound tells that it is quiet.
    """
    cold, found = cells_of(table, None, steps), []
    thresholds = {name: -math.log(alpha) for name, alpha in alphas.items()}
    if policy.errors is not None:
        found += _error_metrics(table, policy.errors, born, steps, thresholds, exact=exact)
        failed = errors_of(cold)
        found.append(
            Metric("gross-errors", gross_errors(failed, alone, exact=exact), thresholds["gross-errors"], failed)
        )
    if policy.latency is not None:
        found.append(_latency_metric(table, policy, born, steps, thresholds["latency"], exact=exact))
        answered = latency_of(cold, policy.bounds_ms)
        found.append(
            Metric("gross-latency", gross_latency(answered, exact=exact), thresholds["gross-latency"], answered)
        )
    return found


def _error_metrics(
    table: Table,
    policy: ErrorPolicy,
    born: Mapping[str, float],
    steps: Sequence[float],
    thresholds: Mapping[str, float],
    *,
    exact: bool,
) -> list[Metric]:
    keep = table.warm(born, policy.warm_up)
    warm = errors_of(cells_of(table, keep, steps))

    def without(pods: Sequence[str]) -> float:
        return errors_of(cells_of(table, keep & _others(table, pods), steps)).rollback(policy)

    step_row = int(np.searchsorted(table.start, steps[-1])) if steps else 0
    promotion = Promotion(*warm.promotion(policy, step_row))
    found = [Metric("errors", warm.rollback(policy, exact=exact), thresholds["errors"], warm, promotion, without)]
    if policy.slo is not None:
        found.append(Metric("slo", exceeds(warm, policy.slo).wealth, thresholds["slo"], warm))
    return found


def _latency_metric(
    table: Table, policy: Policy, born: Mapping[str, float], steps: Sequence[float], threshold: float, *, exact: bool
) -> Metric:
    assert policy.latency is not None  # noqa: S101 - the caller's own condition
    part, bounds = policy.latency, policy.bounds_ms
    keep = table.warm(born, part.warm_up)
    warm = latency_of(cells_of(table, keep, steps), bounds)

    def without(pods: Sequence[str]) -> float:
        return latency_of(cells_of(table, keep & _others(table, pods), steps), bounds).rollback(part.noise_ratio)

    step_row = int(np.searchsorted(table.start, steps[-1])) if steps else 0
    rows = [restart.row for restart in warm.cells.begun]
    promotion = Promotion(*warm.promotion(part.ratio, rows.index(step_row) if step_row in rows else 0))
    return Metric("latency", warm.rollback(part.noise_ratio, exact=exact), threshold, warm, promotion, without)


def _others(table: Table, pods: Sequence[str]) -> NDArray[np.bool_]:
    """All columns but those of some canary pods."""
    return np.array([not (c and name in pods) for c, name in zip(table.canary, table.pods, strict=True)])[None, :]


def value_metrics(values: Sequence[ValueSeries], policy: Policy, alphas: Mapping[str, float]) -> list[Metric]:
    """Judge value metrics. Those on a dry run are shown and decide nothing; only critical ones may roll back."""
    found = []
    for series in values:
        name = series.policy.name
        decides = series.policy.critical and not series.policy.dry_run
        alpha = alphas[name] if decides else None
        verdict = judge_value(
            series, alpha=policy.rollback_alpha if alpha is None else alpha, promotion_alpha=policy.promotion_alpha
        )
        promotion = None if series.policy.dry_run else Promotion(verdict.promotion, verdict.promotion)
        rollback, threshold = (verdict.rollback, -math.log(alpha)) if alpha is not None else (0.0, math.inf)
        found.append(Metric(name, rollback, threshold, told=verdict.evidence, promotion=promotion))
    return found


def cuts(table: Table, policy: Policy, born: Mapping[str, float], steps: Sequence[float]) -> list[float]:
    """Return where cells may not be merged: the share of traffic changes, or a canary pod gets warm."""
    ages = [part.warm_up for part in (policy.errors, policy.latency) if part is not None]
    pods = {pod for pod, canary in zip(table.pods, table.canary, strict=True) if canary and pod in born}
    return [*steps, *{born[pod] + age for pod in pods for age in ages}]
