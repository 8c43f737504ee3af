"""``spec.strategy``: whole releases under one name. A strategy is nothing but steps; see ``rollouts.core.strategies``."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from crds.base import Duration, Resource
from crds.schema import Rule, rules
from rollouts.api.matching import MAX_MATCHES, RequestMatch
from rollouts.api.steps import Approval

__all__ = ["AbTest", "BlueGreen", "Canary", "SessionAffinity", "Strategy"]

_ONE_STRATEGY = "spec.strategy is exactly one of canary, blueGreen, abTest: write one of them"


class Canary(Resource):
    """The steps of ``spec.steps``."""


class BlueGreen(Resource):
    """The new version at full size beside the old one, looked at there, then all requests at once."""

    mirror_percent: Annotated[
        int,
        Field(ge=0, le=100, description="Percent of the requests of which the preview gets a copy; none by default."),
    ] = 0
    duration: Annotated[Duration, Field(description="How long the preview is looked at and judged.")] = 60.0
    approval: Annotated[
        Approval | None, Field(description="Ask a person before the switch (approval: {}); nobody by default.")
    ] = None


class AbTest(Resource):
    """The matched users get the new version for a fixed time, all others the old one; then it is promoted."""

    match: Annotated[
        tuple[RequestMatch, ...],
        Field(
            min_length=1,
            max_length=MAX_MATCHES,
            description="A request that one of these matches goes to the new version.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ]
    duration: Annotated[Duration, Field(description="How long the test lasts. A worse version is taken back earlier.")]


class Strategy(Resource):
    """How a release goes: exactly one of its fields is set."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule="[has(self.canary), has(self.blueGreen), has(self.abTest)].exists_one(x, x)", message=_ONE_STRATEGY
            )
        )
    )

    canary: Annotated[Canary | None, Field(description="The steps of spec.steps; the default.")] = None
    blue_green: Annotated[BlueGreen | None, Field(description="A preview at full size, then all requests at once.")] = (
        None
    )
    ab_test: Annotated[AbTest | None, Field(description="Matched users for a fixed time, then promotion.")] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Strategy:
        if sum(f is not None for f in (self.canary, self.blue_green, self.ab_test)) != 1:
            raise ValueError(_ONE_STRATEGY)
        return self


class SessionAffinity(Resource):
    """A user who was sent to one version stays there while a release runs."""

    cookie: Annotated[
        str, Field(pattern=r"^[-_.A-Za-z0-9]{1,64}$", description="Name of the cookie that remembers the user.")
    ] = "coalmine-affinity"
    max_age: Annotated[Duration, Field(description="How long a browser keeps the cookie.")] = 86_400.0
