"""How long a step must be: the judge's own tests on the counts that are to be expected.

Expected counts instead of random ones make the log wealth its mean, so the answer is close to the median over releases.
What pods differ by is taken as the judge's prior; errors in clumps and pods that differ more take longer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.judges.cells import cells_of
from analysis.judges.errors import errors_of
from analysis.judges.latency import latency_of
from analysis.judges.table import Table
from analysis.model import budget
from analysis.stats.histograms import lognormal_shares

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from analysis.judges.cells import Cells
    from analysis.model.policy import Policy
    from analysis.stats.counting import Array

__all__ = ["Plan", "Traffic", "plan"]

_LONGEST: Final = 7 * 86_400.0
_PRECISION: Final = 1.01


@dataclass(frozen=True, slots=True)
class Traffic:
    """A service.

    Attributes:
        rps: Requests a second, both versions together.
        error_rate: Share of requests that fail.
        p50_ms: Median latency, milliseconds.
        p99_ms: 99th percentile; latencies are taken as lognormal through both.
        stable_pods: Pods of the present version.
        canary_pods: Pods of the new version.
    """

    rps: float
    error_rate: float
    p50_ms: float = 20.0
    p99_ms: float = 80.0
    stable_pods: int = 10
    canary_pods: int = 3

    def __post_init__(self) -> None:
        """Refuse what is no service.

        Raises:
            ValueError: A number is out of range; the message names it.
        """
        if not self.rps > 0:
            raise ValueError(f"rps is {self.rps:g}: give the requests a second, above 0")
        if not 0 <= self.error_rate < 1:
            raise ValueError(f"error rate is {self.error_rate:g}: give a share from 0 to below 1 (1 % is 0.01)")
        if not 0 < self.p50_ms < self.p99_ms:
            raise ValueError(
                f"p50 {self.p50_ms:g} ms and p99 {self.p99_ms:g} ms: p99 must be above p50, and both above 0"
            )
        if min(self.stable_pods, self.canary_pods) < 1:
            raise ValueError("pods: each version has at least one")


@dataclass(frozen=True, slots=True)
class Plan:
    """How long it takes at one weight, in seconds since the step began; None where a week is not enough.

    Attributes:
        weight: The canary's share, percent.
        errors: By ratio of error rates: until it is taken back.
        latency: By ratio of latencies: until it is taken back.
        equal: Until an equal version is promoted.
    """

    weight: float
    errors: dict[float, float | None]
    latency: dict[float, float | None]
    equal: float | None


def plan(
    traffic: Traffic,
    policy: Policy,
    *,
    weights: Sequence[float],
    error_ratios: Sequence[float],
    latency_ratios: Sequence[float],
) -> list[Plan]:
    """Say how long each step must be.

    Args:
        traffic: The service.
        policy: Margins, probabilities, warm-up.
        weights: The canary's shares to look at, percent.
        error_ratios: Regressions: how many times as many errors.
        latency_ratios: Regressions: how many times as slow.
    """
    return [_at(traffic, policy, weight, error_ratios, latency_ratios) for weight in weights]


def _at(
    traffic: Traffic, policy: Policy, weight: float, error_ratios: Sequence[float], latency_ratios: Sequence[float]
) -> Plan:
    goals = {name: -float(np.log(alpha)) for name, alpha in budget.split(policy).items()}
    promotion, bounds = -float(np.log(policy.promotion_alpha)), policy.bounds_ms
    found = Plan(weight, {}, {}, None)
    equal = 0.0
    if (part := policy.errors) is not None:
        for ratio in error_ratios:
            back = _wealth(traffic, bounds, weight, lambda c: errors_of(c).rollback(part), errors=ratio)
            found.errors[ratio] = _after(back, goals["errors"], part.warm_up)
        fine = _wealth(traffic, bounds, weight, lambda c: errors_of(c).promotion(part, 0)[0])
        equal = _later(equal, _after(fine, promotion, part.warm_up))
    if (slow := policy.latency) is not None:
        for ratio in latency_ratios:
            back = _wealth(
                traffic, bounds, weight, lambda c: latency_of(c, bounds).rollback(slow.noise_ratio), slower=ratio
            )
            found.latency[ratio] = _after(back, goals["latency"], slow.warm_up)
        fine = _wealth(traffic, bounds, weight, lambda c: latency_of(c, bounds).promotion(slow.ratio, 0)[0])
        equal = _later(equal, _after(fine, promotion, slow.warm_up))
    return replace(found, equal=None if equal == np.inf else equal)


def _later(one: float, other: float | None) -> float:
    return float(np.inf) if other is None else max(one, other)


def _wealth(
    traffic: Traffic,
    bounds: tuple[float, ...],
    weight: float,
    read: Callable[[Cells], float],
    *,
    errors: float = 1.0,
    slower: float = 1.0,
) -> Callable[[float], float]:
    """Log wealth by seconds, for a canary with so many times the errors and latency."""
    own, canary = (lognormal_shares(bounds, traffic.p50_ms * f, traffic.p99_ms * f) for f in (1.0, slower))

    def at(seconds: float) -> float:
        return read(cells_of(_expected(traffic, weight / 100.0, seconds, errors, (own, canary)), None, ()))

    return at


def _expected(traffic: Traffic, share: float, seconds: float, ratio: float, shares: tuple[Array, Array]) -> Table:
    pods = traffic.stable_pods + traffic.canary_pods
    canary = np.arange(pods) >= traffic.stable_pods
    part = np.where(canary, share / traffic.canary_pods, (1 - share) / traffic.stable_pods)
    attempts = traffic.rps * seconds * part
    rate = np.where(canary, min(traffic.error_rate * ratio, 1.0), traffic.error_rate)
    return Table(
        start=np.zeros(1),
        end=np.full(1, seconds),
        pods=tuple(f"{'canary' if c else 'stable'}-{i}" for i, c in enumerate(canary)),
        canary=canary,
        attempts=attempts[None, :],
        errors=(attempts * rate)[None, :],
        latency=(attempts[:, None] * np.where(canary[:, None], shares[1], shares[0]))[None],
    )


def _after(wealth: Callable[[float], float], goal: float, warm_up: float) -> float | None:
    """The first time, warm-up included, at which the wealth reaches the goal."""
    high = 1.0
    while wealth(high) < goal:
        high *= 2.0
        if high > _LONGEST:
            return None
    low = high / 2.0
    while high / low > _PRECISION:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if wealth(middle) >= goal else (middle, high)
    return warm_up + high
