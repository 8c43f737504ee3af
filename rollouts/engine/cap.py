"""How many releases are under way at once, over all Rollouts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollouts.core.machine import RESTING, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollouts.engine.cache import Cache, Key

__all__ = ["Cap", "is_under_way"]

_NAMED = 3
_IDLE = RESTING | {State.INITIALIZING, State.RESTORING}


class Cap:
    """Counts releases, those included that were decided a moment ago and that no watch has told of yet.

    Args:
        most: How many there may be; None for any number.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._decided: dict[Key, bool] = {}

    def note(self, key: Key, internal: Mapping[str, Any]) -> None:
        """Note what was decided for a Rollout; call it before anything else is decided."""
        if self._most is not None:
            self._decided[key] = is_under_way(internal)

    def forget(self, key: Key) -> None:
        """Forget a Rollout."""
        self._decided.pop(key, None)

    def full(self, cache: Cache, key: Key) -> str:
        """Return why no release of a Rollout may start beside those of others, in words; empty when one may."""
        if self._most is None:
            return ""
        others = [k for k, body in cache.rollouts.items() if k != key and self._is_under_way(k, body)]
        if len(others) < self._most:
            return ""
        named = ["/".join(k) for k in sorted(others)]
        names = ", ".join(named if len(named) <= _NAMED else [*named[:_NAMED], "…"])
        return (
            f"{len(others)} releases are under way ({names}), and at most {self._most} may be at once (--max-releases)"
        )

    def _is_under_way(self, key: Key, body: Mapping[str, Any]) -> bool:
        decided = self._decided.get(key)
        return is_under_way((body.get("status") or {}).get("internal") or {}) if decided is None else decided


def is_under_way(internal: Mapping[str, Any]) -> bool:
    """Return whether a Rollout's memory (``status.internal``) says that a release is under way."""
    return State(internal.get("state", State.INITIALIZING)) not in _IDLE
