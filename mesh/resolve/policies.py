"""How a destination is treated: DestinationRule over TrafficSplit over the mesh's safe defaults.

As in Istio, a part of a subset's policy (``loadBalancer``, ``connectionPool``, ``outlierDetection``, ``tls``) takes the
place of the host's as a whole, and settings of a port take the place of all four. What a part leaves out is the mesh's
default, and for outlier detection what the TrafficSplit says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mesh.ir.policies import ClientTls, HashKey, Keepalive, OutlierDetection, Policy, Warmup

if TYPE_CHECKING:
    from pydantic import BaseModel

    from mesh.api import connectionpool, destinationrule, loadbalancer, trafficsplit

__all__ = ["SAFE_EJECTION", "Parts", "outlier_detection", "policy"]

SAFE_EJECTION: Final = 50
"""Percent of the endpoints that may be ejected, unless a DestinationRule's annotation says otherwise."""
_FAILURES: Final = 5
"""Envoy's own default."""


def outlier_detection(spec: trafficsplit.OutlierDetection) -> OutlierDetection:
    """Return a TrafficSplit's outlier detection."""
    return OutlierDetection(
        consecutive_5xx=spec.consecutive_5xx_errors,
        interval=spec.interval,
        base_ejection_time=spec.base_ejection_time,
        max_ejection_percent=spec.max_ejection_percent,
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a traffic policy that are in force for one destination."""

    load_balancer: loadbalancer.LoadBalancer | None = None
    connection_pool: connectionpool.ConnectionPool | None = None
    outlier_detection: destinationrule.OutlierDetection | None = None
    tls: destinationrule.ClientTls | None = None

    def under(self, layer: destinationrule.TrafficPolicy | None, port: int) -> Parts:
        """Return the parts with a more special policy laid over them."""
        if layer is None:
            return self
        special = next((p for p in layer.port_level_settings if p.port.number == port), None)
        if special is not None:
            return Parts(special.load_balancer, special.connection_pool, special.outlier_detection, special.tls)
        return Parts(
            layer.load_balancer or self.load_balancer,
            layer.connection_pool or self.connection_pool,
            layer.outlier_detection or self.outlier_detection,
            layer.tls or self.tls,
        )


def policy(
    default: OutlierDetection, port: int, *layers: destinationrule.TrafficPolicy | None, full_ejection: bool = False
) -> Policy:
    """Return the treatment of a destination.

    Args:
        default: Outlier detection where no layer speaks of it.
        port: The destination's port.
        layers: Traffic policies, the most general first.
        full_ejection: Whether more than ``SAFE_EJECTION`` percent may be ejected.
    """
    parts = Parts()
    for layer in layers:
        parts = parts.under(layer, port)
    changes = _balancing(parts.load_balancer)
    if pool := parts.connection_pool:
        changes |= _pool(pool)
    changes |= _detection(default, parts.outlier_detection, full_ejection=full_ejection)
    if parts.tls:
        changes["tls"] = _tls(parts.tls)
    return Policy(**changes)


def _balancing(wanted: loadbalancer.LoadBalancer | None) -> dict[str, Any]:
    if wanted is None:
        return {}
    if hashing := wanted.consistent_hash:
        size = hashing.ring_hash.minimum_ring_size if hashing.ring_hash else hashing.minimum_ring_size
        if hashing.maglev is not None:
            return {
                "load_balancer": "MAGLEV",
                "ring_size": hashing.maglev.table_size or None,
                "hash_key": _key(hashing),
            }
        return {"load_balancer": "RING_HASH", "ring_size": size or None, "hash_key": _key(hashing)}
    changes: dict[str, Any] = {}
    if wanted.simple in {"ROUND_ROBIN", "RANDOM"}:
        changes["load_balancer"] = wanted.simple
    if wanted.simple != "RANDOM":
        changes["warmup"] = _warmup(wanted)
    return changes


def _key(hashing: loadbalancer.ConsistentHash) -> HashKey:
    if hashing.http_header_name:
        return HashKey("header", hashing.http_header_name.lower())
    if cookie := hashing.http_cookie:
        return HashKey("cookie", cookie.name, cookie.path, cookie.ttl)
    if hashing.http_query_parameter_name:
        return HashKey("query", hashing.http_query_parameter_name)
    return HashKey("source_ip")


def _warmup(wanted: loadbalancer.LoadBalancer) -> Warmup | None:
    if warmup := wanted.warmup:
        return Warmup(warmup.duration, **_set(warmup, minimum_percent="minimum_percent", aggression="aggression"))
    return Warmup(wanted.warmup_duration_secs) if wanted.warmup_duration_secs else None


def _pool(pool: connectionpool.ConnectionPool) -> dict[str, Any]:
    changes = _set(pool.tcp, connect_timeout="connect_timeout", max_connection_duration="max_connection_duration")
    changes |= _set(pool.tcp, idle_timeout="idle_timeout", tcp_idle_timeout="idle_timeout")
    changes |= _limits(pool.tcp, max_connections="max_connections")
    if pool.tcp and (probes := pool.tcp.tcp_keepalive):
        changes["keepalive"] = Keepalive(probes.probes or None, probes.time or None, probes.interval or None)
    changes |= _set(pool.http, idle_timeout="idle_timeout")
    changes |= _limits(
        pool.http,
        max_pending_requests="http1_max_pending_requests",
        max_requests="http2_max_requests",
        max_requests_per_connection="max_requests_per_connection",
        max_retries="max_retries",
        max_concurrent_streams="max_concurrent_streams",
    )
    if pool.http:
        changes["http2"] = pool.http.h2_upgrade_policy == "UPGRADE" and not pool.http.use_client_protocol
    return changes


def _detection(
    default: OutlierDetection, wanted: destinationrule.OutlierDetection | None, *, full_ejection: bool
) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    found = replace(
        default,
        **_set(
            wanted,
            consecutive_5xx="consecutive_5xx_errors",
            consecutive_gateway_errors="consecutive_gateway_errors",
            interval="interval",
            base_ejection_time="base_ejection_time",
            max_ejection_percent="max_ejection_percent",
        ),
    )
    if wanted and wanted.split_external_local_origin_errors:
        failures = wanted.consecutive_local_origin_failures
        changes["local_origin_failures"] = _FAILURES if failures is None else failures
    if not full_ejection:
        changes["max_ejection_percent"] = min(found.max_ejection_percent, SAFE_EJECTION)
    health = wanted.min_health_percent if wanted else None
    return {"outlier_detection": replace(found, **changes), "min_health_percent": health or 0}


def _tls(wanted: destinationrule.ClientTls) -> ClientTls:
    return ClientTls(
        mode=wanted.mode,
        certificate=wanted.client_certificate or "",
        key=wanted.private_key or "",
        authorities=wanted.ca_certificates or "",
        names=wanted.subject_alt_names,
        sni=wanted.sni or "",
        verify=not wanted.insecure_skip_verify,
    )


def _set(model: BaseModel | None, **fields: str) -> dict[str, Any]:
    """Return those fields of the model that are set, under our names."""
    return {ours: v for ours, theirs in fields.items() if (v := getattr(model, theirs, None)) is not None}


def _limits(model: BaseModel | None, **fields: str) -> dict[str, Any]:
    """Return those limits of the model that limit, under our names."""
    return {ours: v for ours, v in _set(model, **fields).items() if v}
