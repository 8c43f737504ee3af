"""Filter chains of a TCP port: which connections go where, by the server name that TLS asks for, or all alike."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from envoy.config.listener.v3 import listener_components_pb2 as components
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from mesh.xds.messages import duration, to_any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mesh.ir.traffic import Destination, TcpHost, TcpRoute

__all__ = ["tcp_chains"]

_TCP: Final = "envoy.filters.network.tcp_proxy"
_ANY_NAME: Final = "*"


def tcp_chains(host: TcpHost, address: str) -> tuple[list[components.FilterChain], components.FilterChain]:
    """Return the chains of TLS connections by server name, and the chain of all others.

    The first rule for a name has it: Envoy refuses a listener in which two chains match alike.

    Args:
        host: The port.
        address: The one of its addresses that was called.
    """
    chains: list[components.FilterChain] = []
    taken: set[str] = set()
    rest: components.FilterChain | None = None
    for route in host.routes:
        if not _is_for(route.subnets, address):
            continue
        if route.names is None:
            rest = rest or _chain("tcp", route.destinations, host, route.idle_timeout)
            continue
        names = [n for n in route.names if n not in taken]
        taken.update(names)
        if names:
            chains.append(_tls_chain(names, route, host))
    return chains, rest or _chain("tcp", (), host, host.idle_timeout)


def _is_for(subnets: Iterable[str], address: str) -> bool:
    found = [ipaddress.ip_network(s, strict=False) for s in subnets]
    return not found or any(ipaddress.ip_address(address) in network for network in found)


def _tls_chain(names: Sequence[str], route: TcpRoute, host: TcpHost) -> components.FilterChain:
    chain = _chain(f"tls-{names[0]}", route.destinations, host, route.idle_timeout)
    chain.filter_chain_match.transport_protocol = "tls"
    if _ANY_NAME not in names:
        chain.filter_chain_match.server_names.extend(names)
    return chain


def _chain(
    name: str, destinations: Sequence[Destination], host: TcpHost, idle_timeout: float | None
) -> components.FilterChain:
    proxy = tcp_proxy_pb2.TcpProxy(stat_prefix=host.cluster.name)
    if idle_timeout is not None:
        proxy.idle_timeout.CopyFrom(duration(idle_timeout))
    if len(destinations) > 1:
        for destination in destinations:
            proxy.weighted_clusters.clusters.add(name=destination.cluster.name, weight=destination.weight)
    else:
        proxy.cluster = destinations[0].cluster.name if destinations else host.cluster.name
    return components.FilterChain(name=name, filters=[components.Filter(name=_TCP, typed_config=to_any(proxy))])
