"""The Rollout resource. ``workloadRef`` alone is a complete Rollout; every other field has a safe default."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mesh.api.base import Duration, Resource, ResourceName
from mesh.api.trafficsplit import Condition, OutlierDetection

__all__ = [
    "Analysis", "Approval", "ErrorAnalysis", "EvidenceStatus", "HistoryEntry", "LatencyAnalysis", "OnInconclusive", "Pause",
    "Phase", "RolloutSpec", "RolloutStatus", "Router", "Step", "Version", "WeightStatus", "WorkloadRef",
]  # fmt: skip


class WorkloadRef(Resource):
    """The workload whose releases are watched. It stays a plain Deployment in git."""

    api_version: Literal["apps/v1"] = "apps/v1"
    kind: Literal["Deployment"] = "Deployment"
    name: ResourceName


class Router(Resource):
    """Which mesh moves the traffic."""

    type: Annotated[Literal["Coalmine"], Field(description="Coalmine: the included mesh.")] = "Coalmine"


class Pause(Resource):
    """Wait for a time, or without a duration until resumed."""

    duration: Duration | None = None


class Approval(Resource):
    """Wait until somebody approves."""

    message: Annotated[str, Field(max_length=1024, description="Shown to whoever is asked.")] = ""


class Step(Resource):
    """One step: exactly one of its fields is set."""

    set_weight: Annotated[
        int | None,
        Field(ge=0, le=100, description="Percent of the requests that the canary gets; judged before the next step."),
    ] = None
    pause: Pause | None = None
    approval: Approval | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Step:
        if sum(f is not None for f in (self.set_weight, self.pause, self.approval)) != 1:
            msg = "a step sets exactly one of setWeight, pause, approval"
            raise ValueError(msg)
        return self


class OnInconclusive(StrEnum):
    """What happens when a step's ``maxDuration`` passes and the evidence says neither promote nor roll back."""

    HOLD = "Hold"
    PROMOTE = "Promote"
    ROLL_BACK = "RollBack"


class ErrorAnalysis(Resource):
    """The canary is fine while its error rate is at most maxRatio × the baseline's + maxIncrease."""

    enabled: bool = True
    max_ratio: Annotated[float, Field(ge=1, le=100)] = 1.5
    max_increase_percent: Annotated[float, Field(ge=0, le=100, description="Percentage points.")] = 0.25
    slo_percent: Annotated[
        float | None,
        Field(
            gt=0, le=100, description="A share of failed requests that is never tolerated, with or without a baseline."
        ),
    ] = None
    warm_up: Annotated[Duration, Field(description="Seconds of a canary pod's life that do not count.")] = 10.0


class LatencyAnalysis(Resource):
    """The canary is fine while it is at most maxRatio × as slow as the baseline."""

    enabled: bool = True
    max_ratio: Annotated[float, Field(gt=1, le=100)] = 1.25
    warm_up: Annotated[Duration, Field(description="Seconds of a canary pod's life that do not count.")] = 90.0


class Analysis(Resource):
    """How each setWeight step is judged."""

    enabled: bool = True
    errors: ErrorAnalysis = ErrorAnalysis()
    latency: LatencyAnalysis = LatencyAnalysis()
    rollback_alpha: Annotated[
        float,
        Field(gt=0, lt=0.5, description="Probability of ever rolling back a canary that is as good as the baseline."),
    ] = 0.01
    promotion_alpha: Annotated[
        float, Field(gt=0, lt=0.5, description="Probability of promoting a canary that is worse by the margin.")
    ] = 0.05
    min_step_duration: Annotated[Duration, Field(description="A step lasts at least this long.")] = 30.0
    max_step_duration: Annotated[Duration, Field(description="After this, onInconclusive decides.")] = 1800.0
    on_inconclusive: OnInconclusive = OnInconclusive.HOLD


def _default_steps() -> tuple[Step, ...]:
    return tuple(Step(set_weight=w) for w in (10, 50, 100))


class RolloutSpec(Resource):
    """What people write."""

    workload_ref: WorkloadRef
    service: Annotated[
        ResourceName | None, Field(description="The Service whose requests are split; the workload's name by default.")
    ] = None
    router: Router = Router()
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=64, default_factory=_default_steps)]
    analysis: Analysis = Analysis()
    outlier_detection: OutlierDetection = OutlierDetection()
    progress_deadline_seconds: Annotated[
        int, Field(ge=1, description="Canary pods must become ready within this time.")
    ] = 600
    scale_down_delay_seconds: Annotated[
        int, Field(ge=0, description="How long the canary's pods stay after a rollback, for a look at them.")
    ] = 30
    paused: Annotated[
        bool,
        Field(description="No new release starts and a running one stays where it is; the rollback guard stays on."),
    ] = False

    @property
    def host(self) -> str:
        """The Service whose requests are split."""
        return self.service or self.workload_ref.name


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
    acknowledged: Annotated[int | None, Field(description="In force at every affected proxy.")] = None
    actual: Annotated[float | None, Field(description="The canary's measured share of the requests in this step.")] = (
        None
    )
    proxies: Annotated[str, Field(description="Acknowledged of affected, e.g. 5/5.")] = ""
    message: Annotated[str, Field(description="A proxy's own words when it rejected the weight.")] = ""


class EvidenceStatus(Resource):
    """analysis.model.Evidence as it stands in status; numbers are rounded."""

    metric: str
    words: str
    canary: float | None = None
    baseline: float | None = None
    canary_count: int = 0
    baseline_count: int = 0
    rollback_e: float = 1.0
    rollback_at: float = 0.0
    promote_e: float = 1.0
    promote_at: float = 0.0


class HistoryEntry(Resource):
    """One release that ended."""

    revision: str
    images: tuple[str, ...] = ()
    outcome: Annotated[str, Field(description="Promoted, RolledBack, Aborted, Superseded, Reverted, Overridden")]
    reason: str
    started_at: str
    ended_at: str


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
    failed_revision: Annotated[
        str | None,
        Field(description="The revision that was taken back last; not tried again until it changes or is retried."),
    ] = None
    handled: Annotated[dict[str, str], Field(description="The last value acted on of each command annotation.")] = (
        Field(default_factory=dict)
    )
    history: tuple[HistoryEntry, ...] = ()
    conditions: tuple[Condition, ...] = ()
    internal: Annotated[dict[str, Any], Field(description="The controller's own notes; not an interface.")] = Field(
        default_factory=dict
    )
