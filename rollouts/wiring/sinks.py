"""Opens the places where transitions are told, as the configuration says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import aiohttp

from rollouts.api.controller import InvalidConfigError
from rollouts.notify.cloud_events import CloudEventsSink
from rollouts.notify.commit_status import CommitStatusSink
from rollouts.notify.discord import DiscordSink
from rollouts.notify.mail import MailSink
from rollouts.notify.pagerduty import PagerDutySink
from rollouts.notify.teams import TeamsSink
from rollouts.notify.triggers import unknown_reasons

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.api.controller import ControllerConfig
    from rollouts.notify.base import Sink
    from rollouts.notify.place import PlaceSink

__all__ = ["open_sinks", "quiet_session"]

_KINDS: Final[Mapping[str, type[PlaceSink]]] = {
    "CloudEvents": CloudEventsSink,
    "Teams": TeamsSink,
    "Discord": DiscordSink,
    "PagerDuty": PagerDutySink,
    "Mail": MailSink,
}


def quiet_session() -> aiohttp.ClientSession:
    """Return a session that keeps no cookies, and no connections: one that broke at rest would leave a doubt."""
    connector = aiohttp.TCPConnector(force_close=True)
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=connector)


def open_sinks(config: ControllerConfig, session: aiohttp.ClientSession) -> tuple[Sink, ...]:
    """Return the sinks; each kind adds its own here.

    Args:
        config: The controller's configuration.
        session: For requests; it keeps no cookies and no connections.

    Raises:
        InvalidConfigError: A trigger names a reason that no Event has, or two sinks are the same.
    """
    found = config.notifications
    sinks: list[Any] = []
    for field, place in found.places:
        if unknown := unknown_reasons(place.when):
            raise InvalidConfigError(f"{field}.when.reasons: no Event has reason {', '.join(unknown)}")
        sinks.append(_KINDS[type(place).__name__](place, field, session, found.link))
    hosts = config.commit_status.hosts
    for index, host in enumerate(hosts):
        field = f"commitStatus.hosts.{index}"
        if host.host in {other.host for other in hosts[:index]}:
            raise InvalidConfigError(f"{field}.url: {host.host} is there already: write each host once")
        sinks.append(CommitStatusSink(host, config.commit_status, field, session, found.link))
    return tuple(sinks)
