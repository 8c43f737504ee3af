"""Clusters and their endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.type.v3 import percent_pb2

from mesh.ir.policies import Policy
from mesh.xds.discovery import set_discovery
from mesh.xds.messages import ads, duration, socket, to_any
from mesh.xds.metadata import metadata
from mesh.xds.treatment import HTTP_OPTIONS, http_options, limits, outlier_detection, set_transport

if TYPE_CHECKING:
    from mesh.ir.traffic import Upstream
    from mesh.ir.views import Inbound

__all__ = ["ads", "duration", "inbound_cluster", "inbound_name", "socket", "to_any", "upstream_cluster"]


def upstream_cluster(upstream: Upstream) -> cluster_pb2.Cluster:
    """Return the cluster of a destination; its endpoints come by EDS, by DNS, or from each request's host."""
    key, policy = upstream.key, upstream.policy
    secured = bool(upstream.identities) and (policy.tls is None or policy.tls.mode == "ISTIO_MUTUAL")
    cluster = cluster_pb2.Cluster(
        name=key.name,
        connect_timeout=duration(policy.connect_timeout),
        circuit_breakers=limits(policy),
        outlier_detection=outlier_detection(policy.outlier_detection),
        common_lb_config=cluster_pb2.Cluster.CommonLbConfig(
            # Envoy's default of 50 % sends requests to draining and ejected pods when a Service is scaled in by more
            # than half. Ejection is bounded by max_ejection_percent already.
            healthy_panic_threshold=percent_pb2.Percent(value=policy.min_health_percent),
        ),
        metadata=metadata(service=key.service, namespace=key.namespace, subset=key.subset),
        typed_extension_protocol_options={HTTP_OPTIONS: http_options(policy, secured=secured)},
    )
    set_discovery(cluster, upstream)
    set_transport(cluster, key, policy, upstream.identities)
    return cluster


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
        circuit_breakers=limits(Policy()),
        typed_extension_protocol_options={HTTP_OPTIONS: http_options(Policy())},
    )
