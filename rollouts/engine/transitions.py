"""From the announcements in a Rollout's status to what those who tell of them get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rollouts.core.naming import names_of
from rollouts.notify.base import Transition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollouts.core.notes import Announcement
    from rollouts.core.observed import Subject
    from rollouts.engine.cache import Cache

__all__ = ["transitions_of"]

_LONGEST: Final = 2048
"""Of an annotation; longer ones are machines', as what ``kubectl apply`` keeps."""


def transitions_of(
    cache: Cache, subject: Subject, announcements: Iterable[Announcement], status: Mapping[str, Any]
) -> list[Transition]:
    """Return what is told of announcements.

    Args:
        cache: What the watches tell.
        subject: The Rollout.
        announcements: What happened.
        status: The Rollout's status as it is stored, which goes with each.
    """
    names = names_of(subject.spec, subject.notes)
    deployment = cache.deployments.get((subject.namespace, names.workload)) if names else None
    annotations = {**subject.annotations, **((deployment or {}).get("metadata", {}).get("annotations") or {})}
    shown = {k: v for k, v in status.items() if k != "internal"}
    return [
        Transition(
            namespace=subject.namespace,
            name=subject.name,
            uid=subject.uid,
            number=a.number,
            at=a.at,
            type=a.type,
            reason=a.reason,
            note=a.note,
            status=shown,
            annotations={k: v for k, v in annotations.items() if len(v) <= _LONGEST},
            labels=dict(subject.labels),
        )
        for a in announcements
    ]
