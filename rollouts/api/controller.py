"""The controller's own configuration: what ``coalmine controller run --config`` reads. Everything in it is optional."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml
from pydantic import ValidationError

from crds.base import Resource
from rollouts.api.commitstatus import CommitStatus
from rollouts.api.dashboard import Dashboard
from rollouts.api.notifications import Notifications
from rollouts.api.people import Approvals
from rollouts.api.slack import Slack

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ControllerConfig", "InvalidConfigError", "read_config"]


class InvalidConfigError(ValueError):
    """The file is not a configuration: names the field and what is wrong with it."""


class ControllerConfig(Resource):
    """What the controller does for people besides releasing. Secrets are never in it: it names files that hold them."""

    approvals: Approvals = Approvals()
    notifications: Notifications = Notifications()
    commit_status: CommitStatus = CommitStatus()
    slack: Slack | None = None
    dashboard: Dashboard = Dashboard()


def read_config(path: Path | None) -> ControllerConfig:
    """Return the configuration that a YAML file holds; the default one without a file.

    Args:
        path: The file.

    Raises:
        InvalidConfigError: The file is no YAML, or a field is unknown or wrong.
    """
    if path is None:
        return ControllerConfig()
    try:
        return ControllerConfig.model_validate(yaml.safe_load(path.read_text()) or {})
    except yaml.YAMLError as error:
        raise InvalidConfigError(f"{path}: not YAML: {error}") from None
    except ValidationError as error:
        words = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise InvalidConfigError(f"{path}: {words}") from None
