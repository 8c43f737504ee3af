"""A pod with the real OpenTelemetry SDK, set up by the environment alone, as pods are. It does what it is told on stdin.

Each line is a list of requests, ``[status, seconds, times]``; they are counted, exported, and then acknowledged.
"""

import importlib
import json
import os
import sys

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

exporters = importlib.import_module(f"opentelemetry.exporter.otlp.{os.environ['PROTOCOL']}.http.metric_exporter")
provider = MeterProvider([PeriodicExportingMetricReader(exporters.OTLPMetricExporter())])
durations = provider.get_meter("shop").create_histogram(
    "http.server.request.duration",
    unit="s",
    explicit_bucket_boundaries_advisory=[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
)
sys.stdout.write("ready\n")
sys.stdout.flush()
for line in sys.stdin:
    for status, seconds, times in json.loads(line):
        attributes = {"http.request.method": "GET", "http.route": "/pay", "http.response.status_code": status}
        if status >= 500:
            attributes["error.type"] = str(status)
        for _ in range(times):
            durations.record(seconds, attributes)
    provider.force_flush()
    sys.stdout.write("done\n")
    sys.stdout.flush()
provider.shutdown()
