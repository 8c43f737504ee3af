"""Who belongs to which of Slack's user groups, remembered for a while."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

__all__ = ["Groups"]

_KEPT_SECONDS: Final = 60.0
"""Whoever leaves a group can do nothing more after this time."""
_ASKED_AGAIN_SECONDS: Final = 5.0
"""Whoever joins one can after this time."""


class Groups:
    """Asks Slack, and sooner again about those who were in no group."""

    def __init__(
        self, members: Callable[[str], Awaitable[frozenset[str]]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make one that knows nothing.

        Args:
            members: Returns a user group's members, by the group's id.
            clock: Seconds that never go back.
        """
        self._members = members
        self._clock = clock
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    async def of(self, user: str, groups: Iterable[str]) -> frozenset[str]:
        """Return those of some groups that a user belongs to.

        Raises:
            Exception: Slack cannot be asked, and nothing is known of a group.
        """
        return frozenset([group for group in groups if await self._has(group, user)])

    async def _has(self, group: str, user: str) -> bool:
        at, members = self._known.get(group, (float("-inf"), frozenset()))
        age = self._clock() - at
        if age < (_KEPT_SECONDS if user in members else _ASKED_AGAIN_SECONDS):
            return user in members
        members = await self._members(group)
        self._known[group] = (self._clock(), members)
        return user in members
