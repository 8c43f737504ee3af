"""HTTPRoute (the Gateway API's): for sidecars where its parent is a Service, for ingress proxies where it is a Gateway.

``mesh.api.istio.unimplemented`` names every other field that is set.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from mesh.api.istio import IstioResource
from mesh.api.wire import HeaderName, HeaderValue, Port, Status, Time  # noqa: TC001 - pydantic reads them at run time

__all__ = [
    "GATEWAY_API_GROUP",
    "GATEWAY_API_VERSIONS",
    "BackendRef",
    "HttpRouteSpec",
    "ParentRef",
    "RouteFilter",
    "RouteRule",
]

GATEWAY_API_GROUP: Final = "gateway.networking.k8s.io"
GATEWAY_API_VERSIONS: Final = ("v1", "v1beta1")
"""In the order of preference."""
_CORE: Final = {"", "core"}


class ParentRef(IstioResource):
    """What a route is for."""

    group: str = GATEWAY_API_GROUP
    kind: str = "Gateway"
    namespace: str = ""
    name: Annotated[str, Field(min_length=1)]
    section_name: Annotated[str, Field(description="A Service's port or a Gateway's listener, by name.")] = ""
    port: Port | None = None

    @property
    def is_gateway(self) -> bool:
        """Whether it is a Gateway of the Gateway API."""
        return self.group == GATEWAY_API_GROUP and self.kind == "Gateway"

    @property
    def is_service(self) -> bool:
        """Whether it is a Service: then the route is for sidecars."""
        return self.group in _CORE and self.kind == "Service"


class PathMatch(IstioResource):
    """How a path is compared; a prefix goes by whole segments."""

    type: Literal["Exact", "PathPrefix", "RegularExpression"] = "PathPrefix"
    value: Annotated[str, Field(pattern=r"^/", max_length=4096)] = "/"


class ValueMatch(IstioResource):
    """How a header or a query parameter is compared."""

    type: Literal["Exact", "RegularExpression"] = "Exact"
    name: HeaderName
    value: Annotated[str, Field(min_length=1, max_length=4096)]


class RouteMatch(IstioResource):
    """All parts must hold."""

    path: PathMatch = PathMatch()
    headers: tuple[ValueMatch, ...] = ()
    query_params: tuple[ValueMatch, ...] = ()
    method: str = ""


class HeaderSetting(IstioResource):
    """A header with its value."""

    name: HeaderName
    value: HeaderValue


class HeaderModifier(IstioResource):
    """Changes of headers."""

    set: tuple[HeaderSetting, ...] = ()
    add: tuple[HeaderSetting, ...] = ()
    remove: tuple[HeaderName, ...] = ()


class PathModifier(IstioResource):
    """What a path becomes."""

    type: Literal["ReplaceFullPath", "ReplacePrefixMatch"]
    replace_full_path: str = ""
    replace_prefix_match: str = ""


class RequestRedirect(IstioResource):
    """An answer that sends the caller elsewhere."""

    scheme: Literal["", "http", "https"] = ""
    hostname: str = ""
    path: PathModifier | None = None
    port: Port | None = None
    status_code: Status = 302


class UrlRewrite(IstioResource):
    """What host and path become on the way."""

    hostname: str = ""
    path: PathModifier | None = None


class BackendObject(IstioResource):
    """A Service."""

    group: str = ""
    kind: str = "Service"
    namespace: str = ""
    name: Annotated[str, Field(min_length=1)]
    port: Port | None = None


class Fraction(IstioResource):
    """A share."""

    numerator: Annotated[int, Field(ge=0)]
    denominator: Annotated[int, Field(ge=1)] = 100


class RequestMirror(IstioResource):
    """A Service that gets copies."""

    backend_ref: BackendObject
    percent: Annotated[int | None, Field(ge=0, le=100)] = None
    fraction: Fraction | None = None


class RouteFilter(IstioResource):
    """One change; the field of its type is set."""

    type: str
    request_header_modifier: HeaderModifier | None = None
    response_header_modifier: HeaderModifier | None = None
    request_redirect: RequestRedirect | None = None
    url_rewrite: UrlRewrite | None = None
    request_mirror: RequestMirror | None = None


class BackendRef(BackendObject):
    """A Service with its share."""

    weight: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    filters: tuple[RouteFilter, ...] = ()


class RouteTimeouts(IstioResource):
    """Time limits; 0 means none."""

    request: Time | None = None
    backend_request: Time | None = None


class RouteRule(IstioResource):
    """A rule."""

    name: str = ""
    matches: tuple[RouteMatch, ...] = (RouteMatch(),)
    filters: tuple[RouteFilter, ...] = ()
    backend_refs: tuple[BackendRef, ...] = ()
    timeouts: RouteTimeouts | None = None


class HttpRouteSpec(IstioResource):
    """Desired routing."""

    parent_refs: tuple[ParentRef, ...] = ()
    hostnames: tuple[str, ...] = ()
    rules: tuple[RouteRule, ...] = (RouteRule(),)
