"""Transitions as CloudEvents 1.0 over HTTP. An interrupted one is sent again under its id: receivers keep to the id."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any

from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from analysis.providers.base import ConfigurationError
from rollouts.api.names import GROUP, VERSION
from rollouts.notify.base import RefusedError
from rollouts.notify.files import read_secret
from rollouts.notify.http import ask
from rollouts.notify.place import PlaceSink
from rollouts.notify.signing import signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.api.notifications import CloudEvents
    from rollouts.notify.base import Transition

__all__ = ["CloudEventsSink", "event_of"]


def event_of(transition: Transition) -> CloudEvent:
    """Return the event: the same each time, its id included."""
    at = dt.datetime.fromtimestamp(transition.at, dt.UTC)
    namespace, name = transition.namespace, transition.name
    data: dict[str, Any] = {
        "namespace": namespace,
        "name": name,
        "uid": transition.uid,
        "number": transition.number,
        "type": transition.type,
        "reason": transition.reason,
        "note": transition.note,
        "labels": dict(transition.labels),
        "annotations": dict(transition.annotations),
        "status": dict(transition.status),
    }
    attributes: dict[str, Any] = {
        "id": f"{transition.uid}.{transition.number}",
        "source": f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/rollouts/{name}",
        "type": f"dev.coalmine.rollout.{transition.reason}",
        "subject": f"{namespace}/{name}",
        "time": at,
        "datacontenttype": "application/json",
        "sequence": f"{transition.number:012}",
    }
    return CloudEvent(attributes, data)


class CloudEventsSink(PlaceSink):
    """One address that takes events."""

    _place: CloudEvents

    async def send(self, transition: Transition, memory: Mapping[str, str], *, doubtful: bool) -> Mapping[str, str]:
        """Send the event. See ``Sink``."""
        del doubtful  # the id is the same
        place = self._place
        url = place.url or read_secret(place.url_file or "", f"{self._field}.urlFile")
        event = event_of(transition)
        message = to_structured_event(event) if place.mode == "structured" else to_binary_event(event)
        headers = dict(message.headers)
        if place.token_file:
            headers["Authorization"] = f"Bearer {read_secret(place.token_file, f'{self._field}.tokenFile')}"
        if place.signing_secret_file:
            headers |= self._signed(f"{transition.uid}.{transition.number}", message.body)
        reply = await ask(self._session, "POST", url, body=message.body, headers=headers, seconds=place.timeout_seconds)
        reply.or_refused(f"{self._field}.url, or what answers there")
        return memory

    def _signed(self, key: str, body: bytes) -> dict[str, str]:
        field = f"{self._field}.signingSecretFile"
        secret, now = read_secret(self._place.signing_secret_file or "", field), int(time.time())
        try:
            signed = signature(secret, key, now, body, field)
        except ConfigurationError as error:
            raise RefusedError(str(error)) from None
        return {"webhook-id": key, "webhook-timestamp": str(now), "webhook-signature": signed}
