"""Which connections of a pod its sidecar captures: Istio's annotations, read."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CAPTURE_PREFIX", "CaptureSettings", "read_capture", "unknown_capture"]

CAPTURE_PREFIX: Final = "traffic.sidecar.istio.io/"
"""What the annotations begin with."""
_ALL: Final = "*"
_PORTS: Final = 65535
_IPV4: Final = 4


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """What is redirected to the sidecar.

    Attributes:
        outbound_ranges: Addresses (CIDR), calls to which are captured; None captures all.
        outbound_ranges_excluded: Addresses, calls to which are not.
        outbound_ports: Ports that are captured whatever the address.
        outbound_ports_excluded: Ports, calls to which are not captured.
        inbound_ports: Ports of the pod, calls to which are captured; None captures all.
        inbound_ports_excluded: Ports of the pod, calls to which are not.
    """

    outbound_ranges: tuple[str, ...] | None = None
    outbound_ranges_excluded: tuple[str, ...] = ()
    outbound_ports: tuple[int, ...] = ()
    outbound_ports_excluded: tuple[int, ...] = ()
    inbound_ports: tuple[int, ...] | None = None
    inbound_ports_excluded: tuple[int, ...] = ()

    def takes(self, port: int) -> bool:
        """Say whether calls to a port of the pod are captured."""
        if self.inbound_ports is not None and port not in self.inbound_ports:
            return False
        return port not in self.inbound_ports_excluded


def read_capture(annotations: Mapping[str, str]) -> CaptureSettings:
    """Return what a pod's annotations ask for.

    Args:
        annotations: The pod's; what is not about capture is passed over.

    Raises:
        ValueError: One is not a list of ports or of addresses; the message names it.
    """
    return CaptureSettings(
        outbound_ranges=None
        if _is_all(annotations, "includeOutboundIPRanges")
        else _ranges(annotations, "includeOutboundIPRanges"),
        outbound_ranges_excluded=_ranges(annotations, "excludeOutboundIPRanges"),
        outbound_ports=_ports(annotations, "includeOutboundPorts"),
        outbound_ports_excluded=_ports(annotations, "excludeOutboundPorts"),
        inbound_ports=None
        if _is_all(annotations, "includeInboundPorts")
        else _ports(annotations, "includeInboundPorts"),
        inbound_ports_excluded=_ports(annotations, "excludeInboundPorts"),
    )


def unknown_capture(annotations: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of annotations about capture that have no effect."""
    names = (key.removeprefix(CAPTURE_PREFIX) for key in sorted(annotations) if key.startswith(CAPTURE_PREFIX))
    return tuple(CAPTURE_PREFIX + name for name in names if name not in _KNOWN)


_KNOWN: Final = frozenset(
    {
        "includeOutboundIPRanges",
        "excludeOutboundIPRanges",
        "includeOutboundPorts",
        "excludeOutboundPorts",
        "includeInboundPorts",
        "excludeInboundPorts",
    }
)


def _is_all(annotations: Mapping[str, str], name: str) -> bool:
    """An empty list captures nothing, as in Istio; a missing one everything."""
    return annotations.get(CAPTURE_PREFIX + name, _ALL).strip() == _ALL


def _parts(annotations: Mapping[str, str], name: str) -> list[str]:
    return [part for raw in annotations.get(CAPTURE_PREFIX + name, "").split(",") if (part := raw.strip())]


def _ranges(annotations: Mapping[str, str], name: str) -> tuple[str, ...]:
    found = []
    for part in _parts(annotations, name):
        try:
            network = ipaddress.ip_network(part, strict=False)
        except ValueError:
            raise ValueError(_wrong(name, part, "an address range such as 10.0.0.0/8")) from None
        if network.version == _IPV4:  # what is captured at all
            found.append(str(network))
    return tuple(found)


def _ports(annotations: Mapping[str, str], name: str) -> tuple[int, ...]:
    found = []
    for part in _parts(annotations, name):
        if not part.isdecimal() or not 0 < int(part) <= _PORTS:
            raise ValueError(_wrong(name, part, "a port number, or several with commas"))
        found.append(int(part))
    return tuple(found)


def _wrong(name: str, part: str, wanted: str) -> str:
    return f"metadata.annotations[{CAPTURE_PREFIX}{name}]: {part!r} is not {wanted}"
