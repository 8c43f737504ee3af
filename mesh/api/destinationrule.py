"""DestinationRule (Istio's): subsets of a host, and how its clusters are treated.

Implemented: ``host``, ``subsets``, and of ``trafficPolicy`` the simple load balancers, the limits of
``connectionPool`` and ``outlierDetection``. ``mesh.api.istio.unimplemented`` names everything else that is set.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from crds.base import Duration  # noqa: TC001 - pydantic reads it at run time
from mesh.api.istio import IstioResource

__all__ = [
    "ConnectionPool",
    "DestinationRuleSpec",
    "HttpPool",
    "LoadBalancer",
    "OutlierDetection",
    "Subset",
    "TcpPool",
    "TrafficPolicy",
]


class LoadBalancer(IstioResource):
    """How an endpoint is chosen."""

    simple: Literal["ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN", "RANDOM", "UNSPECIFIED"] | None = None


class TcpPool(IstioResource):
    """Limits of connections."""

    max_connections: Annotated[int | None, Field(ge=1)] = None
    connect_timeout: Duration | None = None


class HttpPool(IstioResource):
    """Limits of requests."""

    http1_max_pending_requests: Annotated[int | None, Field(ge=1, alias="http1MaxPendingRequests")] = None
    http2_max_requests: Annotated[int | None, Field(ge=1, alias="http2MaxRequests")] = None
    max_requests_per_connection: Annotated[int | None, Field(ge=0)] = None
    max_retries: Annotated[int | None, Field(ge=0)] = None
    idle_timeout: Duration | None = None


class ConnectionPool(IstioResource):
    """Limits."""

    tcp: TcpPool | None = None
    http: HttpPool | None = None


class OutlierDetection(IstioResource):
    """When an endpoint is taken out; fields left out keep the mesh's safe defaults."""

    consecutive_5xx_errors: Annotated[int | None, Field(ge=0, alias="consecutive5xxErrors")] = None
    consecutive_gateway_errors: Annotated[int | None, Field(ge=0)] = None
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: Annotated[int | None, Field(ge=0, le=100)] = None
    min_health_percent: Annotated[int | None, Field(ge=0, le=100)] = None


class TrafficPolicy(IstioResource):
    """How a destination is treated."""

    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None


class Subset(IstioResource):
    """Pods of the host with these labels as well."""

    name: Annotated[str, Field(min_length=1)]
    labels: dict[str, str] = Field(default_factory=dict)
    traffic_policy: TrafficPolicy | None = None


class DestinationRuleSpec(IstioResource):
    """Desired treatment of a host."""

    host: Annotated[str, Field(min_length=1)]
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
