"""Checks of what was seen: callers that STRICT refuses, and requests that come around a split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from mesh.api.plaintext import Bypass
from mesh.lint.findings import Finding, finding
from mesh.resolve.cutoff import refusals
from mesh.resolve.problems import ref_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mesh.lint.resources import Resources

__all__ = ["around_splits", "refused_callers"]

_DAY: Final = 86_400.0


def refused_callers(resources: Resources) -> Iterator[Finding]:
    """CM0404: who spoke plaintext to a port within a day that takes mutual TLS only."""
    if resources.plaintext is not None:
        for problem in refusals(resources.plaintext, resources.world, _DAY):
            yield finding("CM0404", problem.ref, "spec", problem.message.removeprefix("spec: "))


def around_splits(resources: Resources) -> Iterator[Finding]:
    """CM0405: what the control plane has measured, as it stands in the split's status."""
    for split in resources.of("TrafficSplit"):
        try:
            bypass = Bypass.model_validate((split.get("status") or {}).get("bypass") or {})
        except ValidationError:
            continue
        spec = split.get("spec") or {}
        who = ", ".join(source.source for source in bypass.sources)
        shares = ", ".join(f"{name} {share:g} %" for name, share in bypass.shares.items())
        text = (
            f"{bypass.percent:.0f} % of the requests to {spec.get('service')} come around the split, from {who}; the "
            f"backends really get {shares}: give these callers a sidecar, and let them call {spec.get('service')} by name"
        )
        yield finding("CM0405", ref_of(split), "spec.backends", text)
