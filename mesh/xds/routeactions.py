"""Actions of routes beyond the destination: rewrites, redirects, headers, faults and CORS, in Envoy's words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.common.fault.v3 import fault_pb2 as common_fault_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from mesh.resolve.formats import envoy_format
from mesh.xds.matching import string_matcher
from mesh.xds.messages import duration, to_any

if TYPE_CHECKING:
    from mesh.ir.actions import Cors, Fault, HeaderChanges, Redirect
    from mesh.ir.matching import Match
    from mesh.ir.traffic import Route

__all__ = ["action_filters", "fractional", "per_filter", "redirect_action", "set_headers", "set_rewrite"]

_CORS: Final = "envoy.filters.http.cors"
_FAULT: Final = "envoy.filters.http.fault"
_MILLION: Final = 1_000_000
_CODES: Final = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}
_Action = base_pb2.HeaderValueOption.HeaderAppendAction


def action_filters() -> list[Any]:
    """Return the HTTP filters that carry these actions out; they do nothing on routes that do not ask for it."""
    return [
        hcm.HttpFilter(name=_CORS, typed_config=to_any(cors_pb2.Cors())),
        hcm.HttpFilter(name=_FAULT, typed_config=to_any(fault_pb2.HTTPFault())),
    ]


def fractional(percent: float) -> percent_pb2.FractionalPercent:
    """Return a share to a ten-thousandth of a percent."""
    return percent_pb2.FractionalPercent(
        numerator=round(percent * _MILLION / 100), denominator=percent_pb2.FractionalPercent.MILLION
    )


def per_filter(route: Route) -> dict[str, Any]:
    """Return what the route asks of ``action_filters``."""
    found = {}
    if route.cors:
        found[_CORS] = to_any(_cors(route.cors))
    if route.fault:
        found[_FAULT] = to_any(_fault(route.fault))
    return found


def _cors(cors: Cors) -> cors_pb2.CorsPolicy:
    built = cors_pb2.CorsPolicy(
        allow_origin_string_match=[string_matcher(o) for o in cors.origins],
        allow_methods=",".join(cors.methods),
        allow_headers=",".join(cors.headers),
        expose_headers=",".join(cors.exposed),
        max_age="" if cors.max_age is None else f"{cors.max_age:.0f}",
        forward_not_matching_preflights=wrappers_pb2.BoolValue(value=cors.forward_unmatched),
    )
    if cors.credentials is not None:
        built.allow_credentials.value = cors.credentials
    return built


def _fault(fault: Fault) -> fault_pb2.HTTPFault:
    built = fault_pb2.HTTPFault()
    if fault.delayed:
        built.delay.CopyFrom(
            common_fault_pb2.FaultDelay(fixed_delay=duration(fault.delay), percentage=fractional(fault.delayed))
        )
    if fault.aborted:
        built.abort.percentage.CopyFrom(fractional(fault.aborted))
        if fault.grpc_status is not None:
            built.abort.grpc_status = fault.grpc_status
        else:
            built.abort.http_status = fault.http_status or 0
    return built


def redirect_action(redirect: Redirect) -> route_components_pb2.RedirectAction:
    """Return an answer that sends the caller elsewhere."""
    built = route_components_pb2.RedirectAction(
        host_redirect=redirect.authority,
        response_code=route_components_pb2.RedirectAction.RedirectResponseCode.Value(_CODES[redirect.status]),
    )
    if redirect.port:
        built.port_redirect = redirect.port
    if redirect.path:
        built.path_redirect = redirect.path
    if redirect.scheme:
        built.scheme_redirect = redirect.scheme
    return built


def set_rewrite(action: route_components_pb2.RouteAction, route: Route) -> None:
    """Change path and host of the requests of a route."""
    if route.changes.authority:
        action.host_rewrite_literal = route.changes.authority
    rewrite = route.rewrite
    if rewrite is None:
        return
    if rewrite.pattern:
        action.regex_rewrite.pattern.regex = rewrite.pattern
        action.regex_rewrite.substitution = rewrite.replacement
    elif _doubles_slash(route.match, rewrite.path):
        # /api → / would make /api/users //users: the slash after the prefix goes with it.
        flags = "(?i)" if route.match.ignore_case else ""
        action.regex_rewrite.pattern.regex = f"{flags}^{re.escape(route.match.uri.value)}/?"
        action.regex_rewrite.substitution = rewrite.path.replace("\\", "\\\\")
    else:
        action.prefix_rewrite = rewrite.path


def _doubles_slash(match: Match, path: str) -> bool:
    return match.uri.kind == "prefix" and not match.uri.value.endswith("/") and path.endswith("/")


def set_headers(
    built: route_components_pb2.Route | route_components_pb2.WeightedCluster.ClusterWeight, changes: HeaderChanges
) -> None:
    """Change headers of requests and responses on a route, or on the way to one of its destinations."""
    for side, operations in (("request", changes.request), ("response", changes.response)):
        added = getattr(built, f"{side}_headers_to_add")
        added.extend(_value(n, v, _Action.OVERWRITE_IF_EXISTS_OR_ADD) for n, v in operations.set)
        added.extend(_value(n, v, _Action.APPEND_IF_EXISTS_OR_ADD) for n, v in operations.add)
        getattr(built, f"{side}_headers_to_remove").extend(operations.remove)


def _value(name: str, value: str, action: int) -> base_pb2.HeaderValueOption:
    header = base_pb2.HeaderValue(key=name, value=envoy_format(value))
    return base_pb2.HeaderValueOption(header=header, append_action=action, keep_empty_value=True)
