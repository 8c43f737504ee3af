"""``trafficPolicy.connectionPool`` of DestinationRule: how many connections and requests a destination takes.

Limits of 0 are, as in Istio, the same as none.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mesh.api.istio import IstioResource
from mesh.api.wire import PositiveTime, Time  # noqa: TC001 - pydantic reads them at run time

__all__ = ["ConnectionPool", "HttpPool", "TcpKeepalive", "TcpPool"]

_INT32 = 2**31 - 1
_UINT32 = 2**32 - 1
Limit = Annotated[int | None, Field(ge=0, le=_INT32)]
"""A limit; None and 0 do not limit."""


class TcpKeepalive(IstioResource):
    """Probes on a quiet connection; what is left out is as the operating system has it."""

    probes: Annotated[int | None, Field(ge=0, le=_UINT32)] = None
    time: Time | None = None
    interval: Time | None = None


class TcpPool(IstioResource):
    """Limits of connections."""

    max_connections: Limit = None
    connect_timeout: PositiveTime | None = None
    tcp_keepalive: TcpKeepalive | None = None
    idle_timeout: Annotated[
        Time | None, Field(description="For HTTP where http.idleTimeout says nothing, and for TCP; 0s never closes.")
    ] = None
    max_connection_duration: PositiveTime | None = None


class HttpPool(IstioResource):
    """Limits of requests."""

    http1_max_pending_requests: Annotated[
        int | None, Field(ge=0, le=_INT32, alias="http1MaxPendingRequests", description="Of HTTP/2 as well.")
    ] = None
    http2_max_requests: Annotated[
        int | None,
        Field(ge=0, le=_INT32, alias="http2MaxRequests", description="Requests at a time, of HTTP/1 as well."),
    ] = None
    max_requests_per_connection: Annotated[int | None, Field(ge=0, le=2**29)] = None
    max_retries: Annotated[int | None, Field(ge=0, le=_INT32, description="Retries at a time, not of one request.")] = (
        None
    )
    idle_timeout: Annotated[Time | None, Field(description="0s never closes.")] = None
    h2_upgrade_policy: Annotated[
        Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"] | None,
        Field(alias="h2UpgradePolicy", description="UPGRADE speaks HTTP/2 whatever the caller spoke."),
    ] = None
    use_client_protocol: Annotated[bool | None, Field(description="true takes h2UpgradePolicy back.")] = None
    max_concurrent_streams: Annotated[
        int | None, Field(ge=0, le=_INT32, description="Requests at a time on one HTTP/2 connection.")
    ] = None


class ConnectionPool(IstioResource):
    """Limits."""

    tcp: TcpPool | None = None
    http: HttpPool | None = None
