"""What the sinks of ``notifications`` share."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from rollouts.notify.base import DoubtfulError
from rollouts.notify.triggers import fits, wanted

if TYPE_CHECKING:
    import aiohttp

    from rollouts.api.notifications import Place
    from rollouts.notify.base import Transition

__all__ = ["JSON", "PlaceSink", "as_json", "not_again"]

JSON: Final = {"Content-Type": "application/json"}


class PlaceSink:
    """The part of a ``Sink`` that is the same everywhere."""

    def __init__(self, settings: Place, field: str, session: aiohttp.ClientSession, link: str | None = None) -> None:
        """Make one.

        Args:
            settings: What is configured.
            field: Where, for messages: ``notifications.teams.0``.
            session: For requests.
            link: Template of the address where a release is watched.
        """
        self._place = settings
        self._field = field
        self._session = session
        self._link = link

    @property
    def name(self) -> str:
        """Unique among the sinks."""
        return self._place.name

    def wants(self, transition: Transition) -> bool:
        """Return whether this transition is told there."""
        return wanted(self._place, transition) and fits(self._place.when, transition)


def as_json(value: Any) -> bytes:
    """Return JSON: the same bytes for each try."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def not_again(service: str) -> DoubtfulError:
    """Return the error of a service that cannot tell a second message from the first."""
    return DoubtfulError(
        f"it may have been told (the connection broke, or the controller ended, before {service} answered) and "
        f"{service} cannot be asked: it is not told again"
    )
