"""``spec.analysis.source``: where the counts of requests come from."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field, model_validator

from analysis.api.opentelemetry import OpenTelemetryCounts
from analysis.api.prometheus import PrometheusCounts
from crds.base import Resource
from crds.schema import Rule, rules

__all__ = ["Asked", "MeshCounts", "Source"]

Asked = PrometheusCounts | OpenTelemetryCounts
"""Settings of a source that is asked, rather than one that tells by itself."""

_ONE: Final = "source is exactly one of mesh, openTelemetry, prometheus: write one of them"


class MeshCounts(Resource):
    """The included mesh's own telemetry: every pod, every second."""


class Source(Resource):
    """Exactly one of these."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(rule="[has(self.mesh), has(self.openTelemetry), has(self.prometheus)].exists_one(x, x)", message=_ONE)
        )
    )

    mesh: Annotated[
        MeshCounts | None, Field(description="The included mesh's telemetry (the default): every pod, every second.")
    ] = None
    prometheus: Annotated[
        PrometheusCounts | None,
        Field(description="Counters and histograms in Prometheus, or what speaks its API (Thanos, Mimir, …)."),
    ] = None

    open_telemetry: Annotated[
        OpenTelemetryCounts | None,
        Field(description="OpenTelemetry metrics that the pods, or a Collector, send to the controller."),
    ] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Source:
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            raise ValueError(_ONE)
        return self

    @property
    def settings(self) -> Asked | None:
        """The settings of a source that is asked; None for the mesh, which tells by itself."""
        return self.prometheus or self.open_telemetry
