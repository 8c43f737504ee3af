"""How a destination is treated: DestinationRule over TrafficSplit over the mesh's safe defaults, field by field."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mesh.ir.traffic import OutlierDetection, Policy

if TYPE_CHECKING:
    from pydantic import BaseModel

    from mesh.api import destinationrule, trafficsplit

__all__ = ["outlier_detection", "policy"]


def outlier_detection(spec: trafficsplit.OutlierDetection) -> OutlierDetection:
    """Return a TrafficSplit's outlier detection."""
    return OutlierDetection(
        consecutive_5xx=spec.consecutive_5xx_errors,
        interval=spec.interval,
        base_ejection_time=spec.base_ejection_time,
        max_ejection_percent=spec.max_ejection_percent,
    )


def policy(default: OutlierDetection, *layers: destinationrule.TrafficPolicy | None) -> Policy:
    """Return the treatment of a destination.

    Args:
        default: Outlier detection where no layer speaks of it.
        layers: Traffic policies, the most general first; later ones win field by field.
    """
    result = Policy(outlier_detection=default)
    for layer in layers:
        if layer is not None:
            result = _apply(result, layer)
    return result


def _apply(base: Policy, layer: destinationrule.TrafficPolicy) -> Policy:
    changes: dict[str, Any] = {}
    if layer.load_balancer and layer.load_balancer.simple not in {None, "UNSPECIFIED"}:
        simple = layer.load_balancer.simple
        changes["load_balancer"] = "LEAST_REQUEST" if simple == "LEAST_CONN" else simple
    if pool := layer.connection_pool:
        changes |= _set(pool.tcp, max_connections="max_connections", connect_timeout="connect_timeout")
        changes |= _set(
            pool.http,
            max_pending_requests="http1_max_pending_requests",
            max_requests="http2_max_requests",
            max_requests_per_connection="max_requests_per_connection",
            max_retries="max_retries",
            idle_timeout="idle_timeout",
        )
    if found := layer.outlier_detection:
        changes |= _set(found, min_health_percent="min_health_percent")
        changes["outlier_detection"] = replace(
            base.outlier_detection,
            **_set(
                found,
                consecutive_5xx="consecutive_5xx_errors",
                consecutive_gateway_errors="consecutive_gateway_errors",
                interval="interval",
                base_ejection_time="base_ejection_time",
                max_ejection_percent="max_ejection_percent",
            ),
        )
    return replace(base, **changes)


def _set(model: BaseModel | None, **fields: str) -> dict[str, Any]:
    """Return those fields of the model that are set, under our names."""
    return {ours: v for ours, theirs in fields.items() if (v := getattr(model, theirs, None)) is not None}
