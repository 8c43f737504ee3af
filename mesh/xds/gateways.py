"""Listeners, routes and certificates of a gateway: what takes requests from outside the mesh."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from envoy.config.core.v3 import base_pb2, protocol_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from google.protobuf import wrappers_pb2

from mesh.xds.jwt import JWT_CONFIG, jwt_config, jwt_filter
from mesh.xds.listeners import HCM, TCP, outbound_manager
from mesh.xds.messages import ads, duration, socket, to_any
from mesh.xds.rbac import Place, authorization_filters, network_filters, route_authorization
from mesh.xds.resources import ECDS, LDS, RDS, SDS, SplitMark
from mesh.xds.routes import host_routes
from mesh.xds.tls import inspector
from mesh.xds.tracing import sampled, traced

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from envoy.config.route.v3 import route_pb2
    from google.protobuf.message import Message

    from mesh.ir.gateways import Credential, GatewayChain, GatewayListener, GatewayRoutes, GatewayTls, GatewayView
    from mesh.xds.resources import Resource

    Make = Callable[[Hashable, str, Callable[[], Message]], Resource]

__all__ = ["credential_secret", "gateway_listener", "gateway_marks", "gateway_resources", "gateway_routes"]

_ALPN: Final = ("h2", "http/1.1")
_HEADER_SECONDS: Final = 60
"""How long a caller may take to send a request's headers."""
_STREAMS: Final = 100
_BUFFER: Final = 1 << 20
_LOOPBACK: Final = "127.0.0.1"
_VERSIONS: Final = {"TLSV1_0": "TLSv1_0", "TLSV1_1": "TLSv1_1", "TLSV1_2": "TLSv1_2", "TLSV1_3": "TLSv1_3"}


def gateway_resources(
    view: GatewayView, make: Make, requests: Sequence[Any], attempts: Sequence[Any]
) -> dict[str, dict[str, Resource]]:
    """Return what a gateway's proxy holds besides clusters and its own certificate, by type and name.

    Args:
        view: What it is told.
        make: Makes a resource of a key, a name and what builds the message.
        requests: Access logs that see each request once.
        attempts: Access logs that see each attempt at a backend.
    """
    found: dict[str, dict[str, Resource]] = {LDS: {}, RDS: {}, SDS: {}, ECDS: {}}
    spans = view.tracing.outbound
    tracer, sampling = (spans.tracer, spans.sampling) if spans else (None, None)
    for listener in view.listeners:
        name = listener_name(listener.port)
        key = ("gateway", view.address, listener, None if _http_only(listener) else view.authorization, tracer)
        opened = partial(gateway_listener, listener, view, requests, attempts)
        found[LDS][name] = make(key, name, traced(opened, tracer))
    for routes in view.routes:
        place = ("gateway", view.address, routes, view.authorization, sampling)
        led = partial(gateway_routes, routes, view)
        found[RDS][routes.name] = make(place, routes.name, sampled(led, sampling))
    for name, credential in view.credentials:
        found[SDS][name] = make(("credential", name, credential), name, partial(credential_secret, name, credential))
    found[ECDS][JWT_CONFIG] = make(("ecds", view.tokens), JWT_CONFIG, partial(jwt_config, view.tokens))
    return found


def listener_name(port: int) -> str:
    """Return the name of the listener of a port."""
    return f"gateway|{port}"


def _http_only(listener: GatewayListener) -> bool:
    return all(chain.routes for chain in listener.chains)


def gateway_listener(
    listener: GatewayListener, view: GatewayView, requests: Sequence[Any], attempts: Sequence[Any]
) -> listener_pb2.Listener:
    """Return the listener of one of a gateway's ports.

    Args:
        listener: The port.
        view: What the gateway is told.
        requests: Access logs that see each request once.
        attempts: Access logs that see each attempt at a backend.
    """
    place = Place(view.address, listener.port)
    chains = []
    for chain in listener.chains:
        made = listener_components_pb2.FilterChain(name=chain.name)
        if listener.encrypted:
            made.filter_chain_match.transport_protocol = "tls"
            made.filter_chain_match.server_names.extend(chain.names)
        if chain.tls:
            made.transport_socket.CopyFrom(_server_socket(chain.tls, http=bool(chain.routes)))
        if chain.routes:
            manager = _manager(chain, requests, attempts)
            made.filters.append(listener_components_pb2.Filter(name=HCM, typed_config=to_any(manager)))
        else:
            made.filters.extend(network_filters(view.authorization, place))
            made.filters.append(listener_components_pb2.Filter(name=TCP, typed_config=to_any(_tcp(chain))))
        chains.append(made)
    built = listener_pb2.Listener(
        name=listener_name(listener.port),
        address=socket(view.address, listener.port),
        traffic_direction=base_pb2.OUTBOUND,
        filter_chains=chains,
        per_connection_buffer_limit_bytes=wrappers_pb2.UInt32Value(value=_BUFFER),
    )
    if listener.encrypted:
        built.listener_filters.append(inspector())
    if not view.address.startswith("127."):
        # In a pod of its own network: `kubectl port-forward` comes from there.
        built.additional_addresses.add(address=socket(_LOOPBACK, listener.port))
    return built


def _manager(chain: GatewayChain, requests: Sequence[Any], attempts: Sequence[Any]) -> hcm.HttpConnectionManager:
    manager = outbound_manager(chain.routes, requests, attempts)
    own = list(manager.http_filters)
    del manager.http_filters[:]
    manager.http_filters.extend([jwt_filter(), *authorization_filters(), *own])
    manager.stat_prefix = "gateway"
    # Nobody outside is believed about who called, over what, and from where.
    manager.use_remote_address.value = True
    manager.normalize_path.value = True
    manager.forward_client_cert_details = hcm.HttpConnectionManager.SANITIZE_SET
    manager.set_current_client_cert_details.subject.value = True
    manager.set_current_client_cert_details.uri = True
    manager.request_headers_timeout.CopyFrom(duration(_HEADER_SECONDS))
    manager.http2_protocol_options.CopyFrom(
        protocol_pb2.Http2ProtocolOptions(
            max_concurrent_streams=wrappers_pb2.UInt32Value(value=_STREAMS),
            initial_stream_window_size=wrappers_pb2.UInt32Value(value=65536),
            initial_connection_window_size=wrappers_pb2.UInt32Value(value=1 << 20),
        )
    )
    return manager


def _tcp(chain: GatewayChain) -> tcp_proxy_pb2.TcpProxy:
    proxy = tcp_proxy_pb2.TcpProxy(stat_prefix="gateway")
    if chain.idle_timeout is not None:
        proxy.idle_timeout.CopyFrom(duration(chain.idle_timeout))
    if len(chain.destinations) == 1:
        proxy.cluster = chain.destinations[0].cluster.name
        return proxy
    for destination in chain.destinations:
        proxy.weighted_clusters.clusters.add(name=destination.cluster.name, weight=destination.weight)
    return proxy


def _server_socket(tls: GatewayTls, *, http: bool) -> base_pb2.TransportSocket:
    params = common_pb2.TlsParameters(
        tls_minimum_protocol_version=_version(tls.lowest, "TLSV1_2"),
        tls_maximum_protocol_version=_version(tls.highest, "TLSV1_3"),
    )
    common = tls_pb2.CommonTlsContext(
        tls_params=params,
        alpn_protocols=_ALPN if http else (),
        tls_certificate_sds_secret_configs=[secret_pb2.SdsSecretConfig(name=tls.secret, sds_config=ads())],
    )
    if tls.roots:
        common.validation_context_sds_secret_config.CopyFrom(
            secret_pb2.SdsSecretConfig(name=tls.roots, sds_config=ads())
        )
    context = tls_pb2.DownstreamTlsContext(
        common_tls_context=common, require_client_certificate=wrappers_pb2.BoolValue(value=tls.required)
    )
    return base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=to_any(context))


def _version(wanted: str, otherwise: str) -> Any:
    name = _VERSIONS[wanted if wanted in _VERSIONS else otherwise]
    return common_pb2.TlsParameters.TlsProtocol.Value(name)


def gateway_routes(routes: GatewayRoutes, view: GatewayView) -> route_pb2.RouteConfiguration:
    """Return the routes behind a port; requests for other hosts get 404, with no word of what there is."""
    nothing = route_components_pb2.Route(
        match=route_components_pb2.RouteMatch(prefix="/"),
        direct_response=route_components_pb2.DirectResponseAction(status=404),
    )
    others = route_components_pb2.VirtualHost(name="unknown", domains=["*"], routes=[nothing])
    built = host_routes(routes.name, routes.hosts, others)
    # Callers may write the port that they use, whatever number it is out there.
    built.ignore_port_in_host_matching = True
    rules = route_authorization(view.authorization, Place(view.address, routes.port))
    for host in built.virtual_hosts:
        for name, rule in rules.items():
            host.typed_per_filter_config[name].CopyFrom(rule)
    return built


def credential_secret(name: str, credential: Credential) -> secret_pb2.Secret:
    """Return a certificate with its key, or the roots that callers' certificates are checked with."""
    if not credential.chain:
        trusted = base_pb2.DataSource(inline_bytes=credential.ca)
        checked = common_pb2.CertificateValidationContext(trusted_ca=trusted)
        return secret_pb2.Secret(name=name, validation_context=checked)
    return secret_pb2.Secret(
        name=name,
        tls_certificate=common_pb2.TlsCertificate(
            certificate_chain=base_pb2.DataSource(inline_bytes=credential.chain),
            private_key=base_pb2.DataSource(inline_bytes=credential.key),
        ),
    )


def gateway_marks(view: GatewayView) -> dict[str, SplitMark]:
    """Return which TrafficSplits the configuration carries."""
    found = {}
    for split in view.outbound.splits:
        services = set(split.services)
        clusters = {u.key.name for u in view.outbound.upstreams if u.key.host in services}
        routes = {
            r.name
            for r in view.routes
            for host in r.hosts
            if any(c.host in services for route in host.routes for c in route.clusters)
        }
        if routes:
            found[split.uid] = SplitMark(split.generation, frozenset(clusters), frozenset(routes))
    return found
