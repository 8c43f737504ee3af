"""Route configurations."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from google.protobuf import wrappers_pb2

from mesh.api.httpactions import BODY_LIMIT
from mesh.ir.actions import UNCHANGED
from mesh.resolve.formats import envoy_format
from mesh.xds.clusters import inbound_name
from mesh.xds.matching import route_match
from mesh.xds.messages import duration, to_any
from mesh.xds.metadata import COPY_HEADER, copy_of, metadata
from mesh.xds.rbac import Place, route_authorization
from mesh.xds.routeactions import fractional, per_filter, redirect_action, set_headers, set_rewrite
from mesh.xds.treatment import hash_policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.ir.authz import Authorization
    from mesh.ir.traffic import Destination, Retries, Route, VirtualHost
    from mesh.ir.views import Inbound, Outbound

__all__ = [
    "OUTBOUND_ROUTES",
    "PASSTHROUGH",
    "captured_routes",
    "captured_routes_name",
    "host_routes",
    "inbound_routes",
    "outbound_routes",
]

_REFRESH_CLUSTER_ON_RETRY: Final = b"\x70\x01"
"""RetryPolicy.refresh_cluster_on_retry (field 14, since Envoy 1.39) as it is on the wire: xds-protos lacks it."""
OUTBOUND_ROUTES: Final = "outbound"
"""Name of the route configuration of every outbound listener that is an explicit proxy."""
PASSTHROUGH: Final = "PassthroughCluster"
"""Name of the cluster that goes where the packets were going; Istio's."""
_UNKNOWN: Final = (
    "coalmine: no Service in the mesh is called %REQ(:authority)%, and no ServiceEntry has that host, so that the sidecar "
    "does not pass the request on: check the name, write a ServiceEntry, allow all hosts in a Sidecar "
    "(outboundTrafficPolicy.mode: ALLOW_ANY), or leave the host out of the proxy with no_proxy\n"
)


def outbound_routes(outbound: Outbound) -> route_pb2.RouteConfiguration:
    """Return the routes of everything that a pod may call; other hosts are refused by name, or looked up."""
    others = _passed_on() if outbound.unknown == "ALLOW_ANY" else _unknown_host()
    return _outbound_routes(OUTBOUND_ROUTES, outbound.virtual_hosts, others)


def captured_routes_name(port: int) -> str:
    """Return the name of the route configuration of a port, where packets are captured."""
    return f"{OUTBOUND_ROUTES}|{port}"


def captured_routes(hosts: Sequence[VirtualHost], port: int) -> route_pb2.RouteConfiguration:
    """Return the routes of what a pod calls on a port; other hosts are passed on to the address that was called.

    Args:
        hosts: The hosts that have this port.
        port: The port. A Host header without a port means this one.
    """
    named = [replace(host, domains=_without_port(host.domains, port)) for host in hosts]
    return _outbound_routes(captured_routes_name(port), named, _passed_on())


def _without_port(domains: tuple[str, ...], port: int) -> tuple[str, ...]:
    bare = (domain.removesuffix(f":{port}") for domain in domains)
    return tuple(dict.fromkeys(name for domain, short in zip(domains, bare, strict=True) for name in (short, domain)))


def _passed_on() -> route_components_pb2.VirtualHost:
    route = route_components_pb2.Route(
        match=route_components_pb2.RouteMatch(prefix="/"),
        route=route_components_pb2.RouteAction(cluster=PASSTHROUGH, timeout=duration(0), upgrade_configs=_upgrades()),
    )
    return route_components_pb2.VirtualHost(name="passthrough", domains=["*"], routes=[route])


def _outbound_routes(
    name: str, virtual_hosts: Sequence[VirtualHost], others: route_components_pb2.VirtualHost
) -> route_pb2.RouteConfiguration:
    # Of two hosts with one domain the first keeps it: Envoy would refuse both, and all others with them.
    taken: set[str] = set()
    hosts = []
    for host in virtual_hosts:
        domains = [d for d in host.domains if d not in taken]
        taken.update(domains)
        if domains:
            hosts.append(_virtual_host(host, domains))
    return route_pb2.RouteConfiguration(
        name=name,
        virtual_hosts=hosts if "*" in taken else [*hosts, others],
        # A destination whose cluster is missing answers 503 instead of making Envoy refuse everything.
        validate_clusters=wrappers_pb2.BoolValue(value=False),
        ignore_port_in_host_matching=False,
        max_direct_response_body_size_bytes=wrappers_pb2.UInt32Value(value=BODY_LIMIT),
        request_headers_to_remove=[COPY_HEADER],
    )


def host_routes(
    name: str, hosts: Sequence[VirtualHost], others: route_components_pb2.VirtualHost
) -> route_pb2.RouteConfiguration:
    """Return the routes of hosts.

    Args:
        name: Name of the route configuration.
        hosts: The hosts.
        others: What becomes of requests for any other.
    """
    return _outbound_routes(name, hosts, others)


def inbound_routes(inbound: Inbound, address: str, authorization: Authorization) -> route_pb2.RouteConfiguration:
    """Return the routes of one of the pod's own ports: everything that may pass goes to the application.

    Args:
        inbound: The port.
        address: IP of the pod.
        authorization: Who may call it.
    """
    name = inbound_name(inbound)
    route = route_components_pb2.Route(
        match=route_components_pb2.RouteMatch(prefix="/"),
        route=route_components_pb2.RouteAction(cluster=name, timeout=duration(0), upgrade_configs=_upgrades()),
        typed_per_filter_config=route_authorization(authorization, Place(address, inbound.target.number)),
    )
    host = route_components_pb2.VirtualHost(name=name, domains=["*"], routes=[route])
    return route_pb2.RouteConfiguration(name=name, virtual_hosts=[host])


def _virtual_host(host: VirtualHost, domains: list[str]) -> route_components_pb2.VirtualHost:
    namespace, name = host.host
    label = f"{name}.{namespace}:{host.port}" if namespace else f"{name}:{host.port}"
    return route_components_pb2.VirtualHost(
        name=label, domains=domains, routes=[_route(host, route) for route in host.routes]
    )


def _unknown_host() -> route_components_pb2.VirtualHost:
    refusal = route_components_pb2.Route(
        match=route_components_pb2.RouteMatch(prefix="/"),
        direct_response=route_components_pb2.DirectResponseAction(status=502, body_format=_format(_UNKNOWN)),
    )
    return route_components_pb2.VirtualHost(name="unknown", domains=["*"], routes=[refusal])


def _format(text: str) -> substitution_format_string_pb2.SubstitutionFormatString:
    source = base_pb2.DataSource(inline_string=text)
    return substitution_format_string_pb2.SubstitutionFormatString(text_format_source=source)


def _route(host: VirtualHost, route: Route) -> route_components_pb2.Route:
    namespace, name = route.host or host.host
    built = route_components_pb2.Route(
        name=route.name,
        match=route_match(route.match),
        metadata=metadata(host=name, namespace=namespace, kind=route.kind),
        typed_per_filter_config=per_filter(route),
    )
    set_headers(built, route.changes)
    if route.answered_by_proxy:
        _set_answer(built, route)
    else:
        _set_action(built.route, route)
    return built


def _set_answer(built: route_components_pb2.Route, route: Route) -> None:
    if route.refusal:
        built.direct_response.status = route.refusal.status
        built.direct_response.body.inline_string = route.refusal.body
    elif route.redirect:
        built.redirect.CopyFrom(redirect_action(route.redirect))
    elif route.answer:
        built.direct_response.status = route.answer.status
        if route.answer.body:
            built.direct_response.body.inline_bytes = route.answer.body


def _set_action(action: route_components_pb2.RouteAction, route: Route) -> None:
    action.timeout.CopyFrom(duration(route.timeout or 0))
    action.upgrade_configs.extend(_upgrades())
    if route.retries.attempts:
        action.retry_policy.CopyFrom(_retry_policy(route.retries))
        if len(route.destinations) > 1 and route.retries.elsewhere:
            # A failing canary of one pod has no other endpoint to try: the retry chooses among the weights again, and
            # each attempt is counted for the cluster that it went to.
            action.retry_policy.MergeFromString(_REFRESH_CLUSTER_ON_RETRY)
    set_rewrite(action, route)
    for mirror in route.mirrors:
        fraction = base_pb2.RuntimeFractionalPercent(default_value=fractional(mirror.percent))
        policy = action.request_mirror_policies.add(cluster=mirror.cluster.name, runtime_fraction=fraction)
        if mirror.host:
            said = base_pb2.HeaderValue(key=COPY_HEADER, value=envoy_format(copy_of(*mirror.host, route.kind)))
            overwrite = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
            policy.request_headers_mutations.add(
                append=base_pb2.HeaderValueOption(header=said, append_action=overwrite)
            )
    action.hash_policy.extend(map(hash_policy, route.hash_keys))
    _destinations(action, route.destinations)
    if route.sticky:
        action.weighted_clusters.use_hash_policy.value = True


def _destinations(action: route_components_pb2.RouteAction, destinations: tuple[Destination, ...]) -> None:
    if len(destinations) == 1 and destinations[0].changes == UNCHANGED:
        action.cluster = destinations[0].cluster.name
        return
    for destination in destinations:
        entry = action.weighted_clusters.clusters.add(name=destination.cluster.name)
        entry.weight.value = destination.weight
        set_headers(entry, destination.changes)
        entry.host_rewrite_literal = destination.changes.authority


def _upgrades() -> list[route_components_pb2.RouteAction.UpgradeConfig]:
    return [route_components_pb2.RouteAction.UpgradeConfig(upgrade_type="websocket")]


def _retry_policy(retries: Retries) -> route_components_pb2.RetryPolicy:
    previous_hosts = route_components_pb2.RetryPolicy.RetryHostPredicate(
        name="envoy.retry_host_predicates.previous_hosts",
        typed_config=to_any(previous_hosts_pb2.PreviousHostsPredicate()),
    )
    built = route_components_pb2.RetryPolicy(
        retry_on=",".join(retries.retry_on),
        num_retries=wrappers_pb2.UInt32Value(value=retries.attempts),
        per_try_timeout=duration(retries.per_try_timeout) if retries.per_try_timeout else None,
        retriable_status_codes=retries.statuses,
    )
    if retries.elsewhere:
        built.retry_host_predicate.append(previous_hosts)
        built.host_selection_retry_max_attempts = 5
    if retries.backoff:
        built.retry_back_off.base_interval.CopyFrom(duration(retries.backoff))
    return built
