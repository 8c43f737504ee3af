"""Which metrics are counted: what the settings write, and the conventions behind the presets."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from analysis.api.opentelemetry import AttributeMatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analysis.api.opentelemetry import OpenTelemetryCounts

__all__ = ["Metrics", "holds", "milliseconds", "resolve"]


@dataclass(frozen=True, slots=True)
class Metrics:
    """What is counted.

    Attributes:
        requests: The counter or histogram of requests.
        errors: A request failed when any of these holds.
        latency: The histogram; empty when latency is not judged.
        unit: What it counts in; empty for what the metric itself says.
        route: The attribute of the kind of request; empty for none.
    """

    requests: str
    errors: tuple[AttributeMatch, ...]
    latency: str = ""
    unit: str = ""
    route: str = ""

    @property
    def names(self) -> frozenset[str]:
        """The metrics that have to be kept."""
        return frozenset(filter(None, (self.requests, self.latency)))


_HTTP: Final = "http.server.request.duration"
_GRPC: Final = "rpc.server.duration"
_PRESETS: Final = {
    # https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
    "Http": Metrics(
        _HTTP,
        (
            AttributeMatch(key="http.response.status_code", values=("5*",)),
            AttributeMatch(key="error.type", operator="Exists"),
        ),
        _HTTP,
        route="http.route",
    ),
    # https://opentelemetry.io/docs/specs/semconv/rpc/grpc/: the codes that are the server's fault, and as the newer
    # rpc.server.call.duration writes them.
    "Grpc": Metrics(
        _GRPC,
        (
            AttributeMatch(key="rpc.grpc.status_code", values=("2", "4", "12", "13", "14", "15")),
            AttributeMatch(
                key="rpc.response.status_code",
                values=("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
            ),
        ),
        _GRPC,
        route="rpc.method",
    ),
}
_UNITS_MS: Final = {"s": 1000.0, "ms": 1.0, "us": 0.001, "ns": 0.000001}
"""Milliseconds in what UCUM calls a unit, https://ucum.org."""


def resolve(settings: OpenTelemetryCounts) -> Metrics:
    """Return what is counted: the settings' own words, and where there are none the preset's."""
    preset = _PRESETS[settings.preset] if settings.preset else Metrics("", ())
    return Metrics(
        requests=settings.requests or preset.requests,
        errors=settings.errors or preset.errors,
        latency=settings.latency or preset.latency,
        unit=settings.latency_unit or "",
        route=settings.route_attribute or preset.route,
    )


def milliseconds(unit: str) -> float | None:
    """Return the milliseconds in a unit of time; None when it is not one."""
    return _UNITS_MS.get(unit)


def holds(match: AttributeMatch, attributes: Mapping[str, str]) -> bool:
    """Whether a condition holds for a series."""
    value = attributes.get(match.key)
    if match.operator in {"Exists", "DoesNotExist"}:
        return (value is not None) == (match.operator == "Exists")
    found = value is not None and _pattern(match.values or ()).fullmatch(value) is not None
    return found == (match.operator == "In")


@functools.lru_cache(maxsize=256)
def _pattern(values: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern of texts in which ``*`` stands for any text."""
    return re.compile("|".join(".*".join(map(re.escape, value.split("*"))) for value in values), re.DOTALL)
