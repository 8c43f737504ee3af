"""Which requests and connections a VirtualService's rule is for."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from mesh.api.istio import IstioResource
from mesh.api.wire import HeaderName  # noqa: TC001 - pydantic reads them at run time

__all__ = ["HttpMatch", "StringMatch", "TcpMatch", "TlsMatch"]


class StringMatch(IstioResource):
    """How a text is compared; without any of the three, it only has to be there (headers, query parameters)."""

    exact: str | None = None
    prefix: str | None = None
    regex: Annotated[str | None, Field(description="RE2, on the whole text.")] = None

    @model_validator(mode="after")
    def _one_at_most(self) -> StringMatch:
        if sum(v is not None for v in (self.exact, self.prefix, self.regex)) > 1:
            raise ValueError("exact, prefix and regex exclude each other: keep one")
        return self


def _not_empty(match: StringMatch) -> StringMatch:
    if not (match.exact or match.prefix or match.regex):
        raise ValueError("says nothing to compare with: write exact, prefix or regex")
    return match


Compared = Annotated[StringMatch, AfterValidator(_not_empty)]
"""A comparison with something: these parts are in every request, so "is there" says nothing."""


class _Source(IstioResource):
    """What tells callers apart, and where a rule applies."""

    source_labels: Annotated[
        dict[str, str], Field(description="Labels that the caller's pod has. Only for the gateway mesh.")
    ] = Field(default_factory=dict)
    source_namespace: Annotated[str, Field(description="Namespace of the caller. Only for the gateway mesh.")] = ""
    gateways: Annotated[
        tuple[str, ...], Field(description="Where this match applies; empty means wherever the rule does.")
    ] = ()
    port: Annotated[int | None, Field(ge=1, le=65535, description="The port of the host that is called.")] = None


class HttpMatch(_Source):
    """All parts must hold."""

    name: Annotated[str, Field(description="For people; it goes behind the rule's name.")] = ""
    uri: Compared | None = None
    ignore_uri_case: Annotated[bool, Field(description="For an exact uri or a prefix.")] = False
    scheme: Compared | None = None
    method: Compared | None = None
    authority: Compared | None = None
    headers: Annotated[
        dict[HeaderName, StringMatch], Field(description="By name; an empty value means that the header is there.")
    ] = Field(default_factory=dict)
    without_headers: Annotated[
        dict[HeaderName, StringMatch], Field(description="Headers that are not so, or are not there.")
    ] = Field(default_factory=dict)
    query_params: dict[Annotated[str, Field(min_length=1, max_length=1024)], StringMatch] = Field(default_factory=dict)


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is no network: write one such as 10.0.0.0/8, or an address") from None
    return value


Subnet = Annotated[str, AfterValidator(_network), Field(description="An address, or a network such as 10.0.0.0/8.")]


class TcpMatch(_Source):
    """What a connection must be."""

    destination_subnets: tuple[Subnet, ...] = ()


class TlsMatch(TcpMatch):
    """What a TLS connection that the mesh does not open must be."""

    sni_hosts: Annotated[
        tuple[Annotated[str, Field(pattern=r"^(\*|(\*\.)?[a-zA-Z0-9]([-a-zA-Z0-9._]*[a-zA-Z0-9])?)$")], ...],
        Field(min_length=1, description="Server names; *.example.com covers all below it."),
    ]
