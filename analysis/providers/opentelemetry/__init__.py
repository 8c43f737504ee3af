"""OpenTelemetry metrics, sent by pods or by a Collector over OTLP/HTTP, as a source of counts."""

from analysis.providers.opentelemetry.receiver import PATH, Receiver
from analysis.providers.opentelemetry.source import OpenTelemetryCountSource

__all__ = ["PATH", "OpenTelemetryCountSource", "Receiver"]
