"""Whether a change of a ConfigMap or Secret is a release."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from rollouts.api.names import GROUP

__all__ = ["CONFIG_ANNOTATION", "ConfigChanges"]

CONFIG_ANNOTATION: Final = f"{GROUP}/config"
"""On the pod template: a digest of what it refers to. Our own field, as ``kubectl rollout restart`` has one."""


class ConfigChanges(StrEnum):
    """What a changed ConfigMap or Secret is."""

    IGNORE = "Ignore"
    RELEASE = "Release"
