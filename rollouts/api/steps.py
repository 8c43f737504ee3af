"""The steps of a release. Import them from ``rollouts.api.rollout``."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from crds.base import Duration, Resource
from crds.schema import Rule, rules

__all__ = ["DEFAULT_STEPS", "Approval", "Pause", "Step"]


class Pause(Resource):
    """Wait for a time, or without a duration until resumed."""

    duration: Annotated[
        Duration | None, Field(description="How long (30s, 5m, 1h30m); without it, until somebody resumes.")
    ] = None


class Approval(Resource):
    """Wait until somebody approves."""

    message: Annotated[str, Field(max_length=1024, description="Shown to whoever is asked.")] = ""


class Step(Resource):
    """One step: exactly one of its fields is set."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule="[has(self.setWeight), has(self.pause), has(self.approval)].exists_one(x, x)",
                message="a step sets exactly one of setWeight, pause, approval: write one step for each",
            )
        )
    )

    set_weight: Annotated[
        int | None,
        Field(ge=0, le=100, description="Percent of the requests that the canary gets; judged before the next step."),
    ] = None
    pause: Annotated[
        Pause | None, Field(description="Wait for a time, or until resumed when it has no duration (pause: {}).")
    ] = None
    approval: Annotated[Approval | None, Field(description="Wait until somebody approves.")] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Step:
        if sum(f is not None for f in (self.set_weight, self.pause, self.approval)) != 1:
            msg = "a step sets exactly one of setWeight, pause, approval: write one step for each"
            raise ValueError(msg)
        return self


DEFAULT_STEPS = tuple(Step(set_weight=weight) for weight in (10, 50, 100))
