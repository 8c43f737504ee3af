"""Listeners of a sidecar whose pod's packets are redirected to it: who was called is what the kernel remembers.

Outbound as in Istio: the listener that takes everything hands each connection to the listener of its address and port,
or of its port, which are bound to no socket. What no listener knows is passed on to where it was going. A new Service
on a port that others use already changes routes only.

Inbound: one listener, and in it the filter chains of each port.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2 as components
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from mesh.api.names import INBOUND_PORT, INBOUND_SOURCE, OUTBOUND_PORT
from mesh.ir.policies import Policy
from mesh.xds.clusters import inbound_cluster
from mesh.xds.listeners import HCM, OUTBOUND_LISTENER, TCP, inbound_listener, outbound_manager
from mesh.xds.messages import duration, socket, to_any
from mesh.xds.routes import PASSTHROUGH, captured_routes_name
from mesh.xds.tcproutes import tcp_chains
from mesh.xds.tls import inspector
from mesh.xds.treatment import HTTP_OPTIONS, http_options, limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.ir.authz import Authorization
    from mesh.ir.traffic import TcpHost
    from mesh.ir.views import Inbound

__all__ = [
    "BLACK_HOLE",
    "INBOUND_LISTENER",
    "captured_cluster",
    "captured_inbound",
    "captured_outbound",
    "fixed_clusters",
    "http_listener",
    "http_listener_name",
    "tcp_listener",
    "tcp_listener_name",
]

INBOUND_LISTENER: Final = "inbound"
BLACK_HOLE: Final = "BlackHoleCluster"
_ANY: Final = "0.0.0.0"  # noqa: S104 - in a pod's own network namespace
_HTTP: Final = ("http/1.0", "http/1.1", "h2c")
_SERVER_FIRST_SECONDS: Final = 1


def fixed_clusters(*, refuse: bool) -> list[cluster_pb2.Cluster]:
    """Return the clusters of what goes where it was going anyway, and of what must go nowhere.

    Args:
        refuse: Whether nothing may go to hosts that are not known.
    """
    return [_nowhere(PASSTHROUGH) if refuse else _original(PASSTHROUGH), _nowhere(BLACK_HOLE)]


def _nowhere(name: str) -> cluster_pb2.Cluster:
    return cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.STATIC, connect_timeout=duration(1))


def captured_cluster(inbound: Inbound, address: str) -> cluster_pb2.Cluster:
    """Return the cluster of one of the pod's own ports, or of all undeclared ones (number 0)."""
    cluster = inbound_cluster(inbound, address)
    if not inbound.target.number:
        cluster = _original(cluster.name)
    # By this source the redirection knows that the connection is for the application.
    cluster.upstream_bind_config.source_address.CopyFrom(_any_port(INBOUND_SOURCE))
    return cluster


def _any_port(address: str) -> Any:
    """Return an address with any port."""
    return socket(address, 0).socket_address


def captured_inbound(ports: Sequence[Inbound], address: str, authorization: Authorization) -> listener_pb2.Listener:
    """Return the listener that takes all calls to the pod.

    Args:
        ports: The pod's; number 0 stands for all that it does not declare.
        address: Its IP.
        authorization: Who may call it.
    """
    listener = _captured(INBOUND_LISTENER, INBOUND_PORT, base_pb2.INBOUND)
    listener.listener_filters.append(_original_destination())
    for port in ports:
        one = inbound_listener(port, address, authorization)
        for chain in one.filter_chains:
            chain.name = f"{port.target.number or 'other'}-{chain.name}"
            if port.target.number:
                chain.filter_chain_match.destination_port.value = port.target.number
            listener.filter_chains.append(chain)
        for found in one.listener_filters:
            if found not in listener.listener_filters:
                listener.listener_filters.append(found)
        if one.continue_on_listener_filters_timeout:
            listener.listener_filters_timeout.CopyFrom(one.listener_filters_timeout)
            listener.continue_on_listener_filters_timeout = True
    return listener


def captured_outbound() -> listener_pb2.Listener:
    """Return the listener that takes all that the pod calls."""
    listener = _captured(OUTBOUND_LISTENER, OUTBOUND_PORT, base_pb2.OUTBOUND)
    listener.use_original_dst.value = True
    listener.filter_chains[0].name = "loop"
    listener.default_filter_chain.CopyFrom(_tcp_chain(PASSTHROUGH))
    return listener


def http_listener_name(port: int) -> str:
    """Return the name of the listener of an HTTP port."""
    return f"{_ANY}_{port}"


def http_listener(port: int, requests: Sequence[Any], attempts: Sequence[Any]) -> listener_pb2.Listener:
    """Return the listener of all calls to an HTTP port, which are told apart by their Host header.

    What is not HTTP is passed on. The inspection has no time limit: a client may keep a connection in reserve.

    Args:
        port: The port.
        requests: Access logs that see each request once.
        attempts: Access logs that see each attempt at a backend.
    """
    manager = outbound_manager(captured_routes_name(port), requests, attempts)
    chain = components.FilterChain(
        name="http",
        filter_chain_match=components.FilterChainMatch(application_protocols=_HTTP),
        filters=[components.Filter(name=HCM, typed_config=to_any(manager))],
    )
    inspector = components.ListenerFilter(
        name="envoy.filters.listener.http_inspector", typed_config=to_any(http_inspector_pb2.HttpInspector())
    )
    listener = _handed(http_listener_name(port), _ANY, port, chain)
    listener.default_filter_chain.CopyFrom(_tcp_chain(PASSTHROUGH))
    listener.listener_filters.append(inspector)
    listener.listener_filters_timeout.CopyFrom(duration(0))
    return listener


def tcp_listener_name(address: str, port: int) -> str:
    """Return the name of the listener of a TCP port of one address."""
    return f"{address}_{port}"


def tcp_listener(host: TcpHost, address: str) -> listener_pb2.Listener:
    """Return the listener of calls to a TCP port of a Service by one of its addresses."""
    tls, rest = tcp_chains(host, address)
    listener = _handed(tcp_listener_name(address, host.cluster.port), address, host.cluster.port, rest)
    if tls:
        listener.filter_chains.extend(tls)
        listener.listener_filters.append(inspector())
        # Who waits for the server to speak first would wait for Envoy's 15 s.
        listener.listener_filters_timeout.CopyFrom(duration(_SERVER_FIRST_SECONDS))
        listener.continue_on_listener_filters_timeout = True
    return listener


def _captured(name: str, port: int, direction: int) -> listener_pb2.Listener:
    """Return a listener for redirected packets. One that was sent to it directly would be passed on to itself for ever."""
    loop = _tcp_chain(BLACK_HOLE)
    loop.name = "loop"
    loop.filter_chain_match.destination_port.value = port
    return listener_pb2.Listener(
        name=name, address=socket(_ANY, port), traffic_direction=direction, filter_chains=[loop]
    )


def _handed(name: str, address: str, port: int, chain: components.FilterChain) -> listener_pb2.Listener:
    listener = listener_pb2.Listener(
        name=name, address=socket(address, port), traffic_direction=base_pb2.OUTBOUND, filter_chains=[chain]
    )
    listener.bind_to_port.value = False
    return listener


def _tcp_chain(cluster: str) -> components.FilterChain:
    proxy = tcp_proxy_pb2.TcpProxy(stat_prefix=cluster, cluster=cluster)
    return components.FilterChain(name="tcp", filters=[components.Filter(name=TCP, typed_config=to_any(proxy))])


def _original(name: str) -> cluster_pb2.Cluster:
    return cluster_pb2.Cluster(
        name=name,
        type=cluster_pb2.Cluster.ORIGINAL_DST,
        lb_policy=cluster_pb2.Cluster.CLUSTER_PROVIDED,
        connect_timeout=duration(10),
        circuit_breakers=limits(Policy()),
        typed_extension_protocol_options={HTTP_OPTIONS: http_options(Policy(), secured=False)},
    )


def _original_destination() -> components.ListenerFilter:
    return components.ListenerFilter(
        name="envoy.filters.listener.original_dst", typed_config=to_any(original_dst_pb2.OriginalDst())
    )
