"""Access logs: one line of JSON on the sidecar's standard output for each request or connection, under Istio's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import substitution_format_string_pb2
from envoy.extensions.access_loggers.stream.v3 import stream_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import struct_pb2

from mesh.xds.messages import to_any

if TYPE_CHECKING:
    from mesh.xds.standard import Reporter

__all__ = ["access_log"]

_MILLION: Final = 1_000_000
_COMMON: Final = {
    "log": "access",
    "start_time": "%START_TIME%",
    "duration": "%DURATION%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "response_flags": "%RESPONSE_FLAGS%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "upstream_cluster": "%UPSTREAM_CLUSTER%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
}
_HTTP: Final = {
    "method": "%REQ(:METHOD)%",
    "authority": "%REQ(:AUTHORITY)%",
    "path": "%PATH(NQ:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "grpc_status": "%GRPC_STATUS%",
    "route_name": "%ROUTE_NAME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "traceparent": "%REQ(TRACEPARENT)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "upstream_service_time": "%RESPONSE_DURATION%",
}
_PEER: Final[dict[Reporter, dict[str, str]]] = {
    "source": {"destination_principal": "%UPSTREAM_PEER_URI_SAN%"},
    "destination": {"source_principal": "%DOWNSTREAM_PEER_URI_SAN%"},
}


def access_log(reporter: Reporter, percent: float, *, tcp: bool) -> accesslog_pb2.AccessLog:
    """Return the logger.

    Args:
        reporter: ``source`` for what the pod calls, ``destination`` for what it is called.
        percent: How much is logged, above 0 and up to 100. Of HTTP both ends log the same requests: those that a hash of
            the request's id chooses.
        tcp: It is of connections rather than requests.
    """
    texts = {**_COMMON, **({} if tcp else _HTTP), "reporter": reporter, **_PEER[reporter]}
    fields = {name: struct_pb2.Value(string_value=text) for name, text in texts.items()}
    log_format = substitution_format_string_pb2.SubstitutionFormatString(json_format=struct_pb2.Struct(fields=fields))
    made = accesslog_pb2.AccessLog(
        name="coalmine.access", typed_config=to_any(stream_pb2.StdoutAccessLog(log_format=log_format))
    )
    share = round(percent / 100 * _MILLION)
    if share < _MILLION:
        sampled = percent_pb2.FractionalPercent(numerator=share, denominator=percent_pb2.FractionalPercent.MILLION)
        # The key by which Envoy's runtime could override it; ours is set nowhere.
        only = accesslog_pb2.RuntimeFilter(runtime_key="coalmine.unset", percent_sampled=sampled)
        made.filter.runtime_filter.CopyFrom(only)
    return made
