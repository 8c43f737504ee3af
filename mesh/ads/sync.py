"""Whether a proxy holds what it should, type by type. Pure."""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mesh.api.debug import Refusal, TypeStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.ads.ledger import Ledger

__all__ = ["short_name", "status_of_type"]

_SHOWN: Final = 10
_DIGITS: Final = 8
_SHORT: Final = {
    "Cluster": "CDS",
    "ClusterLoadAssignment": "EDS",
    "Listener": "LDS",
    "TypedExtensionConfig": "ECDS",
    "RouteConfiguration": "RDS",
    "Secret": "SDS",
}


def short_name(type_url: str) -> str:
    """Return what people call a type: ``CDS`` for clusters and so on."""
    name = type_url.rpartition(".")[2]
    return _SHORT.get(name, name)


def status_of_type(ledger: Ledger, withheld: Mapping[str, str] = MappingProxyType({})) -> TypeStatus:
    """Return how things stand with one type.

    Only what the proxy has asked for counts. ``STALE`` is what it has refused, or has been sent and not answered yet.

    Args:
        ledger: The proxy's account of the type.
        withheld: What it should hold and is not offered, because it or others refused it, and what was said.
    """
    wanted = set(ledger.desired) if ledger.wildcard else ledger.names & set(ledger.desired)
    refused = {
        name: found.message
        for name, found in ledger.refused.items()
        if name in wanted and found.version == ledger.desired[name].version
    }
    refused |= withheld
    pending = sorted((ledger.pending & wanted) - set(refused))
    held = {name: version for name, version in ledger.held.items() if ledger.wildcard or name in ledger.names}
    if not ledger.started or not (wanted or held):
        return TypeStatus(status="NOT SENT")
    text = " ".join(f"{name} {version}" for name, version in sorted(held.items()))
    return TypeStatus(
        status="STALE" if refused or pending else "SYNCED",
        version=hashlib.blake2b(text.encode()).hexdigest()[:_DIGITS] if held else "",
        held=len(held),
        pending=tuple(pending[:_SHOWN]),
        refused=tuple(Refusal(name=name, message=text) for name, text in sorted(refused.items())[:_SHOWN]),
    )
