"""The access loggers that count requests and attempts on the caller's Envoy, and the names of what they count.

Two places log. The HTTP connection manager logs each request once, with the final answer. The Router's ``upstream_log``
logs every attempt, so that a retry hides nothing. Both count into Envoy's own stats, which the sink of
``mesh.proxy.bootstrap`` sends to ``mesh.telemetry``; the labels come from the metadata of ``mesh.xds.metadata``.

Measured with Envoy 1.40: an attempt that timed out on the route's timeout, or whose caller left, is logged with
response code 0 and *no* response flag; a refused or reset one with code 0 and UF or UC; an answer cut off in the middle
with its code (200) and UPE. Hence an error is: 5xx, no answer, or one of ``ERROR_FLAGS``.

A gRPC call that failed has the HTTP status 200 all the same: its own status is an error when it is one of
``GRPC_ERRORS``. Only a status that was sent counts. Envoy's ``grpc_status_filter`` would take UNKNOWN for a missing one,
hence every gRPC-Web call (whose status is in the body) and every watch that its caller ended.
"""

from __future__ import annotations

from typing import Final

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2
from envoy.extensions.access_loggers.stats.v3 import stats_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import any_pb2

from mesh.api.telemetry import LATENCY_BOUNDS_MS
from mesh.xds.metadata import COPY_HEADER, FILTER
from mesh.xds.statslog import STATS_PREFIX, counter, histogram, stats_log

__all__ = [
    "ANSWERED_BOUNDS_US",
    "ANSWERED_US",
    "ATTEMPTS",
    "ATTEMPT_ERRORS",
    "BACKEND_TAG",
    "EJECTED",
    "GRPC_ERRORS",
    "HOST_TAG",
    "POD_TAG",
    "REQUESTS",
    "REQUEST_ERRORS",
    "ROUTE_TAG",
    "SILENT_BOUNDS_MS",
    "SILENT_MS",
    "STATS_PREFIX",
    "attempt_access_logs",
    "request_access_logs",
]

REQUESTS: Final = "coalmine.requests"
REQUEST_ERRORS: Final = "coalmine.request_errors"
ATTEMPTS: Final = "coalmine.attempts"
ATTEMPT_ERRORS: Final = "coalmine.attempt_errors"
ANSWERED_US: Final = "coalmine.answered_us"
"""Histogram of the attempts that were answered, in microseconds: start of the attempt to the end of the answer."""
SILENT_MS: Final = "coalmine.silent_ms"
"""Histogram of the attempts without an answer, in whole milliseconds (Envoy has no finer duration for those)."""

EJECTED: Final = ".outlier_detection.ejections_active"
"""How a cluster's gauge of ejected endpoints ends. Envoy sends it only of clusters that have ejected one at some time."""

HOST_TAG: Final = "host"
"""``namespace/service`` that the caller asked for."""
BACKEND_TAG: Final = "backend"
"""``namespace/service`` of the cluster that the request went to; ``/`` where there was none."""
POD_TAG: Final = "pod"
ROUTE_TAG: Final = "route"
"""The kind of request, of which a host has a bounded number: a tag from what a caller sends could have any."""

ANSWERED_BOUNDS_US: Final = tuple(bound * 1000 - 1 for bound in LATENCY_BOUNDS_MS)
"""Envoy's bounds for ``ANSWERED_US``, one for each of ``LATENCY_BOUNDS_MS``.

Envoy keeps two significant digits and counts the whole bin that a bound falls into: a bound of 1,000 takes what is
below 1,100. One less takes exactly what is below 1,000. (12.5, 17.5 and 125 ms act as 13, 18 and 130.)
"""
SILENT_BOUNDS_MS: Final = tuple(bound for bound in LATENCY_BOUNDS_MS if bound == int(bound))
"""Bounds of ``SILENT_MS``: the whole milliseconds; in Envoy each is half a millisecond less, for the same reason."""

ERROR_FLAGS: Final = ("UF", "UC", "UT", "LR", "UR", "UO", "UPE", "UMSDR")
"""Connect failure, connection ended, timeout, local or remote reset, overflow, protocol error, stream too long."""
GRPC_ERRORS: Final = (2, 4, 12, 13, 14, 15)
"""UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS: the called side's; others are the caller's."""

_TAGS: Final = {
    HOST_TAG: f"%METADATA(ROUTE:{FILTER}:namespace)%/%METADATA(ROUTE:{FILTER}:host)%",
    BACKEND_TAG: f"%METADATA(CLUSTER:{FILTER}:namespace)%/%METADATA(CLUSTER:{FILTER}:service)%",
    POD_TAG: f"%METADATA(UPSTREAM_HOST:{FILTER}:pod)%",
    ROUTE_TAG: f"%METADATA(ROUTE:{FILTER}:kind)%",
}
# A copy of a request has no route: its header says which host it is a copy for, and which kind it is. Only attempts may
# read it: where the proxy answers by itself, the header could still be a caller's.
_ATTEMPT_TAGS: Final = _TAGS | {
    ROUTE_TAG: '%COALESCE({"operators":['
    f'{{"command":"METADATA","param":"ROUTE:{FILTER}:kind"}},{{"command":"REQ","param":"{COPY_HEADER}"}}]}})%'
}
# A retried answer is dropped before its end is seen: the beginning stands in for it.
_ANSWERED_FORMAT: Final = (
    '%COALESCE({"operators":[{"command":"COMMON_DURATION","param":"DS_RX_BEG:US_RX_END:us"},'
    '{"command":"COMMON_DURATION","param":"DS_RX_BEG:US_RX_BEG:us"}]})%'
)
_CEL: Final = "envoy.access_loggers.extension_filters.cel"
_Filter = accesslog_pb2.AccessLogFilter
_Op = accesslog_pb2.ComparisonFilter


def request_access_logs() -> list[accesslog_pb2.AccessLog]:
    """Return the loggers for ``HttpConnectionManager.access_log`` of the outbound listener.

    They count every final answer, and of those the errors. A request for which no pod could be chosen is counted too,
    under its route's host and an empty pod. Requests outside the mesh are counted under the host ``/``.
    """
    return [stats_log([counter(REQUESTS, _TAGS)]), stats_log([counter(REQUEST_ERRORS, _TAGS)], only=_errors())]


def attempt_access_logs() -> list[accesslog_pb2.AccessLog]:
    """Return the loggers for ``Router.upstream_log`` of the outbound listener.

    They count every attempt, of those the errors, and how long each took: each attempt is in exactly one of the two
    histograms.
    """
    unit = stats_pb2.Config.Histogram.Unit
    answered = histogram(ANSWERED_US, _ATTEMPT_TAGS, unit.Value("Microseconds"), _ANSWERED_FORMAT)
    silent = histogram(SILENT_MS, _ATTEMPT_TAGS, unit.Value("Milliseconds"), "%DURATION%")
    return [
        stats_log([counter(ATTEMPTS, _ATTEMPT_TAGS)]),
        stats_log([counter(ATTEMPT_ERRORS, _ATTEMPT_TAGS)], only=_errors()),
        stats_log([], [answered], _status(_Op.GE, 1)),
        stats_log([], [silent], _status(_Op.EQ, 0)),
    ]


def _errors() -> accesslog_pb2.AccessLogFilter:
    flags = _Filter(response_flag_filter=accesslog_pb2.ResponseFlagFilter(flags=ERROR_FLAGS))
    either = accesslog_pb2.OrFilter(filters=[_status(_Op.GE, 500), _status(_Op.EQ, 0), flags, _grpc_errors()])
    return _Filter(or_filter=either)


def _grpc_errors() -> accesslog_pb2.AccessLogFilter:
    """Return what takes a gRPC call that ended with one of ``GRPC_ERRORS``, in the trailers or, alone, in the headers."""
    codes = ", ".join(f"'{code}'" for code in GRPC_ERRORS)
    sent = " || ".join(f"response.{part}['grpc-status'] in [{codes}]" for part in ("trailers", "headers"))
    packed = any_pb2.Any()
    packed.Pack(cel_pb2.ExpressionFilter(expression=sent), deterministic=True)
    status = _Filter(extension_filter=accesslog_pb2.ExtensionFilter(name=_CEL, typed_config=packed))
    # Other requests do not pay for the expression.
    kind = route_components_pb2.HeaderMatcher(
        name="content-type", string_match=string_pb2.StringMatcher(prefix="application/grpc")
    )
    header = _Filter(header_filter=accesslog_pb2.HeaderFilter(header=kind))
    return _Filter(and_filter=accesslog_pb2.AndFilter(filters=[header, status]))


def _status(op: int, code: int) -> accesslog_pb2.AccessLogFilter:
    # Envoy asks for a runtime key by which the value could be overridden; ours is set nowhere.
    value = base_pb2.RuntimeUInt32(default_value=code, runtime_key="coalmine.unset")
    comparison = accesslog_pb2.ComparisonFilter(op=op, value=value)
    return _Filter(status_code_filter=accesslog_pb2.StatusCodeFilter(comparison=comparison))
