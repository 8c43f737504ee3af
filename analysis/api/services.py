"""Settings of the services that answer with a value, one class for each provider."""

from __future__ import annotations

from analysis.api.cloudwatch import CloudWatch
from analysis.api.hosted import Datadog, Dynatrace, NewRelic, Stackdriver
from analysis.api.stores import Elasticsearch, Graphite, InfluxDb
from analysis.api.web import Web
from analysis.api.workloads import Job, Plugin

__all__ = [
    "CloudWatch",
    "Datadog",
    "Dynatrace",
    "Elasticsearch",
    "Graphite",
    "InfluxDb",
    "Job",
    "NewRelic",
    "Plugin",
    "Stackdriver",
    "Web",
]
