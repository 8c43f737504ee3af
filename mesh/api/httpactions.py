"""What a VirtualService's rule does with its requests beyond choosing where they go."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from mesh.api.httpmatch import StringMatch  # noqa: TC001 - pydantic reads it at run time
from mesh.api.istio import IstioResource
from mesh.api.wire import (  # noqa: TC001 - pydantic reads them at run time
    HeaderValue,
    MutableHeaderName,
    Percent,
    Port,
    PositiveTime,
    Status,
    Time,
)

__all__ = [
    "BODY_LIMIT",
    "GRPC_CODES",
    "CorsPolicy",
    "Fault",
    "FaultAbort",
    "FaultDelay",
    "HeaderOperations",
    "Headers",
    "HttpBody",
    "HttpDirectResponse",
    "HttpRedirect",
    "HttpRetry",
    "HttpRewrite",
    "RegexRewrite",
]

BODY_LIMIT: Final = 1 << 20
"""Bytes of a direct response's body; Istio advises against more as well."""
GRPC_CODES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""gRPC's status codes, by number."""

Host = Annotated[str, Field(pattern=r"^[^\x00-\x20\x7f]*$", max_length=1024)]
Path = Annotated[str, Field(pattern=r"^[^\x00-\x20\x7f]*$", max_length=16384)]
Uint = Annotated[int, Field(ge=0, le=2**32 - 1)]


class HttpRetry(IstioResource):
    """When a failed attempt is tried again."""

    attempts: Annotated[int, Field(ge=0, le=100)] = 2
    per_try_timeout: Time | None = None
    retry_on: Annotated[
        str,
        Field(description="Envoy's retry conditions and status codes, with commas; empty means the mesh's default."),
    ] = ""
    retry_ignore_previous_hosts: Annotated[
        bool | None, Field(description="Whether a retry goes to an endpoint that was not tried yet; true unless set.")
    ] = None
    backoff: Annotated[
        PositiveTime | None, Field(description="Time before the first retry; it grows up to ten times that.")
    ] = None


class RegexRewrite(IstioResource):
    """A rewrite of the path by a regular expression."""

    match: Annotated[str, Field(min_length=1, description="RE2, on the path without its query.")]
    rewrite: Annotated[Path, Field(description=r"May refer to groups as \1.")] = ""


class HttpRewrite(IstioResource):
    """What of the request is changed before it is sent on."""

    uri: Annotated[Path, Field(description="In place of the prefix that matched, or of the whole path.")] = ""
    authority: Host = ""
    uri_regex_rewrite: RegexRewrite | None = None

    @model_validator(mode="after")
    def _one_way(self) -> HttpRewrite:
        if self.uri and self.uri_regex_rewrite:
            raise ValueError("uri and uriRegexRewrite exclude each other: keep one")
        return self


class HttpRedirect(IstioResource):
    """An answer that sends the caller elsewhere."""

    uri: Annotated[Path, Field(description="In place of the whole path; empty keeps it.")] = ""
    authority: Host = ""
    port: Port | None = None
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    scheme: Annotated[str, Field(pattern=r"^(https?)?$")] = ""
    redirect_code: Annotated[int, Field(description="301, 302, 303, 307 or 308.")] = 301

    @field_validator("redirect_code")
    @classmethod
    def _known(cls, value: int) -> int:
        if value not in {0, 301, 302, 303, 307, 308}:
            raise ValueError("write 301, 302, 303, 307 or 308")
        return value or 301

    @model_validator(mode="after")
    def _one_port(self) -> HttpRedirect:
        if self.port and self.derive_port:
            raise ValueError("port and derivePort exclude each other: keep one")
        return self


class HttpBody(IstioResource):
    """The body of an answer."""

    string: str | None = None
    bytes: Annotated[str | None, Field(description="Base64.")] = None

    @model_validator(mode="after")
    def _whole(self) -> HttpBody:
        if self.string is not None and self.bytes is not None:
            raise ValueError("string and bytes exclude each other: keep one")
        try:
            size = len(self.content)
        except binascii.Error as error:
            raise ValueError(f"bytes is not base64 ({error}): encode it") from None
        if size > BODY_LIMIT:
            raise ValueError(f"the body has {size} bytes: write at most {BODY_LIMIT}")
        return self

    @property
    def content(self) -> Any:
        """The body's bytes."""
        if self.bytes is not None:
            return base64.b64decode(self.bytes, validate=True)
        return (self.string or "").encode()


class HttpDirectResponse(IstioResource):
    """An answer that the proxy gives itself."""

    status: Status
    body: HttpBody | None = None


class FaultDelay(IstioResource):
    """Requests that are made to wait before they are sent on."""

    fixed_delay: PositiveTime
    percentage: Annotated[Percent | None, Field(description="Without it no request is delayed.")] = None
    percent: Annotated[int | None, Field(ge=0, le=100, description="Older form of percentage.")] = None


class FaultAbort(IstioResource):
    """Requests that are answered with an error instead of being sent on."""

    http_status: Annotated[int | None, Field(ge=200, le=599)] = None
    grpc_status: Annotated[str | None, Field(description="A code's name, such as UNAVAILABLE, or its number.")] = None
    percentage: Annotated[Percent | None, Field(description="Without it no request is aborted.")] = None

    @field_validator("grpc_status")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value not in GRPC_CODES and value not in map(str, range(len(GRPC_CODES))):
            raise ValueError(f"{value!r} is not a gRPC status: write one such as UNAVAILABLE")
        return value

    @model_validator(mode="after")
    def _one_error(self) -> FaultAbort:
        if (self.http_status is None) == (self.grpc_status is None):
            raise ValueError("write one of httpStatus and grpcStatus")
        return self


class Fault(IstioResource):
    """Faults that are put in on purpose, at the caller's proxy."""

    delay: FaultDelay | None = None
    abort: FaultAbort | None = None


class CorsPolicy(IstioResource):
    """Which pages of other origins may call."""

    allow_origins: tuple[StringMatch, ...] = ()
    allow_origin: Annotated[tuple[str, ...], Field(description="Older form of allowOrigins; * means all.")] = ()
    allow_methods: tuple[HeaderValue, ...] = ()
    allow_headers: tuple[HeaderValue, ...] = ()
    expose_headers: tuple[HeaderValue, ...] = ()
    max_age: Time | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: Annotated[
        Literal["UNSPECIFIED", "FORWARD", "IGNORE"],
        Field(description="Whether a preflight from another origin goes on to the application; FORWARD unless set."),
    ] = "UNSPECIFIED"


class HeaderOperations(IstioResource):
    """Changes of headers, in the order remove, set, add."""

    set: dict[MutableHeaderName, HeaderValue] = Field(default_factory=dict)
    add: dict[MutableHeaderName, HeaderValue] = Field(default_factory=dict)
    remove: tuple[MutableHeaderName, ...] = ()


class Headers(IstioResource):
    """Changes of the request's and the response's headers."""

    request: HeaderOperations | None = None
    response: HeaderOperations | None = None
