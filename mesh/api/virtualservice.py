"""VirtualService (Istio's): how requests to a host are matched and where they go.

Implemented: ``hosts``; ``http`` rules with ``match`` on ``uri``, ``headers`` and ``method``, ``route`` with weights,
subsets and ports, ``timeout`` and ``retries``. ``mesh.api.istio.unimplemented`` names everything else that is set.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from crds.base import Duration  # noqa: TC001 - pydantic reads it at run time
from mesh.api.istio import IstioResource

__all__ = [
    "HttpMatch",
    "HttpRetry",
    "HttpRoute",
    "HttpRouteDestination",
    "RouteDestination",
    "StringMatch",
    "VirtualServiceSpec",
]


class StringMatch(IstioResource):
    """How a text is compared; without any of the three, it only has to be there (headers)."""

    exact: str | None = None
    prefix: str | None = None
    regex: Annotated[str | None, Field(description="RE2, on the whole text.")] = None

    @model_validator(mode="after")
    def _one_at_most(self) -> StringMatch:
        if sum(v is not None for v in (self.exact, self.prefix, self.regex)) > 1:
            raise ValueError("exact, prefix and regex exclude each other: keep one")
        return self


class HttpMatch(IstioResource):
    """All parts must hold."""

    name: str = ""
    uri: StringMatch | None = None
    method: StringMatch | None = None
    headers: dict[str, StringMatch] = Field(default_factory=dict)


class Port(IstioResource):
    """A port of the destination."""

    number: Annotated[int, Field(ge=1, le=65535)]


class RouteDestination(IstioResource):
    """A Service, or a subset of it that a DestinationRule names."""

    host: Annotated[str, Field(min_length=1)]
    subset: str = ""
    port: Port | None = None


class HttpRouteDestination(IstioResource):
    """A destination with its share."""

    destination: RouteDestination
    weight: Annotated[int, Field(ge=0, description="Relative to the other destinations of the rule.")] = 0


class HttpRetry(IstioResource):
    """When a failed attempt is tried again."""

    attempts: Annotated[int, Field(ge=0)] = 2
    per_try_timeout: Duration | None = None
    retry_on: Annotated[
        str, Field(description="Envoy's retry conditions, with commas; empty means the mesh's default.")
    ] = ""


class HttpRoute(IstioResource):
    """A rule; the first one with a match is used."""

    name: str = ""
    match: tuple[HttpMatch, ...] = ()
    route: tuple[HttpRouteDestination, ...] = ()
    timeout: Duration | None = None
    retries: HttpRetry | None = None


class VirtualServiceSpec(IstioResource):
    """Desired routing of some hosts."""

    hosts: Annotated[tuple[str, ...], Field(min_length=1)]
    http: tuple[HttpRoute, ...] = ()
    gateways: tuple[str, ...] = ("mesh",)
