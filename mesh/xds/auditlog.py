"""One line of JSON on the sidecar's standard output for each request that a policy audits."""

from __future__ import annotations

from typing import Final

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import substitution_format_string_pb2
from envoy.extensions.access_loggers.stream.v3 import stream_pb2
from envoy.type.matcher.v3 import metadata_pb2, value_pb2
from google.protobuf import struct_pb2, wrappers_pb2

from mesh.xds.messages import to_any

__all__ = ["AUDIT_PREFIX", "audit_log"]

AUDIT_PREFIX: Final = "audit_"
"""Before the name of the metadata that tells which rule audits."""
_HINT: Final = ("envoy.common", "access_log_hint")
_RULE: Final = f"{AUDIT_PREFIX}shadow_effective_policy_id"
_COMMON: Final = {
    "log": "audit",
    "time": "%START_TIME%",
    "principal": "%DOWNSTREAM_PEER_URI_SAN%",
    "source": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
    "details": "%RESPONSE_CODE_DETAILS%",
}
_HTTP: Final = _COMMON | {
    "rule": f"%DYNAMIC_METADATA(envoy.filters.http.rbac:{_RULE})%",
    "method": "%REQ(:METHOD)%",
    "host": "%REQ(:AUTHORITY)%",
    "path": "%PATH(NQ:PATH)%",
    "status": "%RESPONSE_CODE%",
    "request_id": "%REQ(X-REQUEST-ID)%",
}
_TCP: Final = _COMMON | {
    "rule": f"%DYNAMIC_METADATA(envoy.filters.network.rbac:{_RULE})%",
    "details": "%CONNECTION_TERMINATION_DETAILS%",
}


def audit_log(port: int, *, tcp: bool) -> accesslog_pb2.AccessLog:
    """Return the log of a port of the pod.

    Args:
        port: The application's port.
        tcp: It is not HTTP.
    """
    filter_name, key = _HINT
    hint = metadata_pb2.MetadataMatcher(
        filter=filter_name,
        path=[metadata_pb2.MetadataMatcher.PathSegment(key=key)],
        value=value_pb2.ValueMatcher(bool_match=True),
    )
    fields = {"port": str(port), **(_TCP if tcp else _HTTP)}
    text = struct_pb2.Struct(fields={name: struct_pb2.Value(string_value=value) for name, value in fields.items()})
    log_format = substitution_format_string_pb2.SubstitutionFormatString(json_format=text)
    audited = accesslog_pb2.MetadataFilter(matcher=hint, match_if_key_not_found=wrappers_pb2.BoolValue(value=False))
    return accesslog_pb2.AccessLog(
        name="coalmine.audit",
        filter=accesslog_pb2.AccessLogFilter(metadata_filter=audited),
        typed_config=to_any(stream_pb2.StdoutAccessLog(log_format=log_format)),
    )
