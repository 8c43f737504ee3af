"""How a cluster knows its endpoints: from the control plane, from DNS, or from the host of each request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.extensions.clusters.dynamic_forward_proxy.v3 import cluster_pb2 as forward_cluster_pb2
from envoy.extensions.common.dynamic_forward_proxy.v3 import dns_cache_pb2
from envoy.extensions.filters.http.dynamic_forward_proxy.v3 import dynamic_forward_proxy_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from mesh.ir.policies import Policy
from mesh.xds.messages import ads, duration, socket, to_any
from mesh.xds.metadata import metadata
from mesh.xds.tls import endpoint_metadata
from mesh.xds.treatment import HTTP_OPTIONS, http_options, limits, set_balancing

if TYPE_CHECKING:
    from mesh.ir.services import Endpoint
    from mesh.ir.traffic import Upstream

__all__ = ["endpoints", "forward_cluster", "forward_filter", "set_discovery"]

_FORWARD: Final = "envoy.clusters.dynamic_forward_proxy"
_FORWARD_FILTER: Final = "envoy.filters.http.dynamic_forward_proxy"
_REFRESH: Final = 60
"""Seconds between two DNS queries where the answer says nothing of its life."""


def set_discovery(cluster: cluster_pb2.Cluster, upstream: Upstream) -> None:
    """Set where the endpoints come from and how one is chosen."""
    if upstream.discovery == "request":
        _set_forwarding(cluster)
        # Its endpoints are of different hosts: the errors of one say nothing of the others.
        cluster.ClearField("outlier_detection")
        return
    set_balancing(cluster, upstream.policy)
    if upstream.shares:
        cluster.common_lb_config.locality_weighted_lb_config.SetInParent()
    if upstream.discovery == "eds":
        cluster.type = cluster_pb2.Cluster.EDS
        cluster.eds_cluster_config.eds_config.CopyFrom(ads())
        return
    once = upstream.discovery == "dns-round-robin"
    cluster.type = cluster_pb2.Cluster.LOGICAL_DNS if once else cluster_pb2.Cluster.STRICT_DNS
    cluster.dns_lookup_family = cluster_pb2.Cluster.V4_PREFERRED
    cluster.respect_dns_ttl = True
    cluster.dns_refresh_rate.CopyFrom(duration(_REFRESH))
    cluster.load_assignment.CopyFrom(endpoints(upstream))


def forward_cluster(name: str) -> cluster_pb2.Cluster:
    """Return a cluster that goes to whatever host a request names."""
    policy = Policy()
    cluster = cluster_pb2.Cluster(
        name=name,
        connect_timeout=duration(policy.connect_timeout),
        circuit_breakers=limits(policy),
        typed_extension_protocol_options={HTTP_OPTIONS: http_options(policy)},
    )
    _set_forwarding(cluster)
    return cluster


def _set_forwarding(cluster: cluster_pb2.Cluster) -> None:
    """Make a cluster go to the host that each request names."""
    config = forward_cluster_pb2.ClusterConfig(
        dns_cache_config=_dns_cache(),
        # Envoy wants to hear that a name other than the request's is meant: plaintext has none, a DestinationRule may.
        allow_insecure_cluster_options=True,
    )
    cluster.cluster_type.CopyFrom(cluster_pb2.Cluster.CustomClusterType(name=_FORWARD, typed_config=to_any(config)))
    cluster.lb_policy = cluster_pb2.Cluster.CLUSTER_PROVIDED


def endpoints(upstream: Upstream) -> endpoint_pb2.ClusterLoadAssignment:
    """Return the endpoints of a destination's cluster."""
    assignment = endpoint_pb2.ClusterLoadAssignment(cluster_name=upstream.key.name)
    if not upstream.shares:
        assignment.endpoints.add(lb_endpoints=[_endpoint(upstream.key.service, e) for e in upstream.endpoints])
    for share in upstream.shares:
        group = assignment.endpoints.add(lb_endpoints=[_endpoint(share.service, e) for e in share.endpoints])
        group.locality.sub_zone = share.service
        if share.weight:
            group.load_balancing_weight.value = share.weight
    return assignment


def _endpoint(service: str, endpoint: Endpoint) -> endpoint_components_pb2.LbEndpoint:
    built = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=socket(endpoint.address, endpoint.port)),
        health_status=health_check_pb2.DRAINING if endpoint.draining else health_check_pb2.HEALTHY,
        metadata=endpoint_metadata(
            metadata(service=service, pod=endpoint.pod, version=endpoint.version), endpoint.identity
        ),
    )
    if endpoint.weight:
        built.load_balancing_weight.value = endpoint.weight
    return built


def forward_filter() -> Any:
    """Return the HTTP filter that looks up hosts for clusters that follow the request's host; others ignore it."""
    config = dynamic_forward_proxy_pb2.FilterConfig(dns_cache_config=_dns_cache())
    return hcm.HttpFilter(name=_FORWARD_FILTER, typed_config=to_any(config))


def _dns_cache() -> dns_cache_pb2.DnsCacheConfig:
    """Return the cache; Envoy wants it alike wherever it is named."""
    return dns_cache_pb2.DnsCacheConfig(
        name="hosts", dns_lookup_family=cluster_pb2.Cluster.V4_PREFERRED, dns_refresh_rate=duration(_REFRESH)
    )
