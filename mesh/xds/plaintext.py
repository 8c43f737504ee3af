"""The access loggers that tell who calls a pod in plaintext: by the caller's address, which is all that is known of it.

A label from a caller's address could have any value, so these stats have a scope of their own with a bound for the whole
sidecar; what is beyond it is not counted apart. Those that stand still are dropped after a while and begin at zero
should they come back (``mesh.telemetry.counters`` allows for that).

What is not the mesh's mutual TLS is meant: plaintext, and TLS of an application's own, which STRICT refuses alike.
"""

from __future__ import annotations

from typing import Final

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.data.accesslog.v3 import accesslog_pb2 as data_pb2

from mesh.xds.statslog import Bounds, counter, stats_log

__all__ = [
    "CONNECTIONS",
    "MAX_SERIES",
    "PREFIX",
    "REFUSED",
    "REQUESTS",
    "TAGS",
    "of_connections",
    "of_refused",
    "of_requests",
]

PREFIX: Final = "coalmine.plain."
REQUESTS: Final = f"{PREFIX}requests"
"""HTTP requests."""
CONNECTIONS: Final = f"{PREFIX}connections"
"""TCP connections, as they are passed on to the application."""
REFUSED: Final = f"{PREFIX}refused"
"""Connections that were refused since the port takes mutual TLS only."""
TAGS: Final = ("source", "port")
"""Address of the caller; number of the container port, 0 for one that the pod does not declare."""
MAX_SERIES: Final = 500
"""Of one sidecar: 250 bytes of memory and of each report, every second, for each."""

_BOUNDS: Final = Bounds("plain", MAX_SERIES)
_SOURCE: Final = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"


def of_requests(port: int) -> accesslog_pb2.AccessLog:
    """Return the logger of an HTTP port's connection manager."""
    return stats_log([counter(REQUESTS, _tags(str(port)))], bounds=_BOUNDS)


def of_connections(port: int) -> accesslog_pb2.AccessLog:
    """Return the logger of a TCP port's proxy, which has to be flushed on connected."""
    connected = accesslog_pb2.AccessLogFilter(
        log_type_filter=accesslog_pb2.LogTypeFilter(types=[data_pb2.TcpUpstreamConnected])
    )
    return stats_log([counter(CONNECTIONS, _tags(str(port)))], only=connected, bounds=_BOUNDS)


def of_refused(port: int | None) -> accesslog_pb2.AccessLog:
    """Return the logger of a listener: connections that no filter chain takes.

    Args:
        port: The port; None for a listener of all ports, which knows where a connection was going.
    """
    nowhere = accesslog_pb2.AccessLogFilter(response_flag_filter=accesslog_pb2.ResponseFlagFilter(flags=["NR"]))
    tags = _tags("%DOWNSTREAM_LOCAL_PORT%" if port is None else str(port))
    return stats_log([counter(REFUSED, tags)], only=nowhere, bounds=_BOUNDS)


def _tags(port: str) -> dict[str, str]:
    return {"source": _SOURCE, "port": port}
