"""What every listener of a sidecar tells of what passes through it: metrics, access logs, traces.

It is added to a listener that is otherwise complete, by its direction, so that whoever builds one need not think of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.data.accesslog.v3 import accesslog_pb2 as data_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from mesh.xds.accesslog import access_log
from mesh.xds.messages import to_any
from mesh.xds.plaintext import of_connections, of_refused, of_requests
from mesh.xds.standard import http_logs, tcp_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.message import Message

    from mesh.xds.standard import Reporter

__all__ = ["observation"]

_NO_PORT: Final = frozenset({"loop"})
"""Chains of inbound listeners that lead to no port of the pod."""
_REPORTERS: Final[dict[int, Reporter]] = {base_pb2.INBOUND: "destination", base_pb2.OUTBOUND: "source"}


def observation(access_log_percent: float = 0) -> Callable[[Message], Message]:
    """Return what adds the standard metrics and access logs to a listener; other messages stay as they are.

    Args:
        access_log_percent: How many requests and connections are logged; 0 for none.
    """
    http = {direction: http_logs(reporter) for direction, reporter in _REPORTERS.items()}
    tcp = {direction: tcp_logs(reporter) for direction, reporter in _REPORTERS.items()}
    lines = {
        (direction, is_tcp): access_log(reporter, access_log_percent, tcp=is_tcp)
        for direction, reporter in _REPORTERS.items()
        for is_tcp in (False, True)
        if access_log_percent
    }

    def observe(message: Message) -> Message:
        if isinstance(message, listener_pb2.Listener):
            for chain, entry in _filters(message):
                if entry.typed_config.Is(hcm.HttpConnectionManager.DESCRIPTOR):
                    manager = hcm.HttpConnectionManager()
                    entry.typed_config.Unpack(manager)
                    manager.access_log.extend(_found(lines, (message.traffic_direction, False)))
                    if _is_plain(message, chain):
                        manager.access_log.append(of_requests(_port(manager.rds.route_config_name)))
                    manager.access_log.extend(http.get(message.traffic_direction, ()))
                    entry.typed_config.CopyFrom(to_any(manager))
                elif entry.typed_config.Is(tcp_proxy_pb2.TcpProxy.DESCRIPTOR):
                    proxy = tcp_proxy_pb2.TcpProxy()
                    entry.typed_config.Unpack(proxy)
                    proxy.access_log.extend(_found(lines, (message.traffic_direction, True)))
                    for log in proxy.access_log:
                        _only_at_end(log)
                    if _is_plain(message, chain):
                        proxy.access_log.append(of_connections(_port(proxy.cluster)))
                    proxy.access_log.extend(tcp.get(message.traffic_direction, ()))
                    proxy.access_log_options.flush_access_log_on_connected = True
                    entry.typed_config.CopyFrom(to_any(proxy))
            if message.traffic_direction == base_pb2.INBOUND:
                message.access_log.append(of_refused(_listened(message)))
        return message

    return observe


def _found(lines: Mapping[Any, Any], key: Any) -> list[Any]:
    return [lines[key]] if key in lines else []


def _only_at_end(log: accesslog_pb2.AccessLog) -> None:
    """Keep a logger that was there from being asked when connections begin, too."""
    end = accesslog_pb2.AccessLogFilter(log_type_filter=accesslog_pb2.LogTypeFilter(types=[data_pb2.TcpConnectionEnd]))
    if log.HasField("filter"):
        end = accesslog_pb2.AccessLogFilter(and_filter=accesslog_pb2.AndFilter(filters=[end, log.filter]))
    log.filter.CopyFrom(end)


def _filters(listener: Any) -> list[tuple[Any, Any]]:
    chains = [
        *listener.filter_chains,
        *([listener.default_filter_chain] if listener.HasField("default_filter_chain") else []),
    ]
    return [(chain, entry) for chain in chains for entry in chain.filters]


def _is_plain(listener: Any, chain: Any) -> bool:
    """Say whether a chain takes what is not the mesh's mutual TLS."""
    return (
        listener.traffic_direction == base_pb2.INBOUND
        and not chain.HasField("transport_socket")
        and chain.name not in _NO_PORT
    )


def _port(name: str) -> int:
    """Return the container port of what ``mesh.xds.clusters.inbound_name`` names."""
    return int(name.rpartition("|")[2])


def _listened(listener: Any) -> int | None:
    """Return the container port behind a listener; None for one that takes the calls to all ports."""
    return _port(listener.name) if "|" in listener.name else None
