"""VirtualService (Istio's): how requests to a host are matched and where they go.

Everything that Istio documents is here except what says so in ``docs/mesh-routing.md``;
``mesh.api.istio.unimplemented`` names every other field that is set.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from mesh.api.httpactions import (
    CorsPolicy,
    Fault,
    Headers,
    HttpDirectResponse,
    HttpRedirect,
    HttpRetry,
    HttpRewrite,
)
from mesh.api.httpmatch import (
    HttpMatch,
    StringMatch,
    TcpMatch,
    TlsMatch,
)
from mesh.api.istio import IstioResource
from mesh.api.wire import Percent, PortSelector, Time  # noqa: TC001 - pydantic reads them at run time

__all__ = [
    "MESH_GATEWAY",
    "Delegate",
    "HttpMatch",
    "HttpRetry",
    "HttpRoute",
    "HttpRouteDestination",
    "Mirror",
    "RouteDestination",
    "StringMatch",
    "TcpRoute",
    "TlsRoute",
    "VirtualServiceSpec",
    "WeightedDestination",
]

MESH_GATEWAY = "mesh"
"""The name that stands for all sidecars."""
Weight = Annotated[int, Field(ge=0, le=2**20, description="Relative to the other destinations of the rule.")]
HOST = r"^(\*|(\*\.)?[a-zA-Z0-9_]([-a-zA-Z0-9._]*[a-zA-Z0-9_.])?)$"


class RouteDestination(IstioResource):
    """A Service, or a subset of it that a DestinationRule names."""

    host: Annotated[str, Field(min_length=1)]
    subset: str = ""
    port: PortSelector | None = None


class WeightedDestination(IstioResource):
    """A destination with its share."""

    destination: RouteDestination
    weight: Weight = 0


class HttpRouteDestination(WeightedDestination):
    """A destination with its share, and what is changed on the way to it alone."""

    headers: Headers | None = None


class Mirror(IstioResource):
    """A destination that gets copies of requests; its answers are thrown away."""

    destination: RouteDestination
    percentage: Annotated[Percent | None, Field(description="Of the requests; without it all.")] = None


class Delegate(IstioResource):
    """Another VirtualService, without hosts, whose rules take this rule's place."""

    name: Annotated[str, Field(min_length=1)]
    namespace: Annotated[str, Field(description="Empty means the namespace of the VirtualService itself.")] = ""


class HttpRoute(IstioResource):
    """A rule; the first one with a match is used."""

    name: str = ""
    match: tuple[HttpMatch, ...] = ()
    route: tuple[HttpRouteDestination, ...] = ()
    redirect: HttpRedirect | None = None
    direct_response: HttpDirectResponse | None = None
    delegate: Delegate | None = None
    rewrite: HttpRewrite | None = None
    timeout: Time | None = None
    retries: HttpRetry | None = None
    fault: Fault | None = None
    mirror: RouteDestination | None = None
    mirror_percentage: Percent | None = None
    mirror_percent: Annotated[int | None, Field(ge=0, le=100, description="Older form of mirrorPercentage.")] = None
    mirrors: tuple[Mirror, ...] = ()
    cors_policy: CorsPolicy | None = None
    headers: Headers | None = None

    @model_validator(mode="after")
    def _one_answer(self) -> HttpRoute:
        chosen = [
            name
            for name, value in (
                ("route", self.route),
                ("redirect", self.redirect),
                ("directResponse", self.direct_response),
                ("delegate", self.delegate),
            )
            if value
        ]
        if len(chosen) > 1:
            raise ValueError(f"{' and '.join(chosen)} exclude each other: keep one")
        if self.mirror and self.mirrors:
            raise ValueError("mirror and mirrors exclude each other: keep mirrors")
        return self


class TcpRoute(IstioResource):
    """A rule for connections; the first one with a match is used."""

    match: tuple[TcpMatch, ...] = ()
    route: Annotated[tuple[WeightedDestination, ...], Field(min_length=1)]


class TlsRoute(IstioResource):
    """A rule for TLS connections that applications open themselves, by the server name that they ask for."""

    match: Annotated[tuple[TlsMatch, ...], Field(min_length=1)]
    route: Annotated[tuple[WeightedDestination, ...], Field(min_length=1)]


class VirtualServiceSpec(IstioResource):
    """Desired routing of some hosts."""

    hosts: Annotated[
        tuple[Annotated[str, Field(pattern=HOST, max_length=253)], ...],
        Field(description="Short or full names of Services, other names, or *.example.com; none in a delegate."),
    ] = ()
    gateways: Annotated[
        tuple[str, ...], Field(description="Where the rules apply; mesh, the default, means all sidecars.")
    ] = (MESH_GATEWAY,)
    http: tuple[HttpRoute, ...] = ()
    tls: tuple[TlsRoute, ...] = ()
    tcp: tuple[TcpRoute, ...] = ()
    export_to: Annotated[
        tuple[str, ...],
        Field(description="Namespaces of the callers that it is for: names, . for its own, * for all (the default)."),
    ] = ()

    def visible(self, own: str, caller: str) -> bool:
        """Say whether it is for callers in a namespace.

        Args:
            own: Its own namespace.
            caller: The callers' namespace.
        """
        return not self.export_to or bool({"*", caller} & {own if e == "." else e for e in self.export_to})
