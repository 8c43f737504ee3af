"""Which requests a route takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Match", "Named", "StringMatch"]


@dataclass(frozen=True, slots=True)
class StringMatch:
    """How a text is compared."""

    kind: Literal["exact", "prefix", "regex"]
    value: str


Named = tuple[tuple[str, StringMatch | None], ...]
"""Names and how their values are compared; None means only that the name is there."""


@dataclass(frozen=True, slots=True)
class Match:
    """What a request must be for a route to take it; all parts must hold."""

    uri: StringMatch = StringMatch("prefix", "/")
    headers: Named = ()
    """By header name; pseudo-headers such as ``:authority`` are headers, too."""
    method: StringMatch | None = None
    excluded_methods: tuple[str, ...] = ()
    without_headers: Named = ()
    """Headers that must not be so; one that is not there is not so."""
    query: Named = ()
    ignore_case: bool = False
    """Of the uri; a regular expression says so itself."""

    @property
    def everything(self) -> bool:
        """Whether there is no request that it does not take."""
        return self == Match() or self == Match(ignore_case=True)
