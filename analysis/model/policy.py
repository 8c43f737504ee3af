"""What the judge is asked: margins, error probabilities, warm-up. All defaults are safe ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from analysis.model.objective import Objective

__all__ = ["DEFAULT_BOUNDS_MS", "ErrorPolicy", "LatencyPolicy", "Policy"]

DEFAULT_BOUNDS_MS: Final[tuple[float, ...]] = (
    0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 12.5, 15, 17.5, 20, 25, 30, 35, 40, 50, 60, 75, 100, 125, 150, 200, 250, 300,
    400, 500, 750, 1000, 1500, 2000, 3000, 5000, 7500, 10000, 15000, 30000, 60000,
)  # fmt: skip
"""Upper bounds of latency buckets in milliseconds that suit nearly every service (those of the mesh's telemetry)."""


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """Errors: the canary is fine while its rate is at most ``ratio`` × baseline + ``absolute``.

    Attributes:
        ratio: Tolerated ratio of error rates (1.5: half as many errors again).
        absolute: Tolerated additional share of failed attempts (0.0025: a quarter of a point).
        warm_up: Seconds of a pod's life that do not count (gross guards have no warm-up).
        slo: Share of failed attempts that is never tolerated, whatever the baseline does; None for no such guard.
        noise_ratio: Ratio of error rates that nobody minds: a rollback must show that the canary is beyond it.
        noise_absolute: Additional share of failed attempts that nobody minds. Between noise and margin lies what is
            neither promoted quickly nor rolled back quickly: whichever evidence comes first decides.
    """

    ratio: float = 1.5
    absolute: float = 0.0025
    warm_up: float = 10.0
    slo: float | None = None
    noise_ratio: float = 1.0
    noise_absolute: float = 0.00005


@dataclass(frozen=True, slots=True)
class LatencyPolicy:
    """Latency: the canary is fine while it is at most ``ratio`` × as slow as the baseline.

    Attributes:
        ratio: Tolerated slow-down that promotion must rule out.
        warm_up: Seconds of a pod's life that do not count.
        noise_ratio: Slow-down that nobody minds: a rollback must show that the canary is slower than this.
    """

    ratio: float = 1.25
    warm_up: float = 90.0
    noise_ratio: float = 1.01


@dataclass(frozen=True, slots=True)
class Policy:
    """One release's policy.

    Attributes:
        bounds_ms: Upper bounds of the latency buckets, in milliseconds.
        errors: Policy for errors; None when they are not judged.
        latency: Policy for latency; None when it is not judged.
        rollback_alpha: Probability of ever rolling back a canary that is as good as the baseline.
        promotion_alpha: Probability of ever promoting a canary that is worse by the margin.
        objectives: Service level objectives, which are judged by ``judge_objectives``.
    """

    bounds_ms: tuple[float, ...]
    errors: ErrorPolicy | None = field(default_factory=ErrorPolicy)
    latency: LatencyPolicy | None = field(default_factory=LatencyPolicy)
    rollback_alpha: float = 0.01
    promotion_alpha: float = 0.05
    objectives: tuple[Objective, ...] = ()
