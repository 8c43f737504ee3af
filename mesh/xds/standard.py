"""The access loggers behind Istio's standard metrics: what the sidecars of both ends count.

A sidecar counts with few labels; ``mesh.telemetry.standard`` adds what the control plane knows (workloads, apps,
Services) and serves the sums. No label's value comes from what a caller sends, so callers cannot make more series.
"""

from __future__ import annotations

from typing import Final, Literal

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.data.accesslog.v3 import accesslog_pb2 as data_pb2
from envoy.extensions.access_loggers.stats.v3 import stats_pb2

from mesh.xds.metadata import FILTER
from mesh.xds.statslog import counter, histogram, stats_log

__all__ = [
    "BYTES_BOUNDS",
    "CLOSED",
    "DURATION",
    "DURATION_BOUNDS_MS",
    "HISTOGRAMS",
    "OPENED",
    "PREFIX",
    "RECEIVED",
    "REQUESTS",
    "REQUEST_BYTES",
    "RESPONSE_BYTES",
    "SENT",
    "TAGS",
    "Reporter",
    "bounds_of",
    "http_logs",
    "tcp_logs",
]

Reporter = Literal["source", "destination"]
"""Whose sidecar counts."""

PREFIX: Final = "coalmine.std."
REQUESTS: Final = f"{PREFIX}requests"
DURATION: Final = f"{PREFIX}duration_ms"
REQUEST_BYTES: Final = f"{PREFIX}request_bytes"
RESPONSE_BYTES: Final = f"{PREFIX}response_bytes"
OPENED: Final = f"{PREFIX}tcp_opened"
CLOSED: Final = f"{PREFIX}tcp_closed"
RECEIVED: Final = f"{PREFIX}tcp_received"
SENT: Final = f"{PREFIX}tcp_sent"
HISTOGRAMS: Final = (DURATION, REQUEST_BYTES, RESPONSE_BYTES)

DURATION_BOUNDS_MS: Final = (
    0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000,
)  # fmt: skip
"""Those of Istio's sidecars, for which people's dashboards and alerts are written."""
BYTES_BOUNDS: Final = (100, 1000, 10000, 100000, 1000000, 10000000)
"""Fewer than Istio's: each bound is sent by every sidecar, for every series, every second."""


def bounds_of(stat: str) -> tuple[float, ...]:
    """Return the upper bounds of a histogram's buckets; one more takes what is above."""
    return DURATION_BOUNDS_MS if stat == DURATION else BYTES_BOUNDS


_PEER: Final[dict[Reporter, str]] = {"source": "%UPSTREAM_PEER_URI_SAN%", "destination": "%DOWNSTREAM_PEER_URI_SAN%"}
_CALLED: Final[dict[Reporter, dict[str, str]]] = {
    "source": {
        "host": f"%METADATA(ROUTE:{FILTER}:namespace)%/%METADATA(ROUTE:{FILTER}:host)%",
        "backend": f"%METADATA(CLUSTER:{FILTER}:namespace)%/%METADATA(CLUSTER:{FILTER}:service)%",
        "version": f"%METADATA(UPSTREAM_HOST:{FILTER}:version)%",
    },
    # The reporting pod itself.
    "destination": {},
}
TAGS: Final = ("reporter", "peer", "host", "backend", "version", "code", "flags", "grpc")
"""All tags, in the order in which readers keep them; a stat has those that it needs."""

_UNIT: Final = stats_pb2.Config.Histogram.Unit


def http_logs(reporter: Reporter) -> list[accesslog_pb2.AccessLog]:
    """Return the loggers for ``HttpConnectionManager.access_log``.

    Args:
        reporter: ``source`` for what the pod calls, ``destination`` for what it is called.
    """
    tags = _tags(reporter) | {"code": "%RESPONSE_CODE%", "grpc": "%GRPC_STATUS_NUMBER%"}
    return [
        stats_log(
            [counter(REQUESTS, tags)],
            [
                histogram(DURATION, tags, _UNIT.Value("Milliseconds"), "%DURATION%"),
                histogram(REQUEST_BYTES, tags, _UNIT.Value("Bytes"), "%BYTES_RECEIVED%"),
                histogram(RESPONSE_BYTES, tags, _UNIT.Value("Bytes"), "%BYTES_SENT%"),
            ],
        )
    ]


def tcp_logs(reporter: Reporter) -> list[accesslog_pb2.AccessLog]:
    """Return the loggers for ``TcpProxy.access_log``, which has to be flushed on connected, too.

    Args:
        reporter: ``source`` for what the pod calls, ``destination`` for what it is called.
    """
    tags = _tags(reporter)
    end = [
        counter(CLOSED, tags),
        counter(RECEIVED, tags, "%BYTES_RECEIVED%"),
        counter(SENT, tags, "%BYTES_SENT%"),
    ]
    # What could not connect is never opened; it is closed with the flag that says why.
    return [
        stats_log([counter(OPENED, tags)], only=_when(data_pb2.TcpUpstreamConnected)),
        stats_log(end, only=_when(data_pb2.TcpConnectionEnd)),
    ]


def _tags(reporter: Reporter) -> dict[str, str]:
    return {"reporter": reporter, "peer": _PEER[reporter], "flags": "%RESPONSE_FLAGS%"} | _CALLED[reporter]


def _when(kind: int) -> accesslog_pb2.AccessLogFilter:
    return accesslog_pb2.AccessLogFilter(log_type_filter=accesslog_pb2.LogTypeFilter(types=[kind]))
