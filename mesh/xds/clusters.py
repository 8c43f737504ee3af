"""Clusters and their endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import health_check_pb2, protocol_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from mesh.ir.traffic import Policy
from mesh.xds.messages import ads, duration, socket, to_any
from mesh.xds.metadata import metadata
from mesh.xds.tls import CONNECTION_SECONDS, auto_mtls, endpoint_metadata

if TYPE_CHECKING:
    from google.protobuf import any_pb2

    from mesh.ir.traffic import OutlierDetection, Upstream
    from mesh.ir.views import Inbound

__all__ = ["ads", "duration", "endpoints", "inbound_cluster", "inbound_name", "socket", "to_any", "upstream_cluster"]

_NO_LIMIT: Final = 2**32 - 1
_MAX_RETRIES: Final = 1024
"""Envoy's own default of 3 at a time would refuse retries just when several pods end together."""
_HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def upstream_cluster(upstream: Upstream) -> cluster_pb2.Cluster:
    """Return the cluster of a destination; its endpoints come by EDS."""
    key, policy = upstream.key, upstream.policy
    return cluster_pb2.Cluster(
        name=key.name,
        type=cluster_pb2.Cluster.EDS,
        eds_cluster_config=cluster_pb2.Cluster.EdsClusterConfig(eds_config=ads()),
        connect_timeout=duration(policy.connect_timeout),
        lb_policy=cluster_pb2.Cluster.LbPolicy.Value(policy.load_balancer),
        circuit_breakers=_limits(policy),
        outlier_detection=_outlier_detection(policy.outlier_detection),
        common_lb_config=cluster_pb2.Cluster.CommonLbConfig(
            # Envoy's default of 50 % sends requests to draining and ejected pods when a Service is scaled in by more
            # than half. Ejection is bounded by max_ejection_percent already.
            healthy_panic_threshold=percent_pb2.Percent(value=policy.min_health_percent),
        ),
        metadata=metadata(service=key.service, namespace=key.namespace, subset=key.subset),
        typed_extension_protocol_options={
            _HTTP_OPTIONS: _http_options(policy, CONNECTION_SECONDS if upstream.identities else None)
        },
        transport_socket_matches=auto_mtls(key, upstream.identities),
    )


def endpoints(upstream: Upstream) -> endpoint_pb2.ClusterLoadAssignment:
    """Return the endpoints of a destination's cluster."""
    service = upstream.key.service
    return endpoint_pb2.ClusterLoadAssignment(
        cluster_name=upstream.key.name,
        endpoints=[
            endpoint_components_pb2.LocalityLbEndpoints(
                lb_endpoints=[
                    endpoint_components_pb2.LbEndpoint(
                        endpoint=endpoint_components_pb2.Endpoint(address=socket(e.address, e.port)),
                        health_status=health_check_pb2.DRAINING if e.draining else health_check_pb2.HEALTHY,
                        metadata=endpoint_metadata(metadata(service=service, pod=e.pod, version=e.version), e.identity),
                    )
                    for e in upstream.endpoints
                ]
            )
        ],
    )


def inbound_name(inbound: Inbound) -> str:
    """Return the name that a pod's own port has as cluster, listener and routes."""
    return f"inbound|{inbound.target.number}"


def inbound_cluster(inbound: Inbound, address: str) -> cluster_pb2.Cluster:
    """Return the cluster of one of the pod's own ports."""
    name = inbound_name(inbound)
    entry = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=socket(address, inbound.target.number))
    )
    return cluster_pb2.Cluster(
        name=name,
        type=cluster_pb2.Cluster.STATIC,
        connect_timeout=duration(10),
        load_assignment=endpoint_pb2.ClusterLoadAssignment(
            cluster_name=name, endpoints=[endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=[entry])]
        ),
        circuit_breakers=_limits(Policy()),
        typed_extension_protocol_options={_HTTP_OPTIONS: _http_options(Policy())},
    )


def _limits(policy: Policy) -> circuit_breaker_pb2.CircuitBreakers:
    def limit(value: int | None, default: int = _NO_LIMIT) -> wrappers_pb2.UInt32Value:
        return _uint(default if value is None else value)

    thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds(
        max_connections=limit(policy.max_connections),
        max_pending_requests=limit(policy.max_pending_requests),
        max_requests=limit(policy.max_requests),
        max_retries=limit(policy.max_retries, _MAX_RETRIES),
    )
    return circuit_breaker_pb2.CircuitBreakers(thresholds=[thresholds])


def _outlier_detection(wanted: OutlierDetection) -> outlier_detection_pb2.OutlierDetection:
    return outlier_detection_pb2.OutlierDetection(
        consecutive_5xx=_uint(wanted.consecutive_5xx or 5),
        enforcing_consecutive_5xx=_uint(100 if wanted.consecutive_5xx else 0),
        consecutive_gateway_failure=_uint(wanted.consecutive_gateway_errors or 5),
        enforcing_consecutive_gateway_failure=_uint(100 if wanted.consecutive_gateway_errors else 0),
        # Success rates compare pods with each other and eject the slowest of a healthy lot: off.
        enforcing_success_rate=_uint(0),
        interval=duration(wanted.interval),
        base_ejection_time=duration(wanted.base_ejection_time),
        max_ejection_percent=_uint(wanted.max_ejection_percent),
    )


def _http_options(policy: Policy, longest: float | None = None) -> any_pb2.Any:
    """Return options that speak upstream what was spoken downstream.

    Args:
        policy: How the destination is treated.
        longest: Seconds after which a connection gets no further request; the caller ends it, so that none is lost.
    """
    common = protocol_pb2.HttpProtocolOptions()
    if longest is not None:
        common.max_connection_duration.CopyFrom(duration(longest))
    if policy.max_requests_per_connection:
        common.max_requests_per_connection.value = policy.max_requests_per_connection
    if policy.idle_timeout is not None:
        common.idle_timeout.CopyFrom(duration(policy.idle_timeout))
    same = http_protocol_options_pb2.HttpProtocolOptions.UseDownstreamHttpConfig(
        http_protocol_options=protocol_pb2.Http1ProtocolOptions(),
        http2_protocol_options=protocol_pb2.Http2ProtocolOptions(),
    )
    return to_any(
        http_protocol_options_pb2.HttpProtocolOptions(
            common_http_protocol_options=common, use_downstream_protocol_config=same
        )
    )


def _uint(value: int) -> wrappers_pb2.UInt32Value:
    return wrappers_pb2.UInt32Value(value=value)
