"""Pods that export OTLP messages, without a wire, and a source that reads what they sent."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import json_format

from analysis.api.opentelemetry import OpenTelemetryCounts
from analysis.model.counts import Arm, Window
from analysis.providers.opentelemetry.decoder import decode
from analysis.providers.opentelemetry.schema import ExportMetricsServiceRequest
from analysis.providers.opentelemetry.source import OpenTelemetryCountSource
from analysis.providers.opentelemetry.store import Limits, Refusal, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

EPOCH = 1_700_000_000.0
BOUNDS_S = (0.1, 1.0)
REQUESTS = "http.server.request.duration"
CUMULATIVE, DELTA = 2, 1
ARMS = {"payment-a": Arm.BASELINE, "payment-canary-b": Arm.CANARY}


def nanos(seconds: float) -> int:
    return round(seconds * 1000) * 1_000_000


def real(value: float) -> float | str:
    """Return a number as protobuf's JSON writes it."""
    return value if math.isfinite(value) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")


def attributes(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    kinds = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
    return [{"key": key, "value": {kinds[type(value)]: value}} for key, value in found.items()]


def histogram(
    attrs: Mapping[str, Any], start: float | None, end: float, counts: Sequence[int], bounds: Sequence[float] = BOUNDS_S
) -> dict[str, Any]:
    """Return a data point of an explicit histogram."""
    return {
        "attributes": attributes(attrs),
        "startTimeUnixNano": 0 if start is None else nanos(start),
        "timeUnixNano": nanos(end),
        "count": sum(counts),
        "bucketCounts": list(counts),
        "explicitBounds": list(bounds),
    }


def number(attrs: Mapping[str, Any], start: float | None, end: float, value: float) -> dict[str, Any]:
    """Return a data point of a counter."""
    return {
        "attributes": attributes(attrs),
        "startTimeUnixNano": 0 if start is None else nanos(start),
        "timeUnixNano": nanos(end),
        **({"asInt": value} if isinstance(value, int) else {"asDouble": real(value)}),
    }


def message(pod: str, *metrics: Mapping[str, Any], **resource: Any) -> dict[str, Any]:
    """Return one export of a pod as OTLP's JSON."""
    named = ({"k8s.pod.name": pod} if pod else {}) | resource
    scope = {"scope": {"name": "test"}, "metrics": list(metrics)}
    return {"resourceMetrics": [{"resource": {"attributes": attributes(named)}, "scopeMetrics": [scope]}]}


def latencies(*points: Mapping[str, Any], temporality: int = CUMULATIVE, name: str = REQUESTS, unit: str = "s") -> Any:
    """Return a histogram."""
    return {
        "name": name,
        "unit": unit,
        "histogram": {"aggregationTemporality": temporality, "dataPoints": list(points)},
    }


def counter(name: str, *points: Mapping[str, Any], temporality: int = CUMULATIVE, monotonic: bool = True) -> Any:
    """Return a sum."""
    return {
        "name": name,
        "sum": {"aggregationTemporality": temporality, "isMonotonic": monotonic, "dataPoints": list(points)},
    }


@dataclass
class Bench:
    """A store, a clock and one open source.

    Attributes:
        now: The clock.
        arms: The pods of the release; may change.
        settings: Of the source.
    """

    settings: OpenTelemetryCounts
    bounds: tuple[float, ...]
    limits: Limits
    now: float = EPOCH
    arms: dict[str, Arm] = field(default_factory=lambda: dict(ARMS))

    def __post_init__(self) -> None:
        self.store = Store(self.limits)
        self.source = self.open()

    def open(self) -> OpenTelemetryCountSource:
        return OpenTelemetryCountSource(
            self.settings, self.store, lambda: self.now, bounds_ms=self.bounds, pods=lambda: self.arms
        )

    def send(self, sent: Mapping[str, Any], at: float | None = None) -> list[Refusal]:
        """Deliver a message, by the wire's own encoding."""
        if at is not None:
            self.now = at
        request = json_format.ParseDict(sent, ExportMetricsServiceRequest())
        again = ExportMetricsServiceRequest.FromString(request.SerializeToString())
        return self.store.add(decode(again, self.store.wanted), self.now)

    def windows(self, since: float = EPOCH - 60, until: float | None = None) -> list[Window]:
        """Read, when nothing more can come."""
        self.now = (self.now if until is None else until) + 200
        return list(asyncio.run(self.source.read(since, self.now)))


def totals(windows: Sequence[Window]) -> dict[str, tuple[int, int, tuple[int, ...]]]:
    """Return attempts, errors and latency by pod."""
    attempts, errors, latency = Counter[str](), Counter[str](), dict[str, list[int]]()
    for window in windows:
        for pod in window.pods:
            attempts[pod.pod] += pod.attempts
            errors[pod.pod] += pod.errors
            if pod.latency:
                before = latency.get(pod.pod, [0] * len(pod.latency))
                latency[pod.pod] = [a + b for a, b in zip(before, pod.latency, strict=True)]
    return {pod: (attempts[pod], errors[pod], tuple(latency.get(pod, ()))) for pod in attempts}


class Otlp:
    """What tests write messages with."""

    EPOCH, REQUESTS, CUMULATIVE, DELTA, BOUNDS_S = EPOCH, REQUESTS, CUMULATIVE, DELTA, BOUNDS_S
    message, latencies, counter = staticmethod(message), staticmethod(latencies), staticmethod(counter)
    histogram, number, attributes = staticmethod(histogram), staticmethod(number), staticmethod(attributes)
    totals, nanos, real = staticmethod(totals), staticmethod(nanos), staticmethod(real)

    @staticmethod
    def bench(
        bounds: Sequence[float] = (100.0, 1000.0), limits: Limits | None = None, now: float = EPOCH, **written: Any
    ) -> Bench:
        settings = OpenTelemetryCounts.model_validate({"preset": "Http", "exportInterval": "10s"} | written)
        return Bench(settings, tuple(bounds), limits or Limits(), now)


@pytest.fixture(scope="session")
def otlp() -> type[Otlp]:
    """Messages, and a bench to send them to."""
    return Otlp


@pytest.fixture
def make(otlp: type[Otlp]) -> Callable[..., Bench]:
    """Makes benches."""
    return otlp.bench
