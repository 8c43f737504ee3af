"""A sink as it is, with each try counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollouts.notify.base import LaterError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.engine.meters import Meters
    from rollouts.notify.base import Sink, Transition

__all__ = ["Counted"]


class Counted:
    """Tells what the sink is told, and counts what came of it."""

    def __init__(self, sink: Sink, meters: Meters) -> None:
        self._sink = sink
        self._meters = meters

    @property
    def name(self) -> str:
        """The sink's."""
        return self._sink.name

    def wants(self, transition: Transition) -> bool:
        """As the sink."""
        return self._sink.wants(transition)

    async def send(self, transition: Transition, memory: Mapping[str, str], *, doubtful: bool) -> Mapping[str, str]:
        """As the sink."""
        try:
            kept = await self._sink.send(transition, memory, doubtful=doubtful)
        except LaterError:
            self._meters.told(self.name, "later")
            raise
        except RefusedError:
            self._meters.told(self.name, "refused")
            raise
        except Exception:
            self._meters.told(self.name, "unclear")
            raise
        self._meters.told(self.name, "delivered")
        return kept
