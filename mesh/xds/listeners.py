"""Listeners of a sidecar: one for what its pod calls, one for each port that its pod serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from envoy.config.core.v3 import base_pb2, protocol_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from google.protobuf import wrappers_pb2

from mesh.api.names import OUTBOUND_PORT
from mesh.xds.clusters import ads, duration, inbound_name, socket, to_any
from mesh.xds.routes import OUTBOUND_ROUTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.ir.views import Inbound

__all__ = ["OUTBOUND_LISTENER", "inbound_listener", "outbound_listener"]

OUTBOUND_LISTENER: Final = "outbound"
_HCM: Final = "envoy.filters.network.http_connection_manager"
_TCP: Final = "envoy.filters.network.tcp_proxy"
_ROUTER: Final = "envoy.filters.http.router"


def outbound_listener(address: str, requests: Sequence[Any], attempts: Sequence[Any]) -> listener_pb2.Listener:
    """Return the listener that the pod's own requests go to.

    Args:
        address: IP of the pod.
        requests: Access logs that see each request once.
        attempts: Access logs that see each attempt at a backend.
    """
    manager = _manager(OUTBOUND_LISTENER, OUTBOUND_ROUTES, requests, attempts)
    return _listener(OUTBOUND_LISTENER, socket(address, OUTBOUND_PORT), base_pb2.OUTBOUND, (_HCM, manager))


def inbound_listener(inbound: Inbound, address: str) -> listener_pb2.Listener:
    """Return the listener in front of one of the pod's own ports."""
    name = inbound_name(inbound)
    if inbound.target.protocol == "tcp":
        network: tuple[str, Any] = (_TCP, tcp_proxy_pb2.TcpProxy(stat_prefix="inbound", cluster=name))
    else:
        network = (_HCM, _manager("inbound", name, (), ()))
    return _listener(name, socket(address, inbound.listen), base_pb2.INBOUND, network)


def _listener(name: str, address: Any, direction: int, network: tuple[str, Any]) -> listener_pb2.Listener:
    kind, config = network
    entry = listener_components_pb2.Filter(name=kind, typed_config=to_any(config))
    return listener_pb2.Listener(
        name=name,
        address=address,
        traffic_direction=direction,
        filter_chains=[listener_components_pb2.FilterChain(filters=[entry])],
    )


def _manager(prefix: str, routes: str, requests: Sequence[Any], attempts: Sequence[Any]) -> hcm.HttpConnectionManager:
    router = router_pb2.Router(suppress_envoy_headers=True, upstream_log=list(attempts))
    return hcm.HttpConnectionManager(
        stat_prefix=prefix,
        codec_type=hcm.HttpConnectionManager.AUTO,
        rds=hcm.Rds(config_source=ads(), route_config_name=routes),
        http_filters=[hcm.HttpFilter(name=_ROUTER, typed_config=to_any(router))],
        access_log=list(requests),
        # Old clients (ab, some health checkers) speak it; without this they get 426.
        http_protocol_options=protocol_pb2.Http1ProtocolOptions(accept_http_10=True),
        # The application's own Server header stays; the mesh has no business in it.
        server_header_transformation=hcm.HttpConnectionManager.PASS_THROUGH,
        use_remote_address=wrappers_pb2.BoolValue(value=False),
        # No time limit of the mesh's own: long polls and streams live as long as their two ends want.
        stream_idle_timeout=duration(0),
        upgrade_configs=[hcm.HttpConnectionManager.UpgradeConfig(upgrade_type="websocket")],
    )
