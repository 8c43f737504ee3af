"""``spec.slos`` and ``spec.watch``: what a new version must never do, whatever the old one does, and for how long it is watched."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from crds.base import DNS_LABEL, Duration, Resource
from crds.schema import Rule, list_map, rules

__all__ = ["Availability", "LatencyObjective", "Slo", "Slos", "Watch"]

_PERCENT: Final = 100.0
_ONE_KIND: Final = "an SLO is exactly one of availability, latency: write one entry for each"
_OUT_OF_REACH: Final = (
    "burnRate × (100 - objective) is 100 or more, so that even a version that fails every request would not breach it:"
    " lower burnRate, or raise objective"
)


class Availability(Resource):
    """Requests that fail: 5xx, reset, refused or timed out."""

    objective: Annotated[float, Field(gt=0, lt=100, description="Percent of the requests that do not fail: 99.9.")]


class LatencyObjective(Resource):
    """Requests that take too long."""

    objective: Annotated[float, Field(gt=0, lt=100, description="Percent of the requests that are fast enough: 99.")]
    threshold: Annotated[
        Duration,
        Field(
            gt=0,
            description="A request is fast enough when it takes at most this long (300ms). Between two bounds of the latency"
            " histogram only what is slower than the next one counts as slow.",
        ),
    ]


class Slo(Resource):
    """One objective: exactly one of availability and latency is set."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(rule="has(self.availability) != has(self.latency)", message=_ONE_KIND),
            Rule(
                rule="(has(self.burnRate) ? double(self.burnRate) : 14.4) * (100.0 - double(has(self.availability) ?"
                " self.availability.objective : (has(self.latency) ? self.latency.objective : 100.0))) < 100.0",
                message=_OUT_OF_REACH,
                field_path=".burnRate",
            ),
        )
    )

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL, description="Unique among the SLOs.")]
    availability: Annotated[Availability | None, Field(description="What share must not fail.")] = None
    latency: Annotated[LatencyObjective | None, Field(description="What share must be fast enough.")] = None
    burn_rate: Annotated[
        float,
        Field(
            ge=1,
            le=1000,
            description="The release is taken back when the new version is shown to spend the error budget more than this many"
            " times as fast as the objective allows. 14.4 spends a month's budget in 50 hours.",
        ),
    ] = 14.4

    @property
    def share(self) -> float:
        """Share of the requests that has to be good."""
        chosen = self.availability or self.latency
        return chosen.objective / _PERCENT if chosen else 1.0

    @model_validator(mode="after")
    def _exactly_one(self) -> Slo:
        if (self.availability is None) == (self.latency is None):
            raise ValueError(_ONE_KIND)
        return self

    @model_validator(mode="after")
    def _can_be_breached(self) -> Slo:
        if self.burn_rate * (1.0 - self.share) >= 1.0:
            raise ValueError(_OUT_OF_REACH)
        return self


class Watch(Resource):
    """How long the old version stays at hand after the new one has all requests."""

    duration: Annotated[
        Duration,
        Field(
            description="With all requests on the new version, its pods and the old version's both run for this long before the"
            " Deployment is rolled: a breach of an SLO or of the judge's guards takes the release back in seconds. 0s: off."
        ),
    ] = 0.0


def _names_differ(slos: tuple[Slo, ...]) -> tuple[Slo, ...]:
    names = [slo.name for slo in slos]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"two SLOs are called {twice[0]}: rename one of them")
    return slos


Slos = Annotated[
    tuple[Slo, ...],
    AfterValidator(_names_differ),
    Field(
        max_length=8,
        description="What a new version must keep to in every step and while it is watched, whatever the old one does; none"
        " by default. analysis.enabled: false does not turn them off.",
        json_schema_extra=list_map("name"),
    ),
]
