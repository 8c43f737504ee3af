"""The OTLP metrics service that the sidecars' stats sinks send to."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2

from mesh.api.telemetry import LATENCY_BOUNDS_MS
from mesh.proxy.bootstrap import PROXY_ATTRIBUTE
from mesh.proxy.callers import RefusedError, bearer_token
from mesh.telemetry.counters import BUCKETS, Counts, Host, Point, Report, Series, Values
from mesh.xds import plaintext, standard
from mesh.xds import telemetry as names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mesh.proxy.callers import Authenticate
    from mesh.telemetry.store import TelemetryStore

__all__ = ["SERVICE", "BadReportError", "add_to_server", "decode"]

SERVICE: Final = "opentelemetry.proto.collector.metrics.v1.MetricsService"
_POINT_TAGS: Final[dict[str, tuple[str, ...]]] = {standard.PREFIX: standard.TAGS, plaintext.PREFIX: plaintext.TAGS}
_UPTIME: Final = "server.uptime"
_CLUSTER: Final = "cluster."
_COUNTERS: Final = {
    names.REQUESTS: "requests",
    names.REQUEST_ERRORS: "request_errors",
    names.ATTEMPTS: "attempts",
    names.ATTEMPT_ERRORS: "attempt_errors",
}
_TAGS: Final = (names.HOST_TAG, names.BACKEND_TAG, names.POD_TAG, names.ROUTE_TAG)
_HISTOGRAMS: Final = {names.ANSWERED_US: "answered", names.SILENT_MS: "silent"}
_BOUNDS: Final[dict[str, tuple[float, ...]]] = {
    names.ANSWERED_US: names.ANSWERED_BOUNDS_US,
    names.SILENT_MS: tuple(bound - 0.5 for bound in names.SILENT_BOUNDS_MS),
}
_SILENT_BUCKETS: Final = (*(LATENCY_BOUNDS_MS.index(bound) for bound in names.SILENT_BOUNDS_MS), BUCKETS - 1)
# xds-protos carries OTLP 0.9, where scope_metrics (2) still had another name; on the wire they are the same.
_SCOPES: Final = metrics_pb2.ResourceMetrics.DESCRIPTOR.fields_by_number[2].name

_log = logging.getLogger(__name__)


class BadReportError(ValueError):
    """What was sent is not a report of one of our sidecars; the message says what is missing."""


def add_to_server(server: grpc.aio.Server, store: TelemetryStore, authenticate: Authenticate | None = None) -> None:
    """Make a gRPC server take the sidecars' reports into the store.

    A report is one message with all totals of a proxy, about 1 KiB for each pod it has called and kind of request: give the server
    ``grpc.max_receive_message_length`` of some MiB.

    Args:
        server: The server.
        store: Where reports go.
        authenticate: Checks that a report is its proxy's own; None takes everybody's word, which only tests do.
    """

    async def export(request: Any, context: grpc.aio.ServicerContext) -> Any:
        try:
            report = decode(request)
            if authenticate is not None:
                await authenticate(bearer_token(dict(context.invocation_metadata())), report.proxy)
        except BadReportError as error:
            _log.warning("refused a report from %s: %s", context.peer(), error)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except RefusedError as error:
            _log.warning("refused a report from %s: %s", context.peer(), error)
            code = grpc.StatusCode.PERMISSION_DENIED if error.known else grpc.StatusCode.UNAUTHENTICATED
            await context.abort(code, str(error))
        else:
            store.observe(report)
        return metrics_service_pb2.ExportMetricsServiceResponse()

    method = grpc.unary_unary_rpc_method_handler(
        export,
        request_deserializer=metrics_service_pb2.ExportMetricsServiceRequest.FromString,
        response_serializer=metrics_service_pb2.ExportMetricsServiceResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Export": method}),))


def decode(request: Any) -> Report:
    """Return the report that an ``ExportMetricsServiceRequest`` holds.

    Raises:
        BadReportError: It names no proxy, holds no uptime, or has histograms with other bounds than ours.
    """
    proxy, time, uptime = "", 0, -1
    fields: dict[Series, dict[str, Any]] = {}
    points: dict[Point, Values] = {}
    ejected: dict[str, int] = {}
    for resource in request.resource_metrics:
        proxy = _attribute(resource.resource.attributes, PROXY_ATTRIBUTE) or proxy
        for metric in (metric for scope in getattr(resource, _SCOPES) for metric in scope.metrics):
            name = metric.name
            if (counter := _COUNTERS.get(name)) is not None:
                for point in metric.sum.data_points:
                    _field(fields, point, counter, point.as_int)
            elif (histogram := _HISTOGRAMS.get(name)) is not None:
                for point in metric.histogram.data_points:
                    _field(fields, point, histogram, _buckets(name, point))
            elif name == _UPTIME:
                point = metric.gauge.data_points[0]
                time, uptime = point.time_unix_nano, point.as_int
            else:
                _points(points, metric)
                _ejected(ejected, metric)
    if not proxy:
        raise BadReportError(f"resource attribute {PROXY_ATTRIBUTE} is missing: is this one of our sidecars?")
    if uptime < 0:
        raise BadReportError(f"gauge {_UPTIME} is missing: the bootstrap's stats_matcher must include it")
    totals = {series: Counts(**values) for series, values in fields.items()}
    return Report(proxy=proxy, time=time / 1e9, uptime=uptime, totals=totals, points=points, ejected=ejected)


def _attribute(attributes: Iterable[Any], key: str) -> str:
    for attribute in attributes:
        if attribute.key == key:
            return str(attribute.value.string_value)
    return ""


def _field(fields: dict[Series, dict[str, Any]], point: Any, name: str, value: int | tuple[int, ...]) -> None:
    tags = {attribute.key: attribute.value.string_value for attribute in point.attributes}
    series = _series(*[tags.get(tag, "") for tag in _TAGS])
    if series is not None:
        fields.setdefault(series, {})[name] = value


def _points(points: dict[Point, Values], metric: Any) -> None:
    """Take a stat, if it is one of the standard metrics or of those of plaintext."""
    name = metric.name
    known = next((tags for prefix, tags in _POINT_TAGS.items() if name.startswith(prefix)), None)
    if known is None:
        return
    for point in metric.sum.data_points:
        points[_point(name, point, known)] = (point.as_int,)
    for point in metric.histogram.data_points:
        if len(point.explicit_bounds) != len(standard.bounds_of(name)):
            raise BadReportError(
                f"histogram {name} has bounds {list(point.explicit_bounds)}: its bootstrap is not ours"
            )
        points[_point(name, point, known)] = (*point.bucket_counts, point.sum)


def _ejected(ejected: dict[str, int], metric: Any) -> None:
    if metric.name.endswith(names.EJECTED):
        cluster = metric.name.removeprefix(_CLUSTER).removesuffix(names.EJECTED)
        ejected[cluster] = metric.gauge.data_points[0].as_int


def _point(name: str, point: Any, known: Sequence[str]) -> Point:
    tags = {attribute.key: attribute.value.string_value for attribute in point.attributes}
    return Point(name, tuple([tags.get(tag, "") for tag in known]))


@lru_cache(maxsize=65_536)  # the same ones come every second
def _series(host: str, backend: str, pod: str, route: str) -> Series | None:
    """Return what is counted, or None for requests to no Service of the mesh.

    Copies of requests were sent on no route: their host stands before the kind.
    """
    copies = host == "/"
    if copies:
        host, _, route = route.partition(" ")
    namespace, _, service = host.partition("/")
    if not namespace or not service:
        return None
    backend_namespace, _, backend_service = backend.partition("/")
    if backend_service and backend_namespace != namespace:
        backend_service = f"{backend_service}.{backend_namespace}"
    return Series(Host(namespace, service), backend_service, pod, route, copies)


def _buckets(name: str, point: Any) -> tuple[int, ...]:
    """Return the histogram's counts in the buckets of ``LATENCY_BOUNDS_MS``."""
    if tuple(point.explicit_bounds) != _BOUNDS[name]:
        raise BadReportError(f"histogram {name} has bounds {list(point.explicit_bounds)}: its bootstrap is not ours")
    counts: Sequence[int] = point.bucket_counts
    if name == names.ANSWERED_US:
        return tuple(counts)
    spread = [0] * BUCKETS
    for bucket, count in zip(_SILENT_BUCKETS, counts, strict=True):
        spread[bucket] += count
    return tuple(spread)
