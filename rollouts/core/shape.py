"""What a split says besides its weights, as plain values that every router translates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollouts.api.matching import RequestMatch
    from rollouts.api.strategies import SessionAffinity

__all__ = ["PLAIN", "Mirror", "Route", "Shape"]


@dataclass(frozen=True)
class Route:
    """Requests that go to one backend whatever the weights say.

    Attributes:
        name: As people called it.
        match: A request that one of these matches.
        service: The backend.
    """

    name: str
    match: tuple[RequestMatch, ...]
    service: str


@dataclass(frozen=True)
class Mirror:
    """Copies of requests.

    Attributes:
        percent: Of the requests.
        match: Only of those that one of these matches; of all where there is none.
        service: The backend that gets them.
    """

    percent: int
    match: tuple[RequestMatch, ...]
    service: str


@dataclass(frozen=True)
class Shape:
    """What a split says besides its weights."""

    routes: tuple[Route, ...] = ()
    mirror: Mirror | None = None
    affinity: SessionAffinity | None = None

    @property
    def exposes(self) -> bool:
        """Whether the canary gets requests, or copies of them, at weight 0 as well."""
        return bool(self.routes) or self.mirror is not None


PLAIN = Shape()
"""Nothing but weights."""
