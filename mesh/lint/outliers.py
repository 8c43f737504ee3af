"""Checks of outlier detection: what could eject everything, or nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mesh.api.destinationrule import FULL_EJECTION_ANNOTATION
from mesh.lint.findings import Finding, finding
from mesh.lint.routing import host_name
from mesh.lint.treatment import policies
from mesh.resolve.ejection import capacity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mesh.api.destinationrule import DestinationRuleSpec
    from mesh.ir.services import ServiceKey
    from mesh.lint.resources import Resources
    from mesh.resolve.rules import Rule

__all__ = ["unsafe_outlier_detection"]

_ERRORS: Final = 5
_SHARE: Final = 50
_ALL: Final = 100
_BOUNDS: Final = ("consecutive5xxErrors", "interval", "baseEjectionTime", "maxEjectionPercent")
_THRESHOLDS: Final = ("consecutive5xxErrors", "consecutiveGatewayErrors", "consecutiveErrors")
_SAFE: Final = "consecutive5xxErrors: 5, interval: 30s, baseEjectionTime: 30s, maxEjectionPercent: 50"


def unsafe_outlier_detection(resources: Resources) -> Iterator[Finding]:
    """CM0201 to CM0204: what a bad minute makes of it."""
    unlimited = {r.ref for r, _, _ in resources.destination_rules() if _may_eject_all(r)}
    for ref, key, path, labels, policy in policies(resources):
        wanted = policy.get("outlierDetection")
        if not isinstance(wanted, dict):
            continue
        where = f"{path}.outlierDetection"
        for name in _THRESHOLDS:
            limit = wanted.get(name)
            if isinstance(limit, int) and 0 < limit < _ERRORS:
                errors = "one error ejects" if limit == 1 else f"{limit} errors in a row eject"
                text = f"{errors} a pod, so a bad minute of a dependency takes out pods that are well: write {_ERRORS} or more"
                yield finding("CM0201", ref, f"{where}.{name}", text)
        share = wanted.get("maxEjectionPercent")
        # Otherwise the mesh holds it to half, and says so itself.
        if isinstance(share, int) and share > _SHARE and ref in unlimited:
            text = (
                f"up to {share} % of the pods may be ejected at once; the others get all of the requests, and with none "
                f"left callers get 503 no healthy upstream: write {_SHARE} or less"
            )
            yield finding("CM0202", ref, f"{where}.maxEjectionPercent", text)
        missing = [name for name in _BOUNDS if wanted.get(name) is None]
        if missing:
            text = f"{', '.join(missing)} not set, and Istio's defaults differ from the mesh's: write {_SAFE}"
            yield finding("CM0203", ref, where, text)
        if isinstance(share, int):
            pool = capacity(_pods(resources, key, labels), min(share, _ALL))
            if pool.live > 1 and not pool.most:
                text = f"{host_name(key)}: {pool.sentence}: write {pool.least_percent} or more"
                yield finding("CM0204", ref, f"{where}.maxEjectionPercent", text)


def _may_eject_all(rule: Rule[DestinationRuleSpec]) -> bool:
    return dict(rule.annotations).get(FULL_EJECTION_ANNOTATION) == "true"


def _pods(resources: Resources, key: ServiceKey, labels: Mapping[str, str]) -> int:
    """Return how many pods the host, or its subset with these labels, has."""
    ports = resources.world.endpoints.get(key, {}).values()
    return len({e.pod for found in ports for e in found if labels.items() <= {*e.labels}})
