"""PagerDuty's Events API v2: one alert for each Rollout. Its ``dedup_key`` makes sending an event again harmless."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from rollouts.notify.files import read_secret
from rollouts.notify.http import ask
from rollouts.notify.message import cut, message_of
from rollouts.notify.place import JSON, PlaceSink, as_json
from rollouts.notify.triggers import fits, wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.api.notifications import PagerDuty
    from rollouts.notify.base import Transition

__all__ = ["PagerDutySink"]

_RESOLVES: Final = frozenset({"Promoted", "Reverted", "PreflightPassed", "Restored"})
"""A later success, a revert in git, what kept a release from starting is mended, or the Rollout is gone."""
_OPEN: Final = "open"


class PagerDutySink(PlaceSink):
    """One service."""

    _place: PagerDuty

    def wants(self, transition: Transition) -> bool:
        """Return whether it may open an alert or end one."""
        return wanted(self._place, transition) and (transition.reason in _RESOLVES or self._opens(transition))

    def _opens(self, transition: Transition) -> bool:
        return fits(self._place.when, transition)

    async def send(self, transition: Transition, memory: Mapping[str, str], *, doubtful: bool) -> Mapping[str, str]:
        """Open the alert, add to it, or resolve it. See ``Sink``."""
        del doubtful  # the key is the same
        if self._opens(transition):
            await self._enqueue(self._trigger(transition))
            return {_OPEN: "yes"}
        if memory.get(_OPEN):
            await self._enqueue({"event_action": "resolve", "dedup_key": _key(transition)})
        return {}

    def _trigger(self, transition: Transition) -> dict[str, Any]:
        place = self._place
        message = message_of(transition, link=self._link, title=place.template.title, text=place.template.text)
        payload = {
            "summary": cut(message.title if place.template.title else f"{message.title}: {transition.note}", 1024),
            "source": f"{transition.namespace}/{transition.name}",
            "severity": place.severity,
            "timestamp": dt.datetime.fromtimestamp(transition.at, dt.UTC).isoformat(),
            "component": transition.name,
            "group": transition.namespace,
            "class": transition.reason,
            "custom_details": {"text": message.text, **dict(message.facts)},
        }
        event: dict[str, Any] = {"event_action": "trigger", "dedup_key": _key(transition), "payload": payload}
        if message.link:
            event["links"] = [{"href": message.link, "text": "Watch the release"}]
        return {**event, "client": "Coalmine"}

    async def _enqueue(self, event: dict[str, Any]) -> None:
        field = f"{self._field}.routingKeyFile"
        body = as_json({**event, "routing_key": read_secret(self._place.routing_key_file, field)})
        reply = await ask(
            self._session, "POST", self._place.url, body=body, headers=JSON, seconds=self._place.timeout_seconds
        )
        reply.or_refused(f"{field} (the key of an Events API v2 integration), or {self._field}.url")


def _key(transition: Transition) -> str:
    return f"coalmine/{transition.uid}"
