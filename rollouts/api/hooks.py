"""``spec.hooks``: what is called or run at certain points of a release, and what its answer does."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from analysis.api.secret import SecretKeyRef
from analysis.api.web import Header
from analysis.api.workloads import Job
from crds.base import DNS_LABEL, Duration, Resource
from crds.schema import Rule, list_map, rules
from rollouts.api.address import called_address

__all__ = ["MOST_HOOKS", "Hook", "Hooks", "HttpHook", "JobHook", "OnFailure", "Point"]

MOST_HOOKS: Final = 16
_ONE: Final = "a hook is exactly one of http, job: write one of them"
_NEVER_BACK: Final = "onFailure is RollBack, but nothing is left to take back after a promotion or in a rollback: write Continue or leave it out"
_WEIGHTS: Final = "weights goes with at: DuringStep or at: BeforeTrafficIncrease: remove it, the other points have no weight of their own"
_POLL: Final = "pollTimeout goes with pollInterval: write pollInterval, or retries to ask again after a failure"


class Point(StrEnum):
    """When a hook runs."""

    BEFORE_ROLLOUT = "BeforeRollout"
    """The canary's pods are ready and get no requests yet."""
    DURING_STEP = "DuringStep"
    """A setWeight step's weight is in force at every proxy; the step waits for it."""
    BEFORE_TRAFFIC_INCREASE = "BeforeTrafficIncrease"
    """Before the canary gets a greater share of the requests, the one at promotion included."""
    BEFORE_PROMOTION = "BeforePromotion"
    """All steps have passed."""
    AFTER_PROMOTION = "AfterPromotion"
    """The Deployment runs the new revision and has all requests; nothing waits for it."""
    ON_ROLLBACK = "OnRollback"
    """A release is taken back; nothing waits for it."""


GATES: Final = frozenset(
    {Point.BEFORE_ROLLOUT, Point.DURING_STEP, Point.BEFORE_TRAFFIC_INCREASE, Point.BEFORE_PROMOTION}
)
"""The points that a release waits at."""
_WEIGHTED: Final = frozenset({Point.DURING_STEP, Point.BEFORE_TRAFFIC_INCREASE})


class OnFailure(StrEnum):
    """What a hook's failure does."""

    ROLL_BACK = "RollBack"
    """The release is taken back."""
    CONTINUE = "Continue"
    """It is told in an Event, and the release goes on."""


class HttpHook(Resource):
    """A request. 2xx passes; 408, 425, 429, 5xx, a time-out and no connection are tried again; anything else fails."""

    model_config = ConfigDict(
        json_schema_extra=rules(Rule(rule="!has(self.pollTimeout) || has(self.pollInterval)", message=_POLL))
    )

    url: Annotated[
        str,
        StringConstraints(min_length=1, max_length=2048, pattern="^https?://"),
        called_address("https://gate.shop/open"),
        Field(description="Where to: https://gate.shop/open."),
    ]
    method: Annotated[Literal["POST", "PUT", "GET"], Field(description="A GET has no body.")] = "POST"
    headers: Annotated[
        tuple[Header, ...],
        Field(max_length=32, description="Headers of the request.", json_schema_extra=list_map("key")),
    ] = ()
    timeout: Annotated[Duration, Field(gt=0, description="How long one request may take.")] = 30.0
    retries: Annotated[
        int, Field(ge=0, le=20, description="How often it is asked again after a failure that may pass by itself.")
    ] = 2
    poll_interval: Annotated[
        Duration | None,
        Field(
            ge=1,
            description="Any answer but 2xx is 'not yet': it is asked again after this time, and retries does not count.",
        ),
    ] = None
    poll_timeout: Annotated[
        Duration | None,
        Field(gt=0, description="With pollInterval: fails when 2xx has not come after this time; never without it."),
    ] = None
    secret_ref: Annotated[
        SecretKeyRef | None,
        Field(
            description="Signs the requests as Standard Webhooks (headers webhook-id, webhook-timestamp and "
            "webhook-signature) with this key: whsec_ and then at least 24 bytes in base64."
        ),
    ] = None

    @model_validator(mode="after")
    def _consistent(self) -> HttpHook:
        if self.poll_timeout is not None and self.poll_interval is None:
            raise ValueError(_POLL)
        names = [header.key.lower() for header in self.headers]
        if len(set(names)) != len(names):
            msg = "headers has a name twice: write each header once"
            raise ValueError(msg)
        return self


class JobHook(Resource):
    """A Kubernetes Job in the Rollout's namespace: it passes when the Job succeeds."""

    template: Annotated[Job, Field(description="The Job, as a CronJob's spec.jobTemplate says it.")]
    timeout: Annotated[
        Duration | None,
        Field(
            gt=0,
            description="The Job's activeDeadlineSeconds, rounded up; without it, the one of the template or else an hour.",
        ),
    ] = None


class Hook(Resource):
    """A request or a Job at one point of a release."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(rule="has(self.http) != has(self.job)", message=_ONE),
            Rule(
                rule="!(self.at in ['AfterPromotion', 'OnRollback']) || !has(self.onFailure) || self.onFailure == 'Continue'",
                message=_NEVER_BACK,
                field_path=".onFailure",
            ),
            Rule(
                rule="!has(self.weights) || size(self.weights) == 0 || self.at in ['DuringStep', 'BeforeTrafficIncrease']",
                message=_WEIGHTS,
                field_path=".weights",
            ),
        )
    )

    name: Annotated[
        str, Field(min_length=1, max_length=63, pattern=DNS_LABEL, description="Its name, once in this Rollout.")
    ]
    at: Annotated[Point, Field(description="When it runs.")]
    http: Annotated[HttpHook | None, Field(description="A request.")] = None
    job: Annotated[JobHook | None, Field(description="A Job.")] = None
    on_failure: Annotated[
        OnFailure | None,
        Field(
            description="What its failure does; RollBack by default where a release waits for it. "
            "AfterPromotion and OnRollback always continue."
        ),
    ] = None
    weights: Annotated[
        tuple[Annotated[int, Field(ge=0, le=100)], ...],
        Field(
            max_length=64,
            description="Only at the setWeight steps of these weights; with BeforeTrafficIncrease 100 is promotion, too.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ()
    metadata: Annotated[
        dict[str, Annotated[str, Field(max_length=4096)]],
        Field(max_length=64, default_factory=dict, description="Goes into the request's body as it is."),
    ]

    @model_validator(mode="after")
    def _consistent(self) -> Hook:
        if (self.http is None) == (self.job is None):
            raise ValueError(_ONE)
        if self.on_failure is OnFailure.ROLL_BACK and self.at not in GATES:
            raise ValueError(_NEVER_BACK)
        if self.weights and self.at not in _WEIGHTED:
            raise ValueError(_WEIGHTS)
        return self

    @property
    def gates(self) -> bool:
        """Whether a release waits for it."""
        return self.at in GATES

    @property
    def takes_back(self) -> bool:
        """Whether its failure takes the release back."""
        return self.gates and self.on_failure is not OnFailure.CONTINUE


def _each_once(hooks: tuple[Hook, ...]) -> tuple[Hook, ...]:
    names = [hook.name for hook in hooks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        msg = f"the name {twice[0]} is there twice: give each hook a name of its own"
        raise ValueError(msg)
    return hooks


Hooks = Annotated[
    tuple[Hook, ...],
    AfterValidator(_each_once),
    Field(
        max_length=MOST_HOOKS,
        description="Requests and Jobs at certain points of a release: load tests, acceptance tests, gates, news.",
        json_schema_extra=list_map("name"),
    ),
]
