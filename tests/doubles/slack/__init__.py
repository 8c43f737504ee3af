"""A double of Slack: its Web API and Socket Mode over real sockets, as documented at docs.slack.dev."""

from doubles.slack.people import People
from doubles.slack.server import SlackDouble
from doubles.slack.state import SCOPES, SlackError, Workspace
from doubles.slack.trouble import Trouble

__all__ = ["SCOPES", "People", "SlackDouble", "SlackError", "Trouble", "Workspace"]
