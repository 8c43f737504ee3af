"""What every resource model shares: camelCase on the wire, unknown fields refused, Kubernetes' own value types."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel

__all__ = [
    "DNS_LABEL",
    "DNS_NAME",
    "Duration",
    "Resource",
    "ResourceName",
    "ServiceName",
    "format_duration",
    "parse_duration",
]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
DNS_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DURATION_PATTERN = r"^(\d+(\.\d+)?(ms|s|m|h))+$"


class Resource(BaseModel):
    """Base of every model that is read from or written to the Kubernetes API.

    Field names are Python's on our side and camelCase on the wire; an unknown field is an error that names it.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    def dump(self) -> dict[str, Any]:
        """Return the JSON form as Kubernetes stores it: camelCase, without fields that are None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def parse_duration(value: object) -> float:
    """Return the seconds of a Go-style duration (``1h30m``, ``1.5s``, ``250ms``).

    Args:
        value: The text, or a number of seconds.

    Raises:
        ValueError: The text is not a duration.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and re.fullmatch(DURATION_PATTERN, value):
        return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(value))
    msg = f"{value!r} is not a duration: write it like 30s, 5m or 1h30m"
    raise ValueError(msg)


def format_duration(seconds: float) -> str:
    """Return seconds as the shortest Go-style duration that parses back to the same value (to a millisecond)."""
    millis = round(seconds * 1000)
    hours, millis = divmod(millis, 3_600_000)
    minutes, millis = divmod(millis, 60_000)
    whole, millis = divmod(millis, 1000)
    parts = [f"{n}{u}" for n, u in ((hours, "h"), (minutes, "m"), (whole, "s"), (millis, "ms")) if n]
    return "".join(parts) or "0s"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "maxLength": 32}),
]
"""Seconds in Python, a Go-style duration on the wire."""

ResourceName = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=DNS_NAME)]
"""The name of a Kubernetes object."""

ServiceName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=DNS_LABEL)]
"""The name of a Kubernetes Service: a DNS label."""
