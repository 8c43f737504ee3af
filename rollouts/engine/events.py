"""Kubernetes Events (events.k8s.io/v1), each exactly once: the name comes from the Rollout and the transition's number."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from rollouts.api.names import GROUP, VERSION
from rollouts.engine.kube import ConflictError, object_path

if TYPE_CHECKING:
    from rollouts.core.notes import Announcement
    from rollouts.core.observed import Subject
    from rollouts.engine.kube import Kube

__all__ = ["event_of", "post_event", "post_named_event"]

_EVENTS: Final = "events.k8s.io/v1"
_NAME_LENGTH: Final = 200
_SHORT_NAME: Final = 150


def event_of(subject: Subject, announcement: Announcement, instance: str) -> dict[str, Any]:
    """Return the Event that tells of a transition."""
    moment = dt.datetime.fromtimestamp(announcement.at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "apiVersion": _EVENTS,
        "kind": "Event",
        "metadata": {
            "name": f"{subject.name[:_NAME_LENGTH]}.{subject.uid[:8]}.{announcement.number}",
            "namespace": subject.namespace,
        },
        "eventTime": moment,
        "reportingController": f"{GROUP}/controller",
        "reportingInstance": instance,
        "action": announcement.reason,
        "reason": announcement.reason,
        "type": announcement.type,
        "note": announcement.note,
        "regarding": {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "Rollout",
            "name": subject.name,
            "namespace": subject.namespace,
            "uid": subject.uid,
        },
    }


async def post_event(kube: Kube, subject: Subject, announcement: Announcement, instance: str) -> None:
    """Post the Event; one that is there already is left as it is."""
    await _post(kube, subject, event_of(subject, announcement, instance))


async def post_named_event(kube: Kube, subject: Subject, announcement: Announcement, instance: str, about: str) -> None:
    """Post an Event of something beside the transitions, once for each number and ``about``, which is a DNS label."""
    event = event_of(subject, announcement, instance)
    metadata = event["metadata"]
    metadata["name"] = f"{subject.name[:_SHORT_NAME]}.{subject.uid[:8]}.{about[:63]}.{announcement.number}"
    await _post(kube, subject, event)


async def _post(kube: Kube, subject: Subject, event: dict[str, Any]) -> None:
    try:
        await kube.request("POST", object_path(_EVENTS, "Event", subject.namespace), body=event)
    except ConflictError:
        return
