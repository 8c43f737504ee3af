"""``notifications`` of the controller's configuration: who is told of what, besides Slack."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from crds.base import DNS_LABEL, Resource
from rollouts.api.address import called_address
from rollouts.api.rollout import Phase
from rollouts.api.wording import MessageTemplate

__all__ = [
    "DEFAULT_REASONS",
    "DEFAULT_TYPES",
    "NOTIFY_ANNOTATION",
    "CloudEvents",
    "Discord",
    "Mail",
    "Notifications",
    "PagerDuty",
    "Place",
    "Teams",
    "Trigger",
]

NOTIFY_ANNOTATION: Final = "coalmine.dev/notify"
"""On a Rollout or its Deployment: the names of the places that are told of it, with commas between; ``none`` for none."""
DEFAULT_REASONS: Final = ("ReleaseStarted", "CanaryReplaced", "ApprovalRequested", "Promoted")
DEFAULT_TYPES: Final = ("Warning",)
_PAGED: Final = (
    "RollbackStarted", "RolledOutUnheld", "Inconclusive", "SidecarMissing", "MutualTlsMismatch", "ServicePortsMismatch",
    "ProbesMissing", "QuotaExceeded", "CapacityMissing", "RouteOwned", "AutoscalerConflict", "MetricsUnreachable",
)  # fmt: skip
"""What wakes somebody: not what a person did himself."""

_Reason = Annotated[str, Field(pattern="^[A-Z][A-Za-z]+$")]
_Pattern = Annotated[str, Field(pattern=r"^[-a-z0-9*?]{1,63}$")]
_File = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
_Mailbox = Annotated[str, Field(pattern=r"^[^<>@\s,]+@[^<>@\s,]+$", max_length=254)]


_Address = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2048),
    called_address("https://events.example.com/coalmine"),
]


class Trigger(Resource):
    """Which transitions are told. All fields that are given have to fit; of reasons and types one of both."""

    reasons: Annotated[
        tuple[_Reason, ...] | None,
        Field(description="Of the Kubernetes Events. Without reasons and types: what most people want to know."),
    ] = None
    types: Annotated[tuple[Literal["Normal", "Warning"], ...] | None, Field(description="Of the Events.")] = None
    phases: Annotated[tuple[Phase, ...], Field(description="The Rollout's phase after it; any without it.")] = ()
    namespaces: Annotated[tuple[_Pattern, ...], Field(description="With * and ?; all without it.")] = ()
    selector: Annotated[dict[str, str], Field(description="Labels of the Rollout.")] = Field(default_factory=dict)


class _Template(Resource):
    """How it is told, as Jinja templates."""

    title: Annotated[MessageTemplate | None, Field(description="One line.")] = None
    text: Annotated[MessageTemplate | None, Field(description="Below it.")] = None


class Place(Resource):
    """What every place has."""

    name: Annotated[
        str,
        Field(pattern=DNS_LABEL, max_length=63, description="Unique, and not changed later: what is owed goes by it."),
    ]
    when: Annotated[Trigger, Field(description="Which transitions are told there.")] = Trigger()
    opt_in: Annotated[bool, Field(description="Only of Rollouts whose annotation coalmine.dev/notify names it.")] = (
        False
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=30, description="How long one try may take.")] = 10.0


class _Worded(Place):
    template: _Template = _Template()


class CloudEvents(Place):
    """A request for each transition: a CloudEvent 1.0 over HTTP. The same event has the same id, however often it comes."""

    url: Annotated[_Address | None, Field(description="Where to.")] = None
    url_file: Annotated[_File | None, Field(description="File that holds it, where it is a secret.")] = None
    mode: Annotated[
        Literal["structured", "binary"], Field(description="All in the body, or the attributes in headers.")
    ] = "structured"
    token_file: Annotated[_File | None, Field(description="File with a token for Authorization: Bearer.")] = None
    signing_secret_file: Annotated[
        _File | None, Field(description="File with whsec_…: requests are signed (standardwebhooks.com).")
    ] = None

    @model_validator(mode="after")
    def _one_address(self) -> CloudEvents:
        if (self.url is None) == (self.url_file is None):
            raise ValueError("write one of url and urlFile")
        return self


class Teams(_Worded):
    """Microsoft Teams: an Adaptive Card for a workflow that posts to a channel when a webhook request is received."""

    url_file: Annotated[_File, Field(description="File with the workflow's address, which is a secret.")]


class Discord(_Worded):
    """Discord: a message by a channel's webhook."""

    url_file: Annotated[_File, Field(description="File with the webhook's address, which is a secret.")]


class PagerDuty(_Worded):
    """PagerDuty (Events API v2): one alert for each Rollout, resolved by a later success."""

    when: Annotated[Trigger, Field(description="Which transitions open an alert.")] = Trigger(reasons=_PAGED)
    routing_key_file: Annotated[_File, Field(description="File with the integration key.")]
    url: Annotated[
        _Address, Field(description="Accounts in the EU have https://events.eu.pagerduty.com/v2/enqueue.")
    ] = "https://events.pagerduty.com/v2/enqueue"
    severity: Literal["critical", "error", "warning", "info"] = "error"


class Mail(_Worded):
    """E-mail by SMTP. The same message has the same Message-ID, however often it comes."""

    host: Annotated[str, Field(min_length=1, max_length=253, description="The SMTP server.")]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    tls: Annotated[
        Literal["starttls", "tls", "none"], Field(description="none sends everything, the password too, as plain text.")
    ] = "starttls"
    ca_file: Annotated[_File | None, Field(description="What the server's certificate is checked against.")] = None
    username: str | None = None
    password_file: _File | None = None
    sender: Annotated[_Mailbox, Field(alias="from", description="coalmine@example.com")]
    to: Annotated[tuple[_Mailbox, ...], Field(min_length=1, max_length=50)]

    @model_validator(mode="after")
    def _both(self) -> Mail:
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and passwordFile go together: write both, or none")
        return self


class Notifications(Resource):
    """Where transitions are told, and with which link."""

    link: Annotated[
        MessageTemplate | None,
        Field(
            description="Address where a release is watched: https://coalmine.example.com/#/rollouts/{{ namespace }}/{{ name }}"
        ),
    ] = None
    cloud_events: tuple[CloudEvents, ...] = ()
    teams: tuple[Teams, ...] = ()
    discord: tuple[Discord, ...] = ()
    pager_duty: tuple[PagerDuty, ...] = ()
    mail: tuple[Mail, ...] = ()

    @property
    def places(self) -> tuple[tuple[str, Place], ...]:
        """All places, each with the path of its field."""
        kinds: dict[str, tuple[Place, ...]] = {
            "cloudEvents": self.cloud_events,
            "teams": self.teams,
            "discord": self.discord,
            "pagerDuty": self.pager_duty,
            "mail": self.mail,
        }
        return tuple((f"notifications.{k}.{i}", p) for k, places in kinds.items() for i, p in enumerate(places))

    @model_validator(mode="after")
    def _unique(self) -> Notifications:
        counts: Counter[Any] = Counter(place.name for _, place in self.places)
        for name, count in counts.items():
            if count > 1:
                msg = f"{count} places are called {name}: give each a name of its own"
                raise ValueError(msg)
            if name in {"slack", "none"} or name.startswith("commit-status"):
                msg = f"no place may be called {name}: take another name"
                raise ValueError(msg)
        return self
