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
from mesh.ir.authz import Authorization
from mesh.xds.auditlog import audit_log
from mesh.xds.clusters import inbound_name
from mesh.xds.discovery import forward_filter
from mesh.xds.jwt import jwt_filter
from mesh.xds.messages import ads, duration, socket, to_any
from mesh.xds.rbac import Place, authorization_filters, network_filters
from mesh.xds.routeactions import action_filters
from mesh.xds.routes import OUTBOUND_ROUTES
from mesh.xds.tls import CONNECTION_SECONDS, filter_chains, inspector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.ir.views import Inbound
    from mesh.xds.tls import Chain

__all__ = ["HCM", "OUTBOUND_LISTENER", "TCP", "inbound_listener", "outbound_listener", "outbound_manager"]

OUTBOUND_LISTENER: Final = "outbound"
NOBODY_ASKED: Final = Authorization()
HCM: Final = "envoy.filters.network.http_connection_manager"
TCP: Final = "envoy.filters.network.tcp_proxy"
_ROUTER: Final = "envoy.filters.http.router"
_BOUND_SECONDS: Final = CONNECTION_SECONDS + 600
"""The callers' own sidecars go first, without any haste; this is for other callers."""
_TCP_SECONDS: Final = 24 * 3600
_SERVER_FIRST_SECONDS: Final = 1


def outbound_listener(address: str, requests: Sequence[Any], attempts: Sequence[Any]) -> listener_pb2.Listener:
    """Return the listener that the pod's own requests go to.

    Args:
        address: IP of the pod.
        requests: Access logs that see each request once.
        attempts: Access logs that see each attempt at a backend.
    """
    manager = outbound_manager(OUTBOUND_ROUTES, requests, attempts)
    return _listener(OUTBOUND_LISTENER, socket(address, OUTBOUND_PORT), base_pb2.OUTBOUND, (HCM, manager))


def outbound_manager(routes: str, requests: Sequence[Any], attempts: Sequence[Any]) -> hcm.HttpConnectionManager:
    """Return what routes the pod's own requests.

    Args:
        routes: Name of the route configuration.
        requests: Access logs that see each request once.
        attempts: Access logs that see each attempt at a backend.
    """
    filters = [*action_filters(), forward_filter()]
    return _manager(OUTBOUND_LISTENER, routes, requests, attempts, filters=filters)


def inbound_listener(
    inbound: Inbound, address: str, authorization: Authorization = NOBODY_ASKED
) -> listener_pb2.Listener:
    """Return the listener in front of one of the pod's own ports: a filter chain for each kind of connection.

    Args:
        inbound: The port.
        address: IP of the pod.
        authorization: Who may call it; for a port of HTTP it comes with the routes.
    """
    name = inbound_name(inbound)
    tcp = inbound.target.protocol == "tcp"

    def make(chain: Chain) -> listener_components_pb2.FilterChain:
        opaque = tcp or chain.name == "tls"
        kind, config = _inbound_tcp(name, chain) if opaque else _inbound_http(name, chain)
        config.access_log.append(audit_log(inbound.target.number, tcp=opaque))
        entry = listener_components_pb2.Filter(name=kind, typed_config=to_any(config))
        before = network_filters(authorization, Place(address, inbound.target.number)) if opaque else ()
        return listener_components_pb2.FilterChain(filters=[*before, entry])

    listener = listener_pb2.Listener(
        name=name,
        address=socket(address, inbound.listen),
        traffic_direction=base_pb2.INBOUND,
        filter_chains=filter_chains(inbound.mtls, own_tls=tcp, make=make),
    )
    if inbound.mtls != "DISABLE":
        listener.listener_filters.append(inspector())
        if tcp and inbound.mtls == "PERMISSIVE":
            # Who waits for the server to speak first (MySQL) would wait for Envoy's 15 s.
            listener.listener_filters_timeout.CopyFrom(duration(_SERVER_FIRST_SECONDS))
            listener.continue_on_listener_filters_timeout = True
    return listener


def _inbound_tcp(name: str, chain: Chain) -> tuple[str, Any]:
    proxy = tcp_proxy_pb2.TcpProxy(stat_prefix="inbound", cluster=name)
    # The caller's own sidecar ends what is idle, after an hour or as its DestinationRule says; this is for other callers.
    proxy.idle_timeout.CopyFrom(duration(_TCP_SECONDS))
    if chain.name == "mtls":
        # It cuts whatever is going on, so it comes no earlier than it must: when the certificate has ended.
        proxy.max_downstream_connection_duration.CopyFrom(duration(_TCP_SECONDS))
    return TCP, proxy


def _inbound_http(name: str, chain: Chain) -> tuple[str, Any]:
    manager = _manager("inbound", name, (), (), filters=[jwt_filter(), *authorization_filters()])
    # Rules about paths mean the path that the application sees.
    manager.normalize_path.value = True
    if chain.name == "mtls":
        # The application learns who calls, as with Istio (x-forwarded-client-cert), and never what a caller made up.
        manager.forward_client_cert_details = hcm.HttpConnectionManager.SANITIZE_SET
        manager.set_current_client_cert_details.uri = True
        manager.common_http_protocol_options.max_connection_duration.CopyFrom(duration(_BOUND_SECONDS))
        # With HTTP/1.1 the end is announced with an answer, so that no request meets a closed connection.
        manager.http1_safe_max_connection_duration = True
    return HCM, manager


def _listener(name: str, address: Any, direction: int, network: tuple[str, Any]) -> listener_pb2.Listener:
    kind, config = network
    entry = listener_components_pb2.Filter(name=kind, typed_config=to_any(config))
    return listener_pb2.Listener(
        name=name,
        address=address,
        traffic_direction=direction,
        filter_chains=[listener_components_pb2.FilterChain(filters=[entry])],
    )


def _manager(
    prefix: str, routes: str, requests: Sequence[Any], attempts: Sequence[Any], filters: Sequence[Any] = ()
) -> hcm.HttpConnectionManager:
    router = router_pb2.Router(suppress_envoy_headers=True, upstream_log=list(attempts))
    return hcm.HttpConnectionManager(
        stat_prefix=prefix,
        codec_type=hcm.HttpConnectionManager.AUTO,
        rds=hcm.Rds(config_source=ads(), route_config_name=routes),
        http_filters=[*filters, hcm.HttpFilter(name=_ROUTER, typed_config=to_any(router))],
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
