"""How a destination is treated. Times in seconds; limits that are None do not limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "SAFE",
    "ClientTls",
    "HashKey",
    "Keepalive",
    "LoadBalancer",
    "OutlierDetection",
    "Policy",
    "Warmup",
]

LoadBalancer = Literal["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "RING_HASH", "MAGLEV"]


@dataclass(frozen=True, slots=True)
class OutlierDetection:
    """When an endpoint is taken out of load balancing; docs in mesh.api.trafficsplit."""

    consecutive_5xx: int = 5
    consecutive_gateway_errors: int = 0
    interval: float = 30.0
    base_ejection_time: float = 30.0
    max_ejection_percent: int = 50
    local_origin_failures: int | None = None
    """Failures to connect in a row, counted apart from answers; None counts them as 5xx, 0 does not count them."""


SAFE: Final = OutlierDetection()
"""The mesh's own."""


@dataclass(frozen=True, slots=True)
class HashKey:
    """What of a request says which endpoint it goes to.

    Attributes:
        kind: Where the key is.
        name: Name of the header, cookie or query parameter.
        path: Path of a cookie that the proxy sets.
        ttl: How long such a cookie lives; 0 until the session ends, None sets none.
    """

    kind: Literal["header", "cookie", "source_ip", "query"]
    name: str = ""
    path: str = ""
    ttl: float | None = None


@dataclass(frozen=True, slots=True)
class Warmup:
    """How a new endpoint gets its share little by little."""

    duration: float
    minimum_percent: float = 10.0
    aggression: float = 1.0


@dataclass(frozen=True, slots=True)
class Keepalive:
    """TCP probes on a quiet connection; None is as the operating system has it."""

    probes: int | None = None
    time: float | None = None
    interval: float | None = None


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How connections are secured, where a DestinationRule says so.

    Attributes:
        mode: ``DISABLE``: plaintext; ``ISTIO_MUTUAL``: the mesh's certificates; ``SIMPLE`` and ``MUTUAL``: these files.
        certificate: File of the client's certificate.
        key: File of its key.
        authorities: File of the authorities that the server's certificate is checked with; empty for the system's.
        names: Names that the server's certificate may have; none: the one that was asked for.
        sni: The name that is asked for; empty: the one that the caller used.
        verify: Whether the server's certificate is checked at all.
    """

    mode: Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]
    certificate: str = ""
    key: str = ""
    authorities: str = ""
    names: tuple[str, ...] = ()
    sni: str = ""
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Policy:
    """How a destination is treated.

    Attributes:
        tls: What a DestinationRule says of TLS; None leaves it to the mesh.
        http2: HTTP/2 whatever the caller spoke; otherwise what the caller spoke.
        ring_size: Smallest ring of RING_HASH, table of MAGLEV; None for Envoy's default.
        tcp_idle_timeout: Of connections that are passed on as they are; 0 never closes.
    """

    load_balancer: LoadBalancer = "LEAST_REQUEST"
    outlier_detection: OutlierDetection = SAFE
    connect_timeout: float = 10.0
    max_connections: int | None = None
    max_pending_requests: int | None = None
    max_requests: int | None = None
    max_retries: int | None = None
    max_requests_per_connection: int | None = None
    idle_timeout: float | None = None
    min_health_percent: int = 0
    keepalive: Keepalive | None = None
    max_connection_duration: float | None = None
    tcp_idle_timeout: float | None = None
    max_concurrent_streams: int | None = None
    http2: bool = False
    hash_key: HashKey | None = None
    ring_size: int | None = None
    warmup: Warmup | None = None
    tls: ClientTls | None = None
