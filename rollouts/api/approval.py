"""Approvals: what a gate asks for, what people decide, and who is asked now."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from crds.base import Duration, Resource
from crds.schema import Rule, rules

__all__ = [
    "MOST_COMMENT",
    "Approval",
    "ApprovalStatus",
    "Approvers",
    "GateDecision",
    "OnTimeout",
    "Verdict",
    "Via",
]

MOST_COMMENT: Final = 500
"""Characters of a comment that are kept."""
_MOST_NAMES: Final = 64
_SET: Final = {"x-kubernetes-list-type": "set"}
_Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
_SlackUser = Annotated[str, StringConstraints(pattern="^[UW][A-Z0-9]{2,30}$")]
_SlackGroup = Annotated[str, StringConstraints(pattern="^S[A-Z0-9]{2,30}$")]


def _size(field: str) -> str:
    return f"(has(self.approvers.{field}) ? self.approvers.{field}.size() : 0)"


_NAMED: Final = f"({' + '.join(map(_size, ('users', 'slackUsers', 'callers')))})"
_TOO_FEW: Final = "more approvals are required than approvers are named: lower required, or name more"


class Verdict(StrEnum):
    """What somebody decided."""

    APPROVE = "Approve"
    REJECT = "Reject"


class Via(StrEnum):
    """Where somebody decided. All but Slack and HTTP are the Kubernetes API, with its users."""

    KUBECTL = "kubectl"
    CLI = "coalmine"
    DASHBOARD = "dashboard"
    API = "API"
    SLACK = "Slack"
    HTTP = "HTTP"


class OnTimeout(StrEnum):
    """What happens when a gate's time is over."""

    ROLL_BACK = "RollBack"
    HOLD = "Hold"


class Approvers(Resource):
    """Who may decide: whoever one of these names."""

    users: Annotated[
        tuple[_Name, ...],
        Field(
            max_length=_MOST_NAMES,
            description="Kubernetes users (kubectl auth whoami).",
            json_schema_extra=_SET,
        ),
    ] = ()
    groups: Annotated[
        tuple[_Name, ...],
        Field(
            max_length=_MOST_NAMES,
            description="Kubernetes groups; system:authenticated is everybody whom RBAC gives the verb approve.",
            json_schema_extra=_SET,
        ),
    ] = ()
    slack_users: Annotated[
        tuple[_SlackUser, ...],
        Field(max_length=_MOST_NAMES, description="Slack members, by id (U…).", json_schema_extra=_SET),
    ] = ()
    slack_groups: Annotated[
        tuple[_SlackGroup, ...],
        Field(max_length=_MOST_NAMES, description="Slack user groups, by id (S…).", json_schema_extra=_SET),
    ] = ()
    callers: Annotated[
        tuple[_Name, ...],
        Field(
            max_length=_MOST_NAMES,
            description="Programs that call with a signature, by their names in the controller's configuration.",
            json_schema_extra=_SET,
        ),
    ] = ()

    @property
    def open_ended(self) -> bool:
        """Whether a group is named, of which nobody here knows how many it has."""
        return bool(self.groups or self.slack_groups)

    @property
    def named(self) -> int:
        """How many single ones are named."""
        return len(self.users) + len(self.slack_users) + len(self.callers)

    @property
    def anybody(self) -> bool:
        """Whether nobody is named at all."""
        return not self.open_ended and not self.named


class Approval(Resource):
    """Wait until enough people approve. One rejection takes the release back."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                rule="!has(self.approvers) || self.required == 1"
                f" || {_size('groups')} > 0 || {_size('slackGroups')} > 0"
                f" || {_NAMED} == 0 || {_NAMED} >= self.required",
                message=_TOO_FEW,
                field_path=".required",
            )
        )
    )

    message: Annotated[str, Field(max_length=1024, description="Shown to whoever is asked.")] = ""
    approvers: Annotated[
        Approvers | None,
        Field(
            description="Who may decide; a Kubernetes user needs the verb approve on rollouts besides."
            " Without it, whoever may patch the Rollout."
        ),
    ] = None
    required: Annotated[int, Field(ge=1, le=16, description="How many different people have to approve.")] = 1
    exclude_author: Annotated[
        bool, Field(description="Whether the approval of whoever made the change counts for nothing.")
    ] = False
    timeout: Annotated[
        Duration | None, Field(description="How long people have (30m, 4h); without it, as long as they need.")
    ] = None
    on_timeout: Annotated[
        OnTimeout, Field(description="What happens when that time is over: RollBack, or Hold as it is.")
    ] = OnTimeout.ROLL_BACK

    @model_validator(mode="after")
    def _enough_named(self) -> Approval:
        who = self.approvers
        if who is not None and not who.anybody and not who.open_ended and who.named < self.required:
            raise ValueError(_TOO_FEW)
        return self

    @property
    def restricted(self) -> bool:
        """Whether it matters who decides. If not, whoever may patch the Rollout may."""
        return self.approvers is not None or self.required > 1 or self.exclude_author


class GateDecision(Resource):
    """One decision of one person. The same id twice is one decision."""

    id: Annotated[str, Field(min_length=1, max_length=256, description="Of this decision; a repetition has the same.")]
    gate: Annotated[str, Field(min_length=1, max_length=256, description="The question that it answers.")]
    verdict: Verdict
    by: Annotated[
        str, Field(max_length=256, description="Kubernetes user, Slack id or caller; empty where nobody can tell.")
    ]
    via: Annotated[Via, Field(description="Where it was made.")]
    groups: Annotated[
        tuple[str, ...],
        Field(
            description="Those of the asked groups that they belong to.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    comment: str = ""
    at: Annotated[
        str, Field(description="When (RFC 3339); of one that came without a time, when the controller saw it.")
    ] = ""


class ApprovalStatus(Resource):
    """What people are asked now."""

    gate: Annotated[str, Field(description="Unique name of this very question; a decision names it.")]
    place: Annotated[str, Field(description="What waits, in words: step 2 of 4, or the promotion.")] = ""
    message: str = ""
    restricted: Annotated[
        bool,
        Field(description="Whether it matters who decides; if not, whoever may patch the Rollout may."),
    ] = False
    approvers: Approvers | None = None
    required: int = 1
    missing: Annotated[int, Field(description="How many more different people have to approve.")] = 1
    exclude_author: bool = False
    authors: Annotated[
        tuple[str, ...],
        Field(
            description="Who made the change, where excludeAuthor wants to know.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    asked_at: str = ""
    until: Annotated[str | None, Field(description="A decision at or after this time does nothing.")] = None
    on_timeout: OnTimeout = OnTimeout.ROLL_BACK
    expired: Annotated[bool, Field(description="Whether the time is over, and onTimeout is Hold.")] = False
    decisions: Annotated[
        tuple[GateDecision, ...],
        Field(
            description="Those that count, in the order in which they came.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()
    summary: Annotated[str, Field(description="Who has decided and who is asked, in words.")] = ""
