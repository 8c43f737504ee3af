"""Services that are told of releases, as their documentation says they answer: over real sockets."""

from __future__ import annotations

from doubles.notified.git import GitHubDouble, GitLabDouble
from doubles.notified.mail import MailDouble
from doubles.notified.services import DiscordDouble, EventsDouble, PagerDutyDouble, TeamsDouble
from doubles.notified.socket import Serving

__all__ = [
    "DiscordDouble",
    "EventsDouble",
    "GitHubDouble",
    "GitLabDouble",
    "MailDouble",
    "PagerDutyDouble",
    "Serving",
    "TeamsDouble",
]
