"""Values that end up in Envoy's configuration, held to what Envoy takes: one bad value would stop all of it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

from crds.base import Duration
from mesh.api.istio import IstioResource

__all__ = [
    "HeaderName",
    "HeaderValue",
    "MutableHeaderName",
    "Percent",
    "Port",
    "PortSelector",
    "PositiveTime",
    "Status",
    "Time",
]

_TOKEN: Final = r"[0-9A-Za-z!#$%&'*+.^_|~`-]+"  # noqa: S105 - RFC 9110's word
_LONGEST: Final = 365 * 24 * 3600
"""Seconds; beyond it Envoy's own clock arithmetic may overflow."""
_SHORTEST: Final = 0.001

HeaderName = Annotated[str, StringConstraints(pattern=rf"^:?{_TOKEN}$", max_length=1024)]
"""The name of a header; ``:path`` and its like are names, too."""
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[^\x00\r\n]*$", max_length=16384)]
"""What a header may hold."""
Port = Annotated[int, Field(ge=1, le=65535)]
Status = Annotated[int, Field(ge=200, le=599)]
"""A status that a proxy may answer with."""


def _mutable(name: str) -> str:
    if name.startswith(":") and name != ":authority":
        raise ValueError(f"{name} cannot be changed as a header: use rewrite")
    return name


MutableHeaderName = Annotated[HeaderName, AfterValidator(_mutable)]
"""A header that may be set or removed."""


def _bounded(seconds: float) -> float:
    if seconds > _LONGEST:
        raise ValueError("is longer than a year: write at most 8760h")
    return seconds


def _positive(seconds: float) -> float:
    if seconds < _SHORTEST:
        raise ValueError("is no time at all: write at least 1ms")
    return _bounded(seconds)


Time = Annotated[Duration, AfterValidator(_bounded)]
"""Seconds, possibly none."""
PositiveTime = Annotated[Duration, AfterValidator(_positive)]
"""Seconds, a millisecond at least."""


class Percent(IstioResource):
    """A share."""

    value: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 0.0


class PortSelector(IstioResource):
    """A port of the destination."""

    number: Port
