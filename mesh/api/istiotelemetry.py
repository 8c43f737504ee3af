"""Telemetry (Istio's, ``telemetry.istio.io``), as far as it is about traces: how many, with which attributes.

As documented by Istio, each field of ``tracing`` that is not written comes from the next wider resource: a workload's from
its namespace's, that from the mesh's; ``customTags`` are replaced as a whole.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from mesh.api.istio import IstioResource
from mesh.api.security import TargetReference, WorkloadSelector  # noqa: TC001 - pydantic reads it at run time

__all__ = [
    "TELEMETRY_GROUP",
    "TELEMETRY_VERSIONS",
    "CustomTag",
    "EnvironmentTag",
    "HeaderTag",
    "LiteralTag",
    "ProviderRef",
    "TelemetrySpec",
    "TracingMatch",
    "TracingRule",
]

TELEMETRY_GROUP: Final = "telemetry.istio.io"
TELEMETRY_VERSIONS: Final = ("v1", "v1alpha1")
"""In the order of preference."""

Text = Annotated[str, Field(min_length=1)]


class ProviderRef(IstioResource):
    """Where spans go, by name. The mesh has one collector, whatever it is called."""

    name: Text


class TracingMatch(IstioResource):
    """Which spans a rule is about."""

    mode: Annotated[
        Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"],
        Field(description="CLIENT: of what a pod calls, and of gateways. SERVER: of what it is called."),
    ] = "CLIENT_AND_SERVER"


class LiteralTag(IstioResource):
    """The same value in every span."""

    value: str = ""


class EnvironmentTag(IstioResource):
    """A variable of the sidecar's environment."""

    name: Text
    default_value: str = ""


class HeaderTag(IstioResource):
    """A header of the request."""

    name: Annotated[str, Field(pattern=r"^:?[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
    default_value: str = ""


class CustomTag(IstioResource):
    """An attribute of each span; one of the three."""

    literal: LiteralTag | None = None
    environment: EnvironmentTag | None = None
    header: HeaderTag | None = None

    @model_validator(mode="after")
    def _at_most_one(self) -> CustomTag:
        if sum(part is not None for part in (self.literal, self.environment, self.header)) > 1:
            raise ValueError("literal, environment and header exclude each other: keep one of them")
        return self


class TracingRule(IstioResource):
    """How requests are traced."""

    match: TracingMatch | None = None
    providers: tuple[ProviderRef, ...] = ()
    random_sampling_percentage: Annotated[
        float | None,
        Field(
            ge=0,
            le=100,
            allow_inf_nan=False,
            description="How many of the requests that come without a decision are recorded; in steps of 0.01.",
        ),
    ] = None
    disable_span_reporting: Annotated[
        bool | None, Field(description="Report no spans. Trace headers are passed on as they came.")
    ] = None
    custom_tags: dict[Text, CustomTag] | None = None
    use_request_id_for_trace_sampling: Annotated[
        bool | None,
        Field(description="Give all requests with one x-request-id one decision (default), or decide on each."),
    ] = None


class TelemetrySpec(IstioResource):
    """Desired telemetry of the pods that are chosen; without a selector all of the namespace, or of the mesh."""

    selector: WorkloadSelector | None = None
    target_ref: TargetReference | None = None
    target_refs: tuple[TargetReference, ...] = ()
    tracing: tuple[TracingRule, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _an_empty_spec_is_one(cls, value: Any) -> Any:
        return {} if value is None else value

    @model_validator(mode="after")
    def _one_target(self) -> TelemetrySpec:
        if self.selector and self.targets:
            raise ValueError("spec.selector: cannot be combined with targetRefs: remove one of them")
        return self

    @property
    def targets(self) -> tuple[TargetReference, ...]:
        """All targets."""
        return (*self.target_refs, *((self.target_ref,) if self.target_ref else ()))
