"""``trafficPolicy.loadBalancer`` of DestinationRule: how an endpoint is chosen."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mesh.api.istio import IstioResource
from mesh.api.wire import HeaderName, HeaderValue, PositiveTime, Time  # noqa: TC001 - pydantic reads them at run time

__all__ = ["ConsistentHash", "HttpCookie", "LoadBalancer", "Maglev", "RingHash", "Warmup"]

LARGEST_RING = 8 * 1024 * 1024
"""Envoy's own bound."""
LARGEST_TABLE = 5_000_011
_SMALLEST_SHARE = 0.01


class HttpCookie(IstioResource):
    """A cookie to hash by."""

    name: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[0-9A-Za-z!#$%&'*+.^_`|~-]+$")]
    path: Annotated[HeaderValue, Field(pattern=r"^[^;\x00-\x1f]*$")] = ""
    ttl: Annotated[
        Time | None,
        Field(description="A caller without the cookie gets one that lives so long; 0s: until the session ends."),
    ] = None


class RingHash(IstioResource):
    """A ring of virtual endpoints."""

    minimum_ring_size: Annotated[int | None, Field(ge=0, le=LARGEST_RING)] = None


class Maglev(IstioResource):
    """A table of endpoints."""

    table_size: Annotated[int | None, Field(ge=0, le=LARGEST_TABLE, description="A prime number.")] = None

    @model_validator(mode="after")
    def _prime(self) -> Maglev:
        size = self.table_size
        if size and (size < 2 or any(size % n == 0 for n in range(2, int(size**0.5) + 1))):  # noqa: PLR2004 - first prime
            raise ValueError(f"tableSize is {size}, which is no prime number: write one, such as 65537")
        return self


class ConsistentHash(IstioResource):
    """Requests with the same key go to the same endpoint, for as long as it is there."""

    http_header_name: Annotated[HeaderName, Field(min_length=1)] | None = None
    http_cookie: HttpCookie | None = None
    use_source_ip: bool | None = None
    http_query_parameter_name: Annotated[str | None, Field(min_length=1, max_length=1024)] = None
    ring_hash: RingHash | None = None
    maglev: Maglev | None = None
    minimum_ring_size: Annotated[
        int | None, Field(ge=0, le=LARGEST_RING, description="The old place of ringHash.minimumRingSize.")
    ] = None

    @model_validator(mode="after")
    def _one_key(self) -> ConsistentHash:
        keys = (self.http_header_name, self.http_cookie, self.use_source_ip or None, self.http_query_parameter_name)
        if sum(key is not None for key in keys) != 1:
            raise ValueError(
                "consistentHash needs one key: write one of httpHeaderName, httpCookie, useSourceIp: true and "
                "httpQueryParameterName"
            )
        if self.ring_hash is not None and self.maglev is not None:
            raise ValueError("consistentHash has ringHash and maglev: write one of them")
        return self


class Warmup(IstioResource):
    """A new endpoint gets its share of the requests little by little. For ROUND_ROBIN and LEAST_REQUEST."""

    duration: PositiveTime
    minimum_percent: Annotated[float | None, Field(ge=0, le=100, allow_inf_nan=False)] = None
    aggression: Annotated[
        float | None,
        Field(
            ge=_SMALLEST_SHARE, le=1000, allow_inf_nan=False, description="1 grows with the time; more starts faster."
        ),
    ] = None


class LoadBalancer(IstioResource):
    """How an endpoint is chosen: ``simple`` or ``consistentHash``."""

    simple: Literal["ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "UNSPECIFIED"] | None = None
    consistent_hash: ConsistentHash | None = None
    warmup: Warmup | None = None
    warmup_duration_secs: Annotated[PositiveTime | None, Field(description="The old way to write warmup.duration.")] = (
        None
    )

    @model_validator(mode="after")
    def _one_way(self) -> LoadBalancer:
        if self.simple not in {None, "UNSPECIFIED"} and self.consistent_hash is not None:
            raise ValueError("loadBalancer has simple and consistentHash: write one of them")
        return self
