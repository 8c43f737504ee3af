"""All checks, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mesh.lint import gateways, general, outliers, plaintext, pods, routing, services, treatment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mesh.lint.findings import Finding
    from mesh.lint.resources import Resources

__all__ = ["CHECKS", "analyze"]

CHECKS: Final[tuple[Callable[[Resources], Iterable[Finding]], ...]] = (
    general.told_by_the_mesh,
    gateways.conflicting_servers,
    routing.unknown_subsets,
    routing.unknown_hosts,
    routing.odd_weights,
    routing.several_for_one_host,
    routing.retries_beyond_the_timeout,
    routing.unreachable_rules,
    routing.unknown_gateways,
    routing.wrong_ports,
    treatment.unknown_hosts,
    treatment.several_for_one_host,
    treatment.upgrades_to_http2,
    treatment.overlapping_subsets,
    treatment.empty_subsets,
    outliers.unsafe_outlier_detection,
    services.several_workloads,
    services.overlapping_selectors,
    services.shared_backends,
    services.unclear_protocols,
    pods.without_sidecar,
    pods.on_the_hosts_network,
    plaintext.refused_callers,
    plaintext.around_splits,
)
"""Each answers one question."""


def analyze(resources: Resources) -> tuple[Finding, ...]:
    """Return everything that the checks find, the worst first."""
    found = {finding for check in CHECKS for finding in check(resources)}
    return tuple(sorted(found, key=lambda finding: finding.sort_key))
