"""The parts of a cluster that say how its destination is treated: limits, ejection, balancing, protocol, TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import base_pb2, protocol_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from mesh.xds.messages import duration, to_any
from mesh.xds.tls import CONNECTION_SECONDS, Client, auto_mtls, mesh_socket, plain_socket, tls_socket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf import any_pb2

    from mesh.ir.identity import Identity
    from mesh.ir.policies import ClientTls, HashKey, OutlierDetection, Policy
    from mesh.ir.traffic import ClusterKey

__all__ = [
    "HTTP_OPTIONS",
    "hash_policy",
    "http_options",
    "limits",
    "outlier_detection",
    "set_balancing",
    "set_transport",
]

HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_NO_LIMIT: Final = 2**32 - 1
_MAX_RETRIES: Final = 1024
"""Envoy's own default of 3 at a time would refuse retries just when several pods end together."""
_ERRORS: Final = 5
"""Where a kind of errors ejects nobody; the number is Envoy's default and has no effect."""
_SYSTEM_ROOTS: Final = "/etc/ssl/certs/ca-certificates.crt"
"""Where Debian, Alpine and Envoy's own image have them. Envoy takes no name for "the system's"."""
_RING_SIZE: Final = 1024
"""Istio's and Envoy's default."""
_LONGEST_EJECTION: Final = 300.0
"""Envoy's default for the longest time that a pod is out; seconds."""


def limits(policy: Policy) -> circuit_breaker_pb2.CircuitBreakers:
    """Return the circuit breakers."""

    def limit(value: int | None, default: int = _NO_LIMIT) -> wrappers_pb2.UInt32Value:
        return _uint(default if value is None else value)

    thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds(
        max_connections=limit(policy.max_connections),
        max_pending_requests=limit(policy.max_pending_requests),
        max_requests=limit(policy.max_requests),
        max_retries=limit(policy.max_retries, _MAX_RETRIES),
    )
    return circuit_breaker_pb2.CircuitBreakers(thresholds=[thresholds])


def outlier_detection(wanted: OutlierDetection) -> outlier_detection_pb2.OutlierDetection:
    """Return the outlier detection."""
    built = outlier_detection_pb2.OutlierDetection(
        consecutive_5xx=_uint(wanted.consecutive_5xx or _ERRORS),
        enforcing_consecutive_5xx=_enforced(wanted.consecutive_5xx),
        consecutive_gateway_failure=_uint(wanted.consecutive_gateway_errors or _ERRORS),
        enforcing_consecutive_gateway_failure=_enforced(wanted.consecutive_gateway_errors),
        # Success rates compare pods with each other and eject the slowest of a healthy lot: off.
        enforcing_success_rate=_uint(0),
        interval=duration(wanted.interval),
        base_ejection_time=duration(wanted.base_ejection_time),
        max_ejection_percent=_uint(wanted.max_ejection_percent),
    )
    # Envoy refuses a base above its default longest time of five minutes.
    if wanted.base_ejection_time > _LONGEST_EJECTION:
        built.max_ejection_time.CopyFrom(duration(wanted.base_ejection_time))
    if wanted.local_origin_failures is not None:
        built.split_external_local_origin_errors = True
        built.consecutive_local_origin_failure.value = wanted.local_origin_failures or _ERRORS
        built.enforcing_consecutive_local_origin_failure.value = 100 if wanted.local_origin_failures else 0
        built.enforcing_local_origin_success_rate.value = 0
    return built


def set_balancing(cluster: cluster_pb2.Cluster, policy: Policy) -> None:
    """Set how endpoints are chosen, and what else depends on the policy alone."""
    cluster.lb_policy = cluster_pb2.Cluster.LbPolicy.Value(policy.load_balancer)
    if policy.load_balancer == "RING_HASH":
        cluster.ring_hash_lb_config.minimum_ring_size.value = policy.ring_size or _RING_SIZE
    if policy.load_balancer == "MAGLEV" and policy.ring_size:
        cluster.maglev_lb_config.table_size.value = policy.ring_size
    if policy.warmup and policy.load_balancer in {"ROUND_ROBIN", "LEAST_REQUEST"}:
        config = (
            cluster.round_robin_lb_config if policy.load_balancer == "ROUND_ROBIN" else cluster.least_request_lb_config
        )
        config.slow_start_config.CopyFrom(
            cluster_pb2.Cluster.SlowStartConfig(
                slow_start_window=duration(policy.warmup.duration),
                aggression=base_pb2.RuntimeDouble(
                    default_value=policy.warmup.aggression, runtime_key="coalmine.warmup.aggression"
                ),
                min_weight_percent=percent_pb2.Percent(value=policy.warmup.minimum_percent),
            )
        )
    if probes := policy.keepalive:
        options = cluster.upstream_connection_options.tcp_keepalive
        options.SetInParent()
        if probes.probes:
            options.keepalive_probes.value = probes.probes
        if probes.time:
            options.keepalive_time.value = _whole(probes.time)
        if probes.interval:
            options.keepalive_interval.value = _whole(probes.interval)


def set_transport(
    cluster: cluster_pb2.Cluster, key: ClusterKey, policy: Policy, identities: Sequence[Identity]
) -> None:
    """Set how connections are secured: as a DestinationRule says, or else by what each endpoint can prove."""
    tls = policy.tls
    if tls is None:
        cluster.transport_socket_matches.extend(auto_mtls(key, identities))
    elif tls.mode == "ISTIO_MUTUAL":
        cluster.transport_socket.CopyFrom(mesh_socket(key, identities, tls.sni))
    elif tls.mode == "DISABLE":
        cluster.transport_socket.CopyFrom(plain_socket())
    else:
        cluster.transport_socket.CopyFrom(tls_socket(_client(tls)))


def _client(tls: ClientTls) -> Client:
    authorities = tls.authorities or (_SYSTEM_ROOTS if tls.verify else "")
    return Client(
        sni=tls.sni, names=tls.names, ca=authorities, certificate=tls.certificate, key=tls.key, verify=tls.verify
    )


def http_options(policy: Policy, *, secured: bool = False) -> any_pb2.Any:
    """Return how HTTP is spoken: as it was spoken to the proxy, or HTTP/2.

    Args:
        policy: How the destination is treated.
        secured: Connections are under the mesh's mutual TLS: the caller ends them after an hour, so that certificates
            are looked at again and no request is lost.
    """
    common = protocol_pb2.HttpProtocolOptions()
    ends = [t for t in (policy.max_connection_duration, CONNECTION_SECONDS if secured else None) if t]
    if ends:
        common.max_connection_duration.CopyFrom(duration(min(ends)))
    if policy.max_requests_per_connection:
        common.max_requests_per_connection.value = policy.max_requests_per_connection
    if policy.idle_timeout is not None:
        common.idle_timeout.CopyFrom(duration(policy.idle_timeout))
    options = http_protocol_options_pb2.HttpProtocolOptions(common_http_protocol_options=common)
    http2 = protocol_pb2.Http2ProtocolOptions()
    if policy.max_concurrent_streams:
        http2.max_concurrent_streams.value = policy.max_concurrent_streams
    if policy.http2:
        options.explicit_http_config.http2_protocol_options.CopyFrom(http2)
    else:
        same = options.use_downstream_protocol_config
        same.http_protocol_options.SetInParent()
        same.http2_protocol_options.CopyFrom(http2)
    if policy.tls and policy.tls.mode in {"SIMPLE", "MUTUAL"}:
        # The name that the caller used is the one that is asked for, and that the certificate must have.
        options.upstream_http_protocol_options.auto_sni = not policy.tls.sni
        options.upstream_http_protocol_options.auto_san_validation = policy.tls.verify and not policy.tls.names
    return to_any(options)


def hash_policy(key: HashKey) -> route_components_pb2.RouteAction.HashPolicy:
    """Return what of a request its endpoint is chosen by."""
    built = route_components_pb2.RouteAction.HashPolicy()
    if key.kind == "header":
        built.header.header_name = key.name
    elif key.kind == "query":
        built.query_parameter.name = key.name
    elif key.kind == "source_ip":
        built.connection_properties.source_ip = True
    else:
        built.cookie.name = key.name
        built.cookie.path = key.path
        if key.ttl is not None:
            built.cookie.ttl.CopyFrom(duration(key.ttl))
    return built


def _whole(seconds: float) -> int:
    """Return whole seconds, as the operating system counts them; at least one."""
    return max(1, round(seconds))


def _enforced(limit: int) -> wrappers_pb2.UInt32Value:
    return _uint(100 if limit else 0)


def _uint(value: int) -> wrappers_pb2.UInt32Value:
    return wrappers_pb2.UInt32Value(value=value)
