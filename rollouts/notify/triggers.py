"""Which place is told of which transition. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from rollouts.api.notifications import DEFAULT_REASONS, DEFAULT_TYPES, NOTIFY_ANNOTATION
from rollouts.api.preflight import PreflightReason
from rollouts.core.machine import Event
from rollouts.core.preflight.review import PREFLIGHT_PASSED

if TYPE_CHECKING:
    from rollouts.api.notifications import Place, Trigger
    from rollouts.notify.base import Transition

__all__ = ["REASONS", "fits", "unknown_reasons", "wanted"]

REASONS: Final = frozenset(
    {
        *(event.value for event in Event),
        *(reason.value for reason in PreflightReason),
        PREFLIGHT_PASSED,
        *("Approved", "ApprovalTimedOut", "ReleasePaused", "ReleaseResumed"),
        *("CommandIgnored", "HookFailed", "PodReplaced", "WrittenBack", "WriteBackFailed"),
    }
)
"""Of all Events that the controller posts for a Rollout."""


def unknown_reasons(trigger: Trigger) -> tuple[str, ...]:
    """Return reasons that no Event has."""
    return tuple(reason for reason in trigger.reasons or () if reason not in REASONS)


def fits(trigger: Trigger, transition: Transition) -> bool:
    """Return whether a trigger takes a transition."""
    reasons, types = trigger.reasons, trigger.types
    if reasons is None and types is None:
        reasons, types = DEFAULT_REASONS, DEFAULT_TYPES
    if transition.reason not in (reasons or ()) and transition.type not in (types or ()):
        return False
    if trigger.phases and transition.status.get("phase") not in trigger.phases:
        return False
    if trigger.namespaces and not any(fnmatchcase(transition.namespace, p) for p in trigger.namespaces):
        return False
    return all(transition.labels.get(label) == value for label, value in trigger.selector.items())


def wanted(place: Place, transition: Transition) -> bool:
    """Return whether a place may be told of a Rollout at all: the Rollout's annotation decides where it has one."""
    named = transition.annotations.get(NOTIFY_ANNOTATION)
    if named is None:
        return not place.opt_in
    return place.name in {word.strip() for word in named.split(",")}
