"""GRPCRoute (the Gateway API's): requests by gRPC service and method.

``mesh.api.istio.unimplemented`` names every other field that is set.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mesh.api.httproute import BackendRef, ParentRef, RouteFilter, ValueMatch  # noqa: TC001 - pydantic reads them
from mesh.api.istio import IstioResource

__all__ = ["GrpcMatch", "GrpcMethod", "GrpcRouteSpec", "GrpcRule"]

_Name = Annotated[str, Field(max_length=1024)]


class GrpcMethod(IstioResource):
    """How service and method are compared; an empty one is any."""

    type: Literal["Exact", "RegularExpression"] = "Exact"
    service: _Name = ""
    method: _Name = ""


class GrpcMatch(IstioResource):
    """All parts must hold."""

    method: GrpcMethod = GrpcMethod()
    headers: tuple[ValueMatch, ...] = ()


class GrpcRule(IstioResource):
    """A rule."""

    name: str = ""
    matches: tuple[GrpcMatch, ...] = ()
    filters: tuple[RouteFilter, ...] = ()
    backend_refs: tuple[BackendRef, ...] = ()


class GrpcRouteSpec(IstioResource):
    """Desired routing."""

    parent_refs: tuple[ParentRef, ...] = ()
    hostnames: tuple[str, ...] = ()
    rules: tuple[GrpcRule, ...] = (GrpcRule(),)
