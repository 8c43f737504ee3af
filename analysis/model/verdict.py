"""What the judge answers: a decision, the evidence in numbers, and the same in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Decision", "Evidence", "Need", "Verdict"]


class Decision(StrEnum):
    """The judge's answer at one look."""

    PROMOTE = "Promote"
    """Every metric is shown to be within its margin."""
    ROLL_BACK = "RollBack"
    """At least one metric is shown to be worse."""
    CONTINUE = "Continue"
    """Neither is shown yet; ``Verdict.need`` says what is missing."""
    NO_BASELINE = "NoBaseline"
    """There is no concurrent baseline: only absolute guards (SLO, gross) were judged."""
    NO_DATA = "NoData"
    """Nothing was measured for a while: an outage of metrics or no traffic. Never a verdict on the canary."""
    OUTLIER = "OutlierPod"
    """A minority of the canary pods carries the whole difference; ``Verdict.outlier`` names the worst, the summary all."""


@dataclass(frozen=True, slots=True)
class Need:
    """What is still missing for a decision to promote, if the canary is as good as it looks.

    Attributes:
        attempts: Canary attempts still needed; None when it cannot be estimated.
        seconds: At the present rate; None when it cannot be estimated.
    """

    attempts: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """One metric's evidence.

    Attributes:
        metric: ``errors``, ``latency``, ``gross-errors``, ``gross-latency`` or ``slo``.
        canary: The canary's value (errors: share; latency: p99 in milliseconds).
        baseline: The baseline's value; None without a baseline.
        canary_count: Canary attempts that were judged.
        baseline_count: Baseline attempts that were judged.
        difference: Estimated difference or ratio, in the metric's own terms.
        interval: Anytime-valid interval of ``difference``; None while unbounded. Its lower end is as sure as a rollback has to
            be (99.5 % by default), its upper end as a promotion (95 %).
        rollback_e: E-value against "within the margin": the rollback wealth. Rolls back at ``rollback_at``.
        rollback_at: The threshold for ``rollback_e``.
        promote_e: E-value against "worse by the margin or more". Promotes at ``promote_at``.
        promote_at: The threshold for ``promote_e``.
        words: One sentence, e.g. ``canary 5.1 % errors of 1,204 requests, baseline 0.1 % of 10,911; worse by ≥ 3.9 points, 99.5 % confidence at any time``.
    """

    metric: str
    canary: float | None
    baseline: float | None
    canary_count: int
    baseline_count: int
    difference: float | None
    interval: tuple[float, float] | None
    rollback_e: float
    rollback_at: float
    promote_e: float
    promote_at: float
    words: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer at one look.

    Attributes:
        decision: What the evidence says.
        summary: The reason in one sentence.
        evidence: One entry for each metric that was judged.
        need: What promotion still needs; None when nothing is missing or it cannot be reached.
        outlier: The pod that carries the difference, or the worst of a few, with ``Decision.OUTLIER``.
    """

    decision: Decision
    summary: str
    evidence: tuple[Evidence, ...]
    need: Need | None = None
    outlier: str | None = None
