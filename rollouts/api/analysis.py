"""``spec.analysis``: how each weight step is judged, and what happens with the answer. Every field has a safe default."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field, model_validator

from analysis.api.template import TemplateReference
from analysis.model.policy import ErrorPolicy, LatencyPolicy
from crds.base import Duration, Resource
from crds.schema import Rule, rules
from rollouts.api.source import Source

__all__ = ["MOST_HELD_BACK", "Analysis", "ErrorAnalysis", "LatencyAnalysis", "OnInconclusive", "OnOutlierPod"]

MOST_HELD_BACK: Final = 20
"""The most that ``holdbackPercent`` may be."""
_PERCENT: Final = 100.0
_ERRORS: Final = ErrorPolicy()
_LATENCY: Final = LatencyPolicy()
_NOISE_WITHIN_MARGIN: Final = "noiseRatio is above maxRatio: what nobody minds is a part of what is tolerated; lower it"


class OnInconclusive(StrEnum):
    """What happens when a step's ``maxStepDuration`` passes and the evidence says neither promote nor roll back."""

    HOLD = "Hold"
    """Wait for evidence, or for a person to promote or abort."""
    PROMOTE = "Promote"
    """Go on to the next step."""
    ROLL_BACK = "RollBack"
    """Take the release back."""
    APPROVE = "Approve"
    """Ask a person: the step waits for coalmine.dev/approve, promote or abort. The rollback guards stay on."""


class OnOutlierPod(StrEnum):
    """What happens when one canary pod of several carries the whole difference."""

    REPLACE_POD = "ReplacePod"
    """Evict that pod, once in a release, leave its requests out and judge on. A second one takes the release back."""
    HOLD = "Hold"
    """Stay at this weight. While it lasts the step is not passed; onInconclusive decides after maxStepDuration."""
    ROLL_BACK = "RollBack"
    """Take the release back, as if all of its pods were worse."""


class ErrorAnalysis(Resource):
    """The canary is fine while its error rate is at most maxRatio × the baseline's + maxIncreasePercent."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule="!has(self.noiseRatio) || !has(self.maxRatio) || self.noiseRatio <= self.maxRatio",
                message=_NOISE_WITHIN_MARGIN,
            )
        )
    )

    enabled: Annotated[bool, Field(description="Whether errors are judged.")] = True
    max_ratio: Annotated[
        float, Field(ge=1, le=100, description="Tolerated ratio of the error rates: 1.5 is half as many errors again.")
    ] = _ERRORS.ratio
    max_increase_percent: Annotated[
        float, Field(ge=0, le=100, description="Percentage points of errors tolerated beyond that ratio.")
    ] = _ERRORS.absolute * _PERCENT
    noise_ratio: Annotated[
        float,
        Field(
            ge=1,
            le=100,
            description="Ratio of the error rates that nobody minds: only a canary that is shown to be beyond it is taken "
            "back. 1 takes back whatever is shown to be worse.",
        ),
    ] = _ERRORS.noise_ratio
    noise_increase_percent: Annotated[
        float, Field(ge=0, le=100, description="Percentage points of errors beyond that ratio that nobody minds.")
    ] = round(_ERRORS.noise_absolute * _PERCENT, 9)
    slo_percent: Annotated[
        float | None,
        Field(
            gt=0, le=100, description="A share of failed requests that is never tolerated, with or without a baseline."
        ),
    ] = None
    warm_up: Annotated[Duration, Field(description="The first part of a canary pod's life, which does not count.")] = (
        _ERRORS.warm_up
    )

    @model_validator(mode="after")
    def _noise_is_tolerated(self) -> ErrorAnalysis:
        if self.noise_ratio > self.max_ratio:
            raise ValueError(_NOISE_WITHIN_MARGIN)
        return self


class LatencyAnalysis(Resource):
    """The canary is fine while it is at most maxRatio × as slow as the baseline."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule="!has(self.noiseRatio) || !has(self.maxRatio) || self.noiseRatio <= self.maxRatio",
                message=_NOISE_WITHIN_MARGIN,
            )
        )
    )

    enabled: Annotated[bool, Field(description="Whether latency is judged.")] = True
    max_ratio: Annotated[
        float, Field(gt=1, le=100, description="Tolerated slow-down: 1.25 is a quarter slower than the baseline.")
    ] = _LATENCY.ratio
    noise_ratio: Annotated[
        float,
        Field(
            ge=1,
            le=100,
            description="Slow-down that nobody minds: only a canary that is shown to be slower than this is taken back.",
        ),
    ] = _LATENCY.noise_ratio
    warm_up: Annotated[Duration, Field(description="The first part of a canary pod's life, which does not count.")] = (
        _LATENCY.warm_up
    )

    @model_validator(mode="after")
    def _noise_is_tolerated(self) -> LatencyAnalysis:
        if self.noise_ratio > self.max_ratio:
            raise ValueError(_NOISE_WITHIN_MARGIN)
        return self


class Analysis(Resource):
    """How each setWeight step is judged."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule="!has(self.minStepDuration) || !has(self.maxStepDuration)"
                " || duration(self.minStepDuration) <= duration(self.maxStepDuration)",
                message="minStepDuration is longer than maxStepDuration: shorten it or lengthen maxStepDuration",
            )
        )
    )

    enabled: Annotated[
        bool, Field(description="Whether steps are judged at all; without it they last minStepDuration.")
    ] = True
    errors: Annotated[ErrorAnalysis, Field(description="How errors are judged.")] = ErrorAnalysis()
    latency: Annotated[LatencyAnalysis, Field(description="How latency is judged.")] = LatencyAnalysis()
    source: Annotated[
        Source | None,
        Field(description="Where the counts of requests come from; the included mesh's telemetry by default."),
    ] = None
    templates: Annotated[
        tuple[TemplateReference, ...],
        Field(
            max_length=8,
            description="AnalysisTemplates whose metrics are judged as well.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    rollback_alpha: Annotated[
        float,
        Field(gt=0, lt=0.5, description="Probability of ever rolling back a canary that is as good as the baseline."),
    ] = 0.01
    promotion_alpha: Annotated[
        float, Field(gt=0, lt=0.5, description="Probability of promoting a canary that is worse by the margin.")
    ] = 0.05
    min_step_duration: Annotated[Duration, Field(description="A step lasts at least this long.")] = 30.0
    max_step_duration: Annotated[Duration, Field(description="After this, onInconclusive decides.")] = 1800.0
    on_inconclusive: Annotated[
        OnInconclusive,
        Field(
            description="What happens when maxStepDuration passes and the evidence says neither promote nor roll back. "
            "Hold waits for evidence or a person, Approve for a person."
        ),
    ] = OnInconclusive.HOLD
    on_outlier_pod: Annotated[
        OnOutlierPod,
        Field(
            description="What happens when one canary pod of several carries the whole difference. ReplacePod evicts it, "
            "once in a release, and judges on without its requests; a second one takes the release back."
        ),
    ] = OnOutlierPod.REPLACE_POD
    holdback_percent: Annotated[
        int,
        Field(
            ge=0,
            le=MOST_HELD_BACK,
            description="At a judged step of setWeight 100 stable keeps this share of the requests, to compare with, until "
            "the canary is promoted. With 0 only the absolute guards (sloPercent, gross errors and latency) judge at 100 %.",
        ),
    ] = 5

    @property
    def judges(self) -> bool:
        """Whether anything is judged at all."""
        return self.enabled and (self.counts or bool(self.templates))

    @property
    def counts(self) -> bool:
        """Whether counts of requests are judged."""
        return self.enabled and (self.errors.enabled or self.latency.enabled)

    @model_validator(mode="after")
    def _durations_are_in_order(self) -> Analysis:
        if self.min_step_duration > self.max_step_duration:
            msg = "minStepDuration is longer than maxStepDuration: shorten it or lengthen maxStepDuration"
            raise ValueError(msg)
        return self
