"""The steps of a release. Import them from ``rollouts.api.rollout``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from crds.base import Duration, Resource
from crds.schema import Rule, rules
from rollouts.api.approval import Approval
from rollouts.api.matching import MAX_MATCHES, RequestMatch

__all__ = [
    "DEFAULT_STEPS",
    "AnalysisStep",
    "Approval",
    "Experiment",
    "Pause",
    "SetCanaryScale",
    "SetHeaderRoute",
    "SetMirrorRoute",
    "Step",
]

_KINDS = (
    "setWeight",
    "setHeaderRoute",
    "setMirrorRoute",
    "setCanaryScale",
    "analysis",
    "experiment",
    "pause",
    "approval",
)
_ONE_KIND = f"a step sets exactly one of {', '.join(_KINDS)}: write one step for each"
_ONE_SCALE = "setCanaryScale sets exactly one of replicas, weight, matchTrafficWeight: write one of them"
_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_ATOMIC = {"x-kubernetes-list-type": "atomic"}


class Pause(Resource):
    """Wait for a time, or without a duration until resumed."""

    duration: Annotated[
        Duration | None, Field(description="How long (30s, 5m, 1h30m); without it, until somebody resumes.")
    ] = None


class SetHeaderRoute(Resource):
    """Send the requests that match to the canary, whatever its weight. Without match the route is removed."""

    name: Annotated[str, Field(pattern=_NAME, description="A step with the same name replaces or removes the route.")]
    match: Annotated[
        tuple[RequestMatch, ...],
        Field(
            max_length=MAX_MATCHES,
            description="A request that one of these matches goes to the canary; none removes the route.",
            json_schema_extra=_ATOMIC,
        ),
    ] = ()


class SetMirrorRoute(Resource):
    """Send a copy of requests to the canary; its answers are thrown away. There is one mirror at a time."""

    name: Annotated[str, Field(pattern=_NAME, description="For people; a later step replaces the mirror.")] = "mirror"
    match: Annotated[
        tuple[RequestMatch, ...],
        Field(
            max_length=MAX_MATCHES,
            description="Only requests that one of these matches are copied; all by default.",
            json_schema_extra=_ATOMIC,
        ),
    ] = ()
    percentage: Annotated[
        int | None, Field(ge=0, le=100, description="Percent of the requests that are copied; 0 or none ends it.")
    ] = None


class SetCanaryScale(Resource):
    """How many pods the canary has from here on. It is never fewer than its share of the requests needs."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule="[has(self.replicas), has(self.weight), has(self.matchTrafficWeight)].exists_one(x, x)",
                message=_ONE_SCALE,
            )
        )
    )

    replicas: Annotated[int | None, Field(ge=1, le=10_000, description="This many pods.")] = None
    weight: Annotated[int | None, Field(ge=1, le=100, description="Percent of the stable pods.")] = None
    match_traffic_weight: Annotated[
        Literal[True] | None, Field(description="true: as many as the weight needs, which is where a release begins.")
    ] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> SetCanaryScale:
        if sum(f is not None for f in (self.replicas, self.weight, self.match_traffic_weight)) != 1:
            raise ValueError(_ONE_SCALE)
        return self


class AnalysisStep(Resource):
    """Judge for a time at the present traffic; passed on evidence, or at the end when nothing speaks against it."""

    duration: Annotated[Duration, Field(description="How long at most.")]
    full_duration: Annotated[
        bool, Field(description="Whether the whole time passes even where the evidence is there earlier.")
    ] = False


class Experiment(Resource):
    """Judge the canary against pods of the stable version that are started afresh beside it, both of the same size."""

    weight: Annotated[int, Field(ge=1, le=25, description="Percent of the requests that each of the two gets.")]
    replicas: Annotated[
        int | None,
        Field(ge=1, le=1000, description="Pods of each; by default, and at least, as many as the weight needs."),
    ] = None
    duration: Annotated[Duration, Field(description="How long at most; passed earlier on evidence.")]


class Step(Resource):
    """One step: exactly one of its fields is set."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(rule=f"[{', '.join(f'has(self.{kind})' for kind in _KINDS)}].exists_one(x, x)", message=_ONE_KIND)
        )
    )

    set_weight: Annotated[
        int | None,
        Field(ge=0, le=100, description="Percent of the requests that the canary gets; judged before the next step."),
    ] = None
    set_header_route: Annotated[
        SetHeaderRoute | None, Field(description="Send requests with a header or cookie to the canary (testers first).")
    ] = None
    set_mirror_route: Annotated[SetMirrorRoute | None, Field(description="Send copies of requests to the canary.")] = (
        None
    )
    set_canary_scale: Annotated[SetCanaryScale | None, Field(description="Set the canary's number of pods.")] = None
    analysis: Annotated[AnalysisStep | None, Field(description="Judge for a time at the present traffic.")] = None
    experiment: Annotated[
        Experiment | None, Field(description="Judge against fresh pods of the stable version, both at a small weight.")
    ] = None
    pause: Annotated[
        Pause | None, Field(description="Wait for a time, or until resumed when it has no duration (pause: {}).")
    ] = None
    approval: Annotated[Approval | None, Field(description="Wait until enough people approve.")] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Step:
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            raise ValueError(_ONE_KIND)
        return self

    @property
    def weight(self) -> int | None:
        """The canary's weight that the step sets; None where it sets none."""
        return self.experiment.weight if self.experiment else self.set_weight

    @property
    def waits(self) -> bool:
        """Whether the step only waits, for a time or for people, and changes nothing."""
        return self.pause is not None or self.approval is not None

    @property
    def duration(self) -> float | None:
        """Seconds after which a judged step passes when nothing speaks against it; None where it needs evidence."""
        timed = self.analysis or self.experiment
        return timed.duration if timed else None

    @property
    def judged(self) -> bool:
        """Whether the step is about a judgement, rather than a change that passes as soon as it is in force."""
        return self.set_weight is not None or self.duration is not None


DEFAULT_STEPS = tuple(Step(set_weight=weight) for weight in (10, 50, 100))
