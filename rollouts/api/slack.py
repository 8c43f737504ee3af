"""``slack`` of the controller's configuration: where releases are told of, and who may act from there."""

from __future__ import annotations

import string
from typing import Annotated, Final
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from crds.base import Duration, Resource

__all__ = ["CHANNEL_ANNOTATION", "SCOPES", "Slack", "SlackLinks", "SlackPeople", "filled", "is_channel"]

CHANNEL_ANNOTATION: Final = "coalmine.dev/slack-channel"
"""On a Rollout or its Deployment: the id of the channel that its releases are told in."""

SCOPES: Final = {
    "chat:write": "nothing can be told",
    "channels:history": "a message whose answer was lost is not looked for in public channels, and waits",
    "groups:history": "a message whose answer was lost is not looked for in private channels, and waits",
    "usergroups:read": "nobody can approve, and no one can act, as a member of a user group",
}
"""What the app's token needs (examples/slack/manifest.yaml), and what goes wrong without it."""

_CHANNEL: Final = "^[CG][A-Z0-9]{2,20}$"
_PLACES: Final = ("namespace", "name", "revision", "stable", "commit")


def is_channel(value: str) -> bool:
    """Return whether a text can be the id of a channel."""
    return value[:1] in {"C", "G"} and 3 <= len(value) <= 21 and value.isascii() and value.isalnum() and value.isupper()  # noqa: PLR2004


def _template(value: str) -> str:
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(value) if name is not None]
        parts = urlsplit(value.format_map(dict.fromkeys(_PLACES, "x")))
    except (KeyError, ValueError, IndexError, AttributeError):
        names, parts = [""], urlsplit("")
    if not set(names) <= set(_PLACES) or parts.scheme not in {"http", "https"} or not parts.hostname:
        places = ", ".join(f"{{{place}}}" for place in _PLACES)
        msg = f"it is no address with places: write one like https://git.shop/payment/commit/{{commit}}; there are {places}"
        raise ValueError(msg)
    return value


def filled(template: str, values: dict[str, str]) -> str | None:
    """Return an address with its places filled in; None where a value is missing, as a link would lead nowhere.

    Args:
        template: One that ``SlackLinks`` took.
        values: Of the places.
    """
    wanted = {name for _, name, _, _ in string.Formatter().parse(template) if name}
    if any(not values.get(name) for name in wanted):
        return None
    return template.format_map({name: quote(values[name], safe="") for name in wanted})


_Template = Annotated[str, StringConstraints(min_length=1, max_length=1024), AfterValidator(_template)]
_File = Annotated[str, StringConstraints(min_length=1)]
_Channel = Annotated[
    str,
    Field(
        pattern=_CHANNEL,
        description="A channel's id (C0123ABCD; it stands at the bottom of the channel's details), not its name.",
    ),
]


class SlackLinks(Resource):
    """Addresses with places: {namespace}, {name}, {revision}, {stable} and {commit}."""

    commit: Annotated[_Template | None, Field(description="Of the commit in coalmine.dev/git-commit.")] = None
    dashboard: Annotated[_Template | None, Field(description="Where the release is watched.")] = None
    logs: Annotated[_Template | None, Field(description="Where the new version's logs are.")] = None


class SlackPeople(Resource):
    """Who may pause, resume and roll back from Slack. Nobody by default: then those buttons are not shown."""

    users: Annotated[tuple[Annotated[str, Field(pattern="^[UW][A-Z0-9]{2,20}$")], ...], Field(max_length=256)] = ()
    user_groups: Annotated[tuple[Annotated[str, Field(pattern="^S[A-Z0-9]{2,20}$")], ...], Field(max_length=64)] = ()

    def __bool__(self) -> bool:
        return bool(self.users or self.user_groups)


_RECEIVES: Final = (
    "nothing would hear the buttons: set appTokenFile (Socket Mode, no public address) or signingSecretFile"
    " (Slack calls /slack/interactive at --http-address)"
)


class Slack(Resource):
    """One message for each release, updated in place, with a thread of what happened and buttons."""

    token_file: Annotated[_File, Field(description="File with the bot's token (xoxb-…).")]
    app_token_file: Annotated[
        _File | None,
        Field(
            description="File with an app-level token (xapp-…): clicks come by Socket Mode, without a public address."
        ),
    ] = None
    signing_secret_file: Annotated[
        _File | None, Field(description="File with the app's signing secret: clicks come to /slack/interactive.")
    ] = None
    channel: Annotated[_Channel | None, Field(description="Where releases are told of that name no other channel.")] = (
        None
    )
    namespaces: Annotated[dict[str, _Channel], Field(description="Channels of namespaces' releases.")] = Field(
        default_factory=dict
    )
    links: SlackLinks = SlackLinks()
    commands: SlackPeople = SlackPeople()
    refresh: Annotated[
        Duration,
        Field(ge=1, description="How often the numbers of a release's message are brought up to date at most."),
    ] = 5.0
    api_url: Annotated[
        str, Field(pattern="^https?://[^ ]+/$", description="Slack's Web API; GovSlack has https://slack-gov.com/api/.")
    ] = "https://slack.com/api/"

    @model_validator(mode="after")
    def _somebody_hears(self) -> Slack:
        if self.commands and not self.hears:
            raise ValueError(_RECEIVES)
        return self

    @property
    def hears(self) -> bool:
        """Whether clicks come in at all."""
        return bool(self.app_token_file or self.signing_secret_file)

    @property
    def channels(self) -> tuple[str, ...]:
        """The ids of all channels that are configured."""
        return tuple(dict.fromkeys(c for c in (self.channel, *self.namespaces.values()) if c))

    def channel_of(self, namespace: str, annotations: dict[str, str] | None = None) -> str:
        """Return the id of the channel that a Rollout's releases are told in; empty where there is none.

        Args:
            namespace: The Rollout's.
            annotations: The Rollout's and its Deployment's.
        """
        asked = (annotations or {}).get(CHANNEL_ANNOTATION, "").strip()
        return asked or self.namespaces.get(namespace) or self.channel or ""
