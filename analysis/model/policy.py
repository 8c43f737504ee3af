"""What the judge is asked: margins, error probabilities, warm-up. All defaults are safe ones."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["ErrorPolicy", "LatencyPolicy", "Policy"]


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
    """

    bounds_ms: tuple[float, ...]
    errors: ErrorPolicy | None = field(default_factory=ErrorPolicy)
    latency: LatencyPolicy | None = field(default_factory=LatencyPolicy)
    rollback_alpha: float = 0.01
    promotion_alpha: float = 0.05
