"""What the mesh itself says of resources as it reads them, as findings."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mesh.lint.findings import Finding, finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mesh.lint.resources import Resources
    from mesh.resolve.problems import Problem

__all__ = ["told_by_the_mesh"]

_REASONS: Final = {"Invalid": "CM0001", "NotImplemented": "CM0002", "NoEffect": "CM0004", "Limited": "CM0004"}
_ELSEWHERE: Final = {"NotFound"}
"""Said by a check of ours, which knows that files are not all there is."""
_OF_A_CLUSTER: Final = {"NoPods"}
"""Manifests in files have no pods."""
_SEVERAL: Final = {"VirtualService": "CM0104", "DestinationRule": "CM0105"}
_FIELD: Final = re.compile(r"(?P<field>(?:spec|metadata)[.\[][^\s:]*)(?::\s+|\s+(?=is |are ))(?P<rest>.*)", re.DOTALL)


def told_by_the_mesh(resources: Resources) -> Iterator[Finding]:
    """Yield what the control plane says in Events: the same words, with a code."""
    for problem in resources.world.problems:
        if problem.reason in _ELSEWHERE or (problem.reason in _OF_A_CLUSTER and not resources.complete):
            continue
        said = _FIELD.fullmatch(problem.message)
        field, message = (said["field"], said["rest"]) if said else ("", problem.message)
        yield finding(_code(problem), problem.ref, field, message)


def _code(problem: Problem) -> str:
    if problem.reason == "Shadowed" and problem.ref.kind in _SEVERAL:
        return _SEVERAL[problem.ref.kind]
    return _REASONS.get(problem.reason, "CM0003")
