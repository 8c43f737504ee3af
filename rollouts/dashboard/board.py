"""All Rollouts as the dashboard knows them, fed by the watch. What a change costs here is a set and a few numbers; views are made by who looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollouts.dashboard.tracks import Track

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollouts.engine.cache import Key

__all__ = ["Board"]


class Board:
    """Rollouts and their past.

    Attributes:
        rollouts: As the API server has them.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Make an empty one.

        Args:
            clock: Unix seconds.
        """
        self.rollouts: dict[Key, Mapping[str, Any]] = {}
        self._clock = clock
        self._tracks: dict[Key, Track] = {}
        self._listeners: list[Callable[[Key], None]] = []

    def listen(self, listener: Callable[[Key], None]) -> None:
        """Call ``listener`` with each Rollout that changed or went; it must not block."""
        self._listeners.append(listener)

    def seen(self, key: Key, rollout: Mapping[str, Any] | None) -> None:
        """Take in a Rollout as it is now; None where it is gone."""
        if rollout is None:
            self.rollouts.pop(key, None)
            self._tracks.pop(key, None)
        else:
            before = self.rollouts.get(key)
            if before is not None and before["metadata"].get("uid") != rollout["metadata"].get("uid"):
                self._tracks.pop(key, None)
            self.rollouts[key] = rollout
            if not self.track(key).add(rollout, self._clock()):
                return
        for listener in self._listeners:
            listener(key)

    def track(self, key: Key) -> Track:
        """Return a Rollout's past."""
        return self._tracks.setdefault(key, Track())
