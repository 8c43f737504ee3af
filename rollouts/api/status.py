"""The Rollout's status. Its writer is the controller; import it from ``rollouts.api.rollout``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from crds.base import Resource
from crds.schema import list_map
from mesh.api.trafficsplit import Condition
from rollouts.api.approval import ApprovalStatus, GateDecision
from rollouts.api.preflight import PreflightStatus

__all__ = ["EvidenceStatus", "HistoryEntry", "Outcome", "Phase", "RolloutStatus", "Version", "WeightStatus"]


class Phase(StrEnum):
    """Where a Rollout is; the STATUS column."""

    INITIALIZING = "Initializing"
    HEALTHY = "Healthy"
    STARTING = "Starting"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    AWAITING_APPROVAL = "AwaitingApproval"
    INCONCLUSIVE = "Inconclusive"
    PROMOTING = "Promoting"
    WATCHING = "Watching"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    STALLED = "Stalled"


class Version(Resource):
    """One version of the workload."""

    revision: Annotated[str, Field(description="Hash of the pod template.")]
    images: tuple[str, ...] = ()


class WeightStatus(Resource):
    """The three numbers of a step, in percent, and what the proxies say."""

    configured: int = 0
    held_back: Annotated[
        int, Field(description="What stable keeps of a step of 100 percent, to compare with until the verdict.")
    ] = 0
    acknowledged: Annotated[int | None, Field(description="In force at every affected proxy.")] = None
    actual: Annotated[float | None, Field(description="The canary's measured share of the requests in this step.")] = (
        None
    )
    proxies: Annotated[str, Field(description="Acknowledged of affected, e.g. 5/5.")] = ""
    message: Annotated[str, Field(description="A proxy's own words when it rejected the weight.")] = ""


class EvidenceStatus(Resource):
    """One metric's evidence; numbers are rounded."""

    metric: Annotated[
        str, Field(description="errors, latency, a guard, slo/<name> of spec.slos, or a metric of a template.")
    ]
    words: Annotated[str, Field(description="The evidence in one sentence.")]
    canary: float | None = None
    baseline: float | None = None
    canary_count: int = 0
    baseline_count: int = 0
    difference: Annotated[
        float | None, Field(description="Estimated difference or ratio, in the metric's own terms.")
    ] = None
    interval: Annotated[
        tuple[float, ...] | None,
        Field(
            min_length=2,
            max_length=2,
            description="Where the difference lies, however often one looks: the lower end as sure as a rollback has to be, "
            "the upper end as a promotion.",
        ),
    ] = None
    rollback_e: Annotated[float, Field(description="Evidence (e-value) that the canary is worse.")] = 1.0
    rollback_at: Annotated[float, Field(description="It is taken back when rollbackE reaches this.")] = 0.0
    promote_e: Annotated[float, Field(description="Evidence (e-value) that the canary is within the margin.")] = 1.0
    promote_at: Annotated[float, Field(description="The metric is fine when promoteE reaches this.")] = 0.0
    burn_rate: Annotated[
        float | None, Field(description="Of an SLO: how many times as fast as it allows the error budget is spent.")
    ] = None


Outcome = Literal["Promoted", "RolledBack", "Aborted", "Superseded", "Reverted", "Overridden"]


class HistoryEntry(Resource):
    """One release that ended."""

    revision: str
    images: tuple[str, ...] = ()
    stable: Annotated[str, Field(description="The revision that was stable until it ended.")] = ""
    outcome: Annotated[Outcome, Field(description="How it ended.")]
    reason: str
    started_at: str
    ended_at: str
    approvals: Annotated[
        tuple[GateDecision, ...],
        Field(
            description="What people decided at its gates, in order.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()


class RolloutStatus(Resource):
    """What people watch. The controller's whole memory is here and in the objects it owns."""

    observed_generation: int = 0
    phase: Phase = Phase.INITIALIZING
    message: Annotated[str, Field(description="What it is doing or waiting for, in words.")] = ""
    stable: Version | None = None
    canary: Version | None = None
    started_at: str | None = None
    step_index: int | None = None
    step: Annotated[str, Field(description="e.g. 2/3, for the STEP column.")] = ""
    step_started_at: Annotated[
        str | None, Field(description="When the step began (for setWeight: when every proxy had acknowledged).")
    ] = None
    weight: WeightStatus = WeightStatus()
    verdict: Annotated[str, Field(description="The judge's last answer.")] = ""
    summary: Annotated[str, Field(description="The judge's reason in one sentence.")] = ""
    evidence: tuple[EvidenceStatus, ...] = ()
    need: Annotated[str, Field(description="What is still missing for promotion, in words.")] = ""
    budget: Annotated[
        dict[str, float], Field(description="How rollbackAlpha is shared out among the tests of this release.")
    ] = Field(default_factory=dict)
    problems: Annotated[
        tuple[str, ...],
        Field(description="What was wrong with measurements, in words. Such measurements are no evidence."),
    ] = ()
    preflight: Annotated[
        tuple[PreflightStatus, ...],
        Field(
            description="What was checked before the traffic of this release moved.",
            json_schema_extra=list_map("check"),
        ),
    ] = ()
    approval: Annotated[ApprovalStatus | None, Field(description="What people are asked now.")] = None
    failed_revision: Annotated[
        str | None,
        Field(description="The revision that was taken back last; not tried again until it changes or is retried."),
    ] = None
    handled: Annotated[dict[str, str], Field(description="The last value acted on of each command annotation.")] = (
        Field(default_factory=dict)
    )
    history: tuple[HistoryEntry, ...] = ()
    conditions: Annotated[
        tuple[Condition, ...],
        Field(description="Ready, Reconciling and Stalled, as kstatus reads them.", json_schema_extra=list_map("type")),
    ] = ()
    internal: Annotated[dict[str, Any], Field(description="The controller's own notes; not an interface.")] = Field(
        default_factory=dict
    )
