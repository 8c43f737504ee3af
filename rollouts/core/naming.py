"""Which objects a Rollout is about, and how those that it makes are called."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rollouts.api.names import BASELINE_SUFFIX, CANARY_SUFFIX

if TYPE_CHECKING:
    from rollouts.api.rollout import RolloutSpec
    from rollouts.core.notes import Notes

__all__ = ["MAX_LABEL", "Names", "names_of", "suffixed"]

MAX_LABEL: Final = 63
"""The longest label value and Service name."""
_HASH_DIGITS = 8


def suffixed(name: str, suffix: str = CANARY_SUFFIX) -> str:
    """Return ``name`` with the canary's suffix, shortened with a hash where it would grow beyond 63 characters."""
    if not name:
        return suffix.removeprefix("-")
    if len(name) + len(suffix) <= MAX_LABEL:
        return name + suffix
    digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH_DIGITS]
    room = MAX_LABEL - len(suffix) - _HASH_DIGITS - 1
    return f"{name[:room].rstrip('-_.')}-{digest}{suffix}"


@dataclass(frozen=True)
class Names:
    """The objects of one Rollout, all in its namespace."""

    workload: str
    host: str

    @property
    def canary_deployment(self) -> str:
        """The canary's Deployment."""
        return suffixed(self.workload)

    @property
    def canary_service(self) -> str:
        """The canary's Service: the backend that the split names."""
        return suffixed(self.host)

    @property
    def baseline_deployment(self) -> str:
        """The Deployment of an experiment's fresh stable pods."""
        return suffixed(self.workload, BASELINE_SUFFIX)

    @property
    def baseline_service(self) -> str:
        """Their Service: another backend of the split."""
        return suffixed(self.host, BASELINE_SUFFIX)


def names_of(spec: RolloutSpec | None, notes: Notes) -> Names | None:
    """Return the names in force: a running release keeps those that it began with, until it ends.

    Returns:
        None when the spec is invalid and nothing was adopted yet.
    """
    if notes.workload and notes.host and (notes.open or spec is None):
        return Names(workload=notes.workload, host=notes.host)
    if spec is None:
        return None
    return Names(workload=spec.workload_ref.name, host=spec.host)
