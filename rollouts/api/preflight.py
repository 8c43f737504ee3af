"""What is checked before any traffic moves: reason codes, what people may overrule, and what the status tells."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from crds.base import Resource

__all__ = ["Preflight", "PreflightReason", "PreflightResult", "PreflightStatus"]


class PreflightReason(StrEnum):
    """Why a check did not pass. ``docs/preflight.md`` has the fix of each."""

    SIDECAR_MISSING = "SidecarMissing"
    MUTUAL_TLS_MISMATCH = "MutualTlsMismatch"
    SERVICE_PORTS_MISMATCH = "ServicePortsMismatch"
    PROBES_MISSING = "ProbesMissing"
    QUOTA_EXCEEDED = "QuotaExceeded"
    CAPACITY_MISSING = "CapacityMissing"
    OUTLIER_DETECTION_UNSAFE = "OutlierDetectionUnsafe"
    ROUTE_OWNED = "RouteOwned"
    AUTOSCALER_CONFLICT = "AutoscalerConflict"
    METRICS_UNREACHABLE = "MetricsUnreachable"


class PreflightResult(StrEnum):
    """What a check found."""

    PASS = "Pass"  # noqa: S105 - no password
    WARN = "Warn"
    FAIL = "Fail"
    UNKNOWN = "Unknown"


class Preflight(Resource):
    """Which checks are overruled."""

    skip: Annotated[
        tuple[PreflightReason, ...],
        Field(
            max_length=16,
            description="Reasons that do not block a release: they are told as warnings.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ()


class PreflightStatus(Resource):
    """One check's answer before the traffic of this release moved."""

    check: Annotated[str, Field(description="What was asked.")]
    result: Annotated[PreflightResult, Field(description="Fail keeps the release from starting; the others do not.")]
    reason: Annotated[PreflightReason | None, Field(description="Why it did not pass.")] = None
    message: Annotated[str, Field(description="What is wrong, and what to do.")] = ""
