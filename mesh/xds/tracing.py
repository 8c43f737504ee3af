"""Spans: what a proxy reports of each request to an OpenTelemetry collector.

Who reports, and where to, is a part of listeners; how many requests are recorded, and with which attributes, a part of
routes, so that it changes without closing a connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2, extension_pb2, grpc_service_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.config.trace.v3 import http_tracer_pb2, opentelemetry_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.request_id.uuid.v3 import uuid_pb2
from envoy.extensions.tracers.opentelemetry.resource_detectors.v3 import (
    environment_resource_detector_pb2,
    static_config_resource_detector_pb2,
)
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.tracing.v3 import custom_tag_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from mesh.xds.messages import duration, socket, to_any
from mesh.xds.tracecontext import before_the_tracer, behind_the_tracer
from mesh.xds.treatment import HTTP_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from envoy.config.listener.v3 import listener_pb2
    from google.protobuf.message import Message

    from mesh.ir.tracing import Sampling, Tag, Tracer

__all__ = ["COLLECTOR", "collector_cluster", "sampled", "traced", "with_sampling", "with_tracer"]

COLLECTOR: Final = "coalmine-traces"
"""Name of the cluster that spans go to."""
_DETECTORS: Final = "envoy.tracers.opentelemetry.resource_detectors"
_HUNDREDTHS: Final = 100
_SPANS_KEPT: Final = 1024
"""Of a worker; more are dropped while the collector does not take them."""


def collector_cluster(address: str) -> cluster_pb2.Cluster:
    """Return the cluster of the collector, ``host:port``, that takes OTLP over gRPC."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    endpoint = endpoint_components_pb2.Endpoint(address=socket(host, int(port)))
    entry = endpoint_components_pb2.LbEndpoint(endpoint=endpoint)
    options = http_protocol_options_pb2.HttpProtocolOptions()
    options.explicit_http_config.http2_protocol_options.SetInParent()
    numeric = ":" in host or host.replace(".", "").isdigit()
    return cluster_pb2.Cluster(
        name=COLLECTOR,
        type=cluster_pb2.Cluster.STATIC if numeric else cluster_pb2.Cluster.STRICT_DNS,
        connect_timeout=duration(1),
        load_assignment=endpoint_pb2.ClusterLoadAssignment(
            cluster_name=COLLECTOR, endpoints=[endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=[entry])]
        ),
        typed_extension_protocol_options={HTTP_OPTIONS: to_any(options)},
    )


def traced(build: Callable[[], listener_pb2.Listener], tracer: Tracer | None) -> Callable[[], Message]:
    """Return what builds a listener that reports spans, from what builds it without."""
    return lambda: with_tracer(build(), tracer)


def sampled(build: Callable[[], route_pb2.RouteConfiguration], sampling: Sampling | None) -> Callable[[], Message]:
    """Return what builds routes that say which requests are recorded, from what builds them without."""
    return lambda: with_sampling(build(), sampling)


def with_tracer(listener: listener_pb2.Listener, tracer: Tracer | None) -> listener_pb2.Listener:
    """Return a listener, changed in place, whose HTTP filter chains report spans."""
    if tracer is None:
        return listener
    chains = list(listener.filter_chains)
    chains += [listener.default_filter_chain] if listener.HasField("default_filter_chain") else []
    for entry in (entry for chain in chains for entry in chain.filters):
        if entry.typed_config.Is(hcm.HttpConnectionManager.DESCRIPTOR):
            manager = hcm.HttpConnectionManager()
            entry.typed_config.Unpack(manager)
            _trace(manager, tracer, inbound=listener.traffic_direction == base_pb2.INBOUND)
            entry.typed_config.CopyFrom(to_any(manager))
    return listener


def with_sampling(routes: route_pb2.RouteConfiguration, sampling: Sampling | None) -> route_pb2.RouteConfiguration:
    """Return routes, changed in place, that say which requests are recorded."""
    if sampling is None:
        return routes
    share = percent_pb2.FractionalPercent(
        numerator=round(sampling.percent * _HUNDREDTHS), denominator=percent_pb2.FractionalPercent.TEN_THOUSAND
    )
    wanted = route_components_pb2.Tracing(random_sampling=share, custom_tags=map(_tag, sampling.tags))
    for route in (route for host in routes.virtual_hosts for route in host.routes):
        route.tracing.CopyFrom(wanted)
    return routes


def _trace(manager: hcm.HttpConnectionManager, tracer: Tracer, *, inbound: bool) -> None:
    # Of what no route takes, nothing is recorded that its caller does not want to be.
    manager.tracing.random_sampling.value = 0
    name = f"{tracer.service}:{manager.rds.route_config_name.rpartition('|')[2]}"
    manager.tracing.operation = f"%REQ(:METHOD)% {name if inbound else '%CEL(xds.virtual_host_name)%'}"
    manager.tracing.provider.CopyFrom(
        http_tracer_pb2.Tracing.Http(name="envoy.tracers.opentelemetry", typed_config=to_any(_provider(tracer)))
    )
    # The id stays as it came: the decision travels in the trace's own headers.
    ids = uuid_pb2.UuidRequestIdConfig(
        pack_trace_reason=wrappers_pb2.BoolValue(value=False),
        use_request_id_for_trace_sampling=wrappers_pb2.BoolValue(value=tracer.by_request_id),
    )
    manager.request_id_extension.typed_config.CopyFrom(to_any(ids))
    manager.early_header_mutation_extensions.append(before_the_tracer(tracer.b3))
    router = router_pb2.Router()
    manager.http_filters[-1].typed_config.Unpack(router)
    router.upstream_http_filters.extend(behind_the_tracer(tracer.b3))
    manager.http_filters[-1].typed_config.CopyFrom(to_any(router))


def _provider(tracer: Tracer) -> opentelemetry_pb2.OpenTelemetryConfig:
    service = grpc_service_pb2.GrpcService(
        envoy_grpc=grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=COLLECTOR), timeout=duration(5)
    )
    said = {"service.namespace": tracer.namespace, "k8s.namespace.name": tracer.namespace}
    said |= {"service.version": tracer.revision} if tracer.revision else {}
    static = static_config_resource_detector_pb2.StaticConfigResourceDetectorConfig(attributes=said)
    # The pod's name is in the sidecar's environment, so that the pods of a workload share their listeners.
    environment = environment_resource_detector_pb2.EnvironmentResourceDetectorConfig()
    return opentelemetry_pb2.OpenTelemetryConfig(
        grpc_service=service,
        service_name=tracer.service,
        resource_detectors=[_detector("environment", environment), _detector("static_config", static)],
        max_cache_size=wrappers_pb2.UInt32Value(value=_SPANS_KEPT),
    )


def _detector(name: str, config: Any) -> extension_pb2.TypedExtensionConfig:
    return extension_pb2.TypedExtensionConfig(name=f"{_DETECTORS}.{name}", typed_config=to_any(config))


def _tag(tag: Tag) -> custom_tag_pb2.CustomTag:
    made = custom_tag_pb2.CustomTag(tag=tag.name)
    if tag.source == "literal":
        made.literal.value = tag.value
    elif tag.source == "header":
        made.request_header.name, made.request_header.default_value = tag.value, tag.default
    else:
        made.environment.name, made.environment.default_value = tag.value, tag.default
    return made
