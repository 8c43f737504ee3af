"""The Rollout resource. ``workloadRef`` alone is a complete Rollout; every other field has a safe default."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from crds.base import Resource, ResourceName, ServiceName
from crds.schema import Rule, rules
from mesh.api.trafficsplit import OutlierDetection
from rollouts.api.analysis import Analysis, ErrorAnalysis, LatencyAnalysis, OnInconclusive, OnOutlierPod
from rollouts.api.approval import Approval
from rollouts.api.configuration import ConfigChanges
from rollouts.api.hooks import Hooks
from rollouts.api.lifecycle import RollbackWindow
from rollouts.api.preflight import Preflight
from rollouts.api.schedule import Freeze, ReleaseWindow
from rollouts.api.slos import Slos, Watch
from rollouts.api.status import (
    EvidenceStatus,
    HistoryEntry,
    Outcome,
    Phase,
    RolloutStatus,
    Version,
    WeightStatus,
)
from rollouts.api.steps import DEFAULT_STEPS, Pause, Step
from rollouts.api.strategies import SessionAffinity, Strategy
from rollouts.api.writeback import GitWriteBack

__all__ = [
    "DEFAULT_STEPS",
    "Analysis",
    "Approval",
    "ErrorAnalysis",
    "EvidenceStatus",
    "Freeze",
    "HistoryEntry",
    "LatencyAnalysis",
    "OnInconclusive",
    "OnOutlierPod",
    "Outcome",
    "Pause",
    "Phase",
    "ReleaseWindow",
    "RollbackWindow",
    "RolloutSpec",
    "RolloutStatus",
    "Router",
    "SessionAffinity",
    "Step",
    "Strategy",
    "Version",
    "WeightStatus",
    "WorkloadRef",
]


class WorkloadRef(Resource):
    """The workload whose releases are watched. It stays a plain Deployment in git."""

    api_version: Annotated[Literal["apps/v1"], Field(description="API version of the workload.")] = "apps/v1"
    kind: Annotated[Literal["Deployment"], Field(description="Kind of the workload.")] = "Deployment"
    name: Annotated[
        ResourceName,
        Field(description="Its name, in this namespace."),
    ]


class Router(Resource):
    """Which mesh moves the traffic."""

    type: Annotated[Literal["Coalmine"], Field(description="Coalmine: the included mesh.")] = "Coalmine"


_STEPS_AND_STRATEGY = "spec.steps belongs to the strategy canary: remove steps, or remove spec.strategy"
_NO_SERVICE_NAME = "a Service cannot have the workload's name (a DNS label of at most 63 characters): set spec.service to the one that clients call"


class RolloutSpec(Resource):
    """What people write."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule="has(self.service) || self.workloadRef.name.matches('^[-a-z0-9]{1,63}$')",
                message=_NO_SERVICE_NAME,
                field_path=".workloadRef.name",
            ),
            Rule(
                # The API server fills in the default steps: they are nobody's.
                rule="!has(self.strategy) || has(self.strategy.canary) || (self.steps.size() == 3"
                " && self.steps.all(s, has(s.setWeight)) && self.steps.map(s, s.setWeight) == [10, 50, 100])",
                message=_STEPS_AND_STRATEGY,
                field_path=".steps",
            ),
        )
    )

    workload_ref: Annotated[WorkloadRef, Field(description="The workload whose releases are watched.")]
    service: Annotated[
        ServiceName | None,
        Field(
            description="The Service whose requests are split; the workload's name by default.",
        ),
    ] = None
    router: Annotated[Router, Field(description="Which mesh moves the traffic.")] = Router()
    strategy: Annotated[
        Strategy | None, Field(description="How a release goes; by default canary, which is spec.steps.")
    ] = None
    steps: Annotated[
        tuple[Step, ...],
        Field(
            min_length=1,
            max_length=64,
            description="What happens on the way to promotion, in order; 10, 50, 100 % by default."
            " After the last step the canary is promoted.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = DEFAULT_STEPS
    promotion_approval: Annotated[
        Approval | None,
        Field(description="Whom to ask after all steps have passed, before the canary is promoted; nobody by default."),
    ] = None
    analysis: Annotated[Analysis, Field(description="How each setWeight step is judged.")] = Analysis()
    slos: Slos = ()
    watch: Annotated[Watch, Field(description="What is watched after all steps have passed; off by default.")] = Watch()
    session_affinity: Annotated[
        SessionAffinity | None,
        Field(
            description="Keep each user on the version where they were sent first, while a release runs; off by default."
        ),
    ] = None
    outlier_detection: Annotated[
        OutlierDetection,
        Field(description="When a pod, of either version, is taken out of load balancing. The defaults are safe."),
    ] = OutlierDetection()
    preflight: Annotated[Preflight, Field(description="What is checked before any traffic moves.")] = Preflight()
    progress_deadline_seconds: Annotated[
        int, Field(ge=1, description="Canary pods must become ready within this time.")
    ] = 600
    scale_down_delay_seconds: Annotated[
        int, Field(ge=0, description="How long the canary's pods stay after a rollback, for a look at them.")
    ] = 30
    hooks: Hooks = ()
    depends_on: Annotated[
        tuple[ResourceName, ...],
        Field(
            max_length=16,
            description="Rollouts of this namespace that are released first: a release starts when they are Healthy and"
            " have no change to release.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ()
    release_windows: Annotated[
        tuple[ReleaseWindow, ...],
        Field(
            max_length=16,
            description="When releases may start; any time without one. Running ones go on, rollbacks never wait.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    freezes: Annotated[
        tuple[Freeze, ...],
        Field(
            max_length=16,
            description="When no release starts, whatever the windows say.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    rollback_window: Annotated[
        RollbackWindow | None,
        Field(
            description="A change back to a revision that was stable lately is promoted without steps; off by default."
        ),
    ] = None
    config_changes: Annotated[
        ConfigChanges,
        Field(description="Whether a change of a ConfigMap or Secret that the pod template refers to is a release."),
    ] = ConfigChanges.IGNORE
    git_write_back: Annotated[
        GitWriteBack | None,
        Field(description="Revert in git the commit of a release that was taken back; off by default."),
    ] = None
    paused: Annotated[
        bool,
        Field(description="No new release starts and a running one stays where it is; the rollback guard stays on."),
    ] = False

    @model_validator(mode="after")
    def _host_can_be_a_service(self) -> RolloutSpec:
        if self.service is None and not re.fullmatch("[-a-z0-9]{1,63}", self.workload_ref.name):
            msg = f"spec.workloadRef.name: {_NO_SERVICE_NAME}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _steps_or_strategy(self) -> RolloutSpec:
        if self.strategy is not None and self.strategy.canary is None and self.steps != DEFAULT_STEPS:
            raise ValueError(_STEPS_AND_STRATEGY)
        return self

    @model_validator(mode="after")
    def _mirrors_before_weights(self) -> RolloutSpec:
        weight = 0
        for number, step in enumerate(self.steps):
            weight = weight if step.weight is None else step.weight
            if weight and step.set_mirror_route is not None and step.set_mirror_route.percentage:
                msg = (
                    f"spec.steps[{number}].setMirrorRoute: the canary has {weight} % of the requests here, and would get"
                    " some of them twice: mirror before the first weight above 0"
                )
                raise ValueError(msg)
        return self

    @property
    def host(self) -> str:
        """The Service whose requests are split."""
        return self.service or self.workload_ref.name
