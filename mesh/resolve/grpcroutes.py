"""GRPCRoutes as HTTPRoutes: the path of a gRPC request is its service and its method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mesh.api.grpcroute import GrpcRouteSpec
from mesh.api.httproute import HttpRouteSpec, PathMatch, RouteMatch, RouteRule
from mesh.resolve.rules import Rule, read_rule

if TYPE_CHECKING:
    from mesh.api.grpcroute import GrpcMethod

__all__ = ["read_grpc_route"]

_ANY = "[^/]+"


def read_grpc_route(manifest: dict[str, Any]) -> Rule[HttpRouteSpec]:
    """Return a parsed GRPCRoute, as what it is for HTTP."""
    rule = read_rule(manifest, GrpcRouteSpec)
    made = _as_http(rule.spec) if rule.spec else None
    return Rule(rule.ref, rule.created, rule.generation, made, rule.problems, rule.annotations)


def _as_http(spec: GrpcRouteSpec) -> HttpRouteSpec:
    rules = [
        RouteRule(
            name=rule.name,
            matches=tuple(RouteMatch(path=_path(m.method), headers=m.headers) for m in rule.matches) or (RouteMatch(),),
            filters=rule.filters,
            backend_refs=rule.backend_refs,
        )
        for rule in spec.rules
    ]
    return HttpRouteSpec(parent_refs=spec.parent_refs, hostnames=spec.hostnames, rules=tuple(rules))


def _path(wanted: GrpcMethod) -> PathMatch:
    service, method = wanted.service, wanted.method
    if not service and not method:
        return PathMatch()
    if wanted.type == "RegularExpression":
        return PathMatch(type="RegularExpression", value=f"/{_group(service)}/{_group(method)}")
    if not service:
        return PathMatch(type="RegularExpression", value=f"/{_ANY}/{_quoted(method)}")
    if not method:
        return PathMatch(type="PathPrefix", value=f"/{service}")
    return PathMatch(type="Exact", value=f"/{service}/{method}")


def _group(pattern: str) -> str:
    """Return a pattern that stands by itself, so that an ``|`` in it does not reach beyond."""
    return f"(?:{pattern})" if pattern else _ANY


def _quoted(name: str) -> str:
    return "".join(c if c.isalnum() or c == "_" else f"\\{c}" for c in name)
