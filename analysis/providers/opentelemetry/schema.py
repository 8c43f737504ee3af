"""OTLP's messages, as far as they are read and written here, in a descriptor pool of their own.

Not from a package: xds-protos installs OTLP 0.9 (no exponential histograms, no partial success) under the very module
names of ``opentelemetry-proto``, so that which of the two is imported depends on the order of installation. Fields that
are not listed are skipped on the wire. Source: https://github.com/open-telemetry/opentelemetry-proto (1.x, stable).
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["ENTRIES", "PACKAGE", "ExportMetricsServiceRequest", "ExportMetricsServiceResponse", "Status"]

PACKAGE: Final = "coalmine.otlp"
"""Only a name within the pool: neither the wire nor JSON has it."""

_Entry = tuple[str, str, int]

ENTRIES: Final[dict[str, tuple[_Entry, ...]]] = {
    # opentelemetry.proto.collector.metrics.v1
    "ExportMetricsServiceRequest": (("ResourceMetrics*", "resource_metrics", 1),),
    "ExportMetricsServiceResponse": (("ExportMetricsPartialSuccess", "partial_success", 1),),
    "ExportMetricsPartialSuccess": (("int64", "rejected_data_points", 1), ("string", "error_message", 2)),
    # opentelemetry.proto.metrics.v1
    "ResourceMetrics": (("Resource", "resource", 1), ("ScopeMetrics*", "scope_metrics", 2)),
    "ScopeMetrics": (("InstrumentationScope", "scope", 1), ("Metric*", "metrics", 2)),
    "Metric": (
        ("string", "name", 1),
        ("string", "unit", 3),
        ("Gauge", "gauge", 5),
        ("Sum", "sum", 7),
        ("Histogram", "histogram", 9),
        ("ExponentialHistogram", "exponential_histogram", 10),
        ("Summary", "summary", 11),
    ),
    "Gauge": (("NumberDataPoint*", "data_points", 1),),
    "Sum": (
        ("NumberDataPoint*", "data_points", 1),
        ("int32", "aggregation_temporality", 2),
        ("bool", "is_monotonic", 3),
    ),
    "Histogram": (("HistogramDataPoint*", "data_points", 1), ("int32", "aggregation_temporality", 2)),
    "ExponentialHistogram": (
        ("ExponentialHistogramDataPoint*", "data_points", 1),
        ("int32", "aggregation_temporality", 2),
    ),
    "Summary": (("SummaryDataPoint*", "data_points", 1),),
    "NumberDataPoint": (
        ("KeyValue*", "attributes", 7),
        ("fixed64", "start_time_unix_nano", 2),
        ("fixed64", "time_unix_nano", 3),
        ("double", "as_double", 4),
        ("sfixed64", "as_int", 6),
        ("uint32", "flags", 8),
    ),
    "HistogramDataPoint": (
        ("KeyValue*", "attributes", 9),
        ("fixed64", "start_time_unix_nano", 2),
        ("fixed64", "time_unix_nano", 3),
        ("fixed64", "count", 4),
        ("fixed64*", "bucket_counts", 6),
        ("double*", "explicit_bounds", 7),
        ("uint32", "flags", 10),
    ),
    "ExponentialHistogramDataPoint": (
        ("KeyValue*", "attributes", 1),
        ("fixed64", "start_time_unix_nano", 2),
        ("fixed64", "time_unix_nano", 3),
        ("fixed64", "count", 4),
        ("sint32", "scale", 6),
        ("fixed64", "zero_count", 7),
        ("Buckets", "positive", 8),
        ("Buckets", "negative", 9),
        ("uint32", "flags", 10),
        ("double", "zero_threshold", 14),
    ),
    "Buckets": (("sint32", "offset", 1), ("uint64*", "bucket_counts", 2)),
    "SummaryDataPoint": (("fixed64", "time_unix_nano", 3),),
    # opentelemetry.proto.resource.v1, opentelemetry.proto.common.v1
    "Resource": (("KeyValue*", "attributes", 1),),
    "InstrumentationScope": (("string", "name", 1),),
    "KeyValue": (("string", "key", 1), ("AnyValue", "value", 2)),
    "AnyValue": (
        ("string", "string_value", 1),
        ("bool", "bool_value", 2),
        ("int64", "int_value", 3),
        ("double", "double_value", 4),
        ("ArrayValue", "array_value", 5),
        ("KeyValueList", "kvlist_value", 6),
        ("bytes", "bytes_value", 7),
    ),
    "ArrayValue": (("AnyValue*", "values", 1),),
    "KeyValueList": (("KeyValue*", "values", 1),),
    # google.rpc
    "Status": (("int32", "code", 1), ("string", "message", 2)),
}
"""Fields (type, name, number) by message; ``*`` is repeated. Enumerations are read as their numbers."""

_ONE_OF: Final = {
    "Metric": ("data", {"gauge", "sum", "histogram", "exponential_histogram", "summary"}),
    "NumberDataPoint": ("value", {"as_double", "as_int"}),
    "AnyValue": (
        "value",
        {"string_value", "bool_value", "int_value", "double_value", "array_value", "kvlist_value", "bytes_value"},
    ),
}


def _message(name: str, entries: tuple[_Entry, ...]) -> descriptor_pb2.DescriptorProto:
    found = descriptor_pb2.DescriptorProto(name=name)
    one_of, members = _ONE_OF.get(name, ("", set[str]()))
    if one_of:
        found.oneof_decl.add(name=one_of)
    for kind, field_name, number in entries:
        field = found.field.add(name=field_name, number=number, label=_label(kind))
        kind = kind.removesuffix("*")  # noqa: PLW2901
        if kind in ENTRIES:
            field.type = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
            field.type_name = f".{PACKAGE}.{kind}"
        else:
            field.type = descriptor_pb2.FieldDescriptorProto.Type.Value(f"TYPE_{kind.upper()}")
        if field_name in members:
            field.oneof_index = 0
    return found


def _label(kind: str) -> descriptor_pb2.FieldDescriptorProto.Label.ValueType:
    return (
        descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
        if kind.endswith("*")
        else descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
    )


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="coalmine/otlp.proto", package=PACKAGE, syntax="proto3")
    file.message_type.extend(_message(name, entries) for name, entries in ENTRIES.items())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in ENTRIES}


_CLASSES: Final = _classes()
ExportMetricsServiceRequest: Final = _CLASSES["ExportMetricsServiceRequest"]
ExportMetricsServiceResponse: Final = _CLASSES["ExportMetricsServiceResponse"]
Status: Final = _CLASSES["Status"]
