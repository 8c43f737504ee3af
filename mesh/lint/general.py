"""What the mesh itself says of resources as it reads them, as findings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mesh.lint.findings import Finding, Severity, finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mesh.lint.resources import Resources
    from mesh.resolve.problems import Problem

__all__ = ["told_by_the_mesh"]

_REASONS: Final = {
    "Invalid": "CM0001",
    "NotImplemented": "CM0002",
    "NoEffect": "CM0004",
    "Limited": "CM0004",
    "NotJudged": "CM0004",
}
_ELSEWHERE: Final = {"NotFound"}
"""Said by a check of ours, which knows that files are not all there is."""
_OF_A_CLUSTER: Final = {"NoPods", "Pending"}
"""Manifests in files have no pods."""
_CODES: Final = {
    **dict.fromkeys(("NoCredential", "InvalidCertificateRef"), "CM0501"),
    "Unserved": "CM0503",
    **dict.fromkeys(
        ("NotAllowedByListeners", "NoMatchingListenerHostname", "UnsupportedValue", "InvalidKind"), "CM0504"
    ),
    **dict.fromkeys(("NoMatchingParent", "BackendNotFound"), "CM0504"),
    **dict.fromkeys(("HostnameConflict", "ProtocolConflict", "UnsupportedProtocol", "InvalidRouteKinds"), "CM0505"),
    **dict.fromkeys(("UnsupportedAddress", "AddressNotAssigned", "ListenersNotValid"), "CM0505"),
}
_OF_SERVICES: Final = {"NoMatchingParent", "BackendNotFound", "AddressNotAssigned"}
"""Said where a Service is missing, which may be in the cluster."""
_SEVERAL: Final = {"VirtualService": "CM0104", "DestinationRule": "CM0105"}
_FIELD: Final = re.compile(r"(?P<field>(?:spec|metadata)[.\[][^\s:]*)(?::\s+|\s+(?=is |are ))(?P<rest>.*)", re.DOTALL)


def told_by_the_mesh(resources: Resources) -> Iterator[Finding]:
    """Yield what the control plane says in Events: the same words, with a code."""
    for problem in resources.world.problems:
        if problem.reason in _ELSEWHERE or (problem.reason in _OF_A_CLUSTER and not resources.complete):
            continue
        said = _FIELD.fullmatch(problem.message)
        field, message = (said["field"], said["rest"]) if said else ("", problem.message)
        severity = None
        if problem.reason in _OF_SERVICES and not resources.knows("Service", namespace=problem.ref.namespace):
            message, severity = f"{message} (none is in these files)", Severity.INFO
        yield finding(_code(problem), problem.ref, field, message, severity)


def _code(problem: Problem) -> str:
    ref = problem.ref
    if problem.reason == "Shadowed" and ref.kind in _SEVERAL:
        return _SEVERAL[ref.kind]
    if ref.kind == "Gateway" and problem.reason == "Shadowed":
        return "CM0502"
    if problem.reason == "RefNotPermitted":
        return "CM0501" if ref.kind == "Gateway" else "CM0504"
    return _REASONS.get(problem.reason) or _CODES.get(problem.reason, "CM0003")
