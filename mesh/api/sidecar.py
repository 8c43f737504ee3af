"""Sidecar (Istio's): which hosts the sidecars of a namespace, or of some of its pods, know.

``mesh.api.istio.unimplemented`` names everything that is set and not here: ``ingress``, ``inboundConnectionPool``, and
of ``egress`` the listener's own ``port``, ``bind`` and ``captureMode``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mesh.api.istio import IstioResource

__all__ = ["Egress", "OutboundTrafficPolicy", "SidecarSelector", "SidecarSpec"]

HostPattern = Annotated[
    str,
    Field(pattern=r"^(\*|\.|~|[a-z0-9]([-a-z0-9]*[a-z0-9])?)/(\*|(\*\.)?[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?)$"),
]
"""``namespace/name``: a namespace, ``.`` for its own, ``*`` for any or ``~`` for none; a full name, ``*.domain`` or ``*``."""


class SidecarSelector(IstioResource):
    """Pods with all these labels."""

    labels: dict[str, str] = Field(default_factory=dict)


class Egress(IstioResource):
    """Hosts that may be called."""

    hosts: Annotated[tuple[HostPattern, ...], Field(min_length=1)]


class OutboundTrafficPolicy(IstioResource):
    """What becomes of requests to hosts that are not known."""

    mode: Annotated[
        Literal["REGISTRY_ONLY", "ALLOW_ANY"] | None, Field(description="Refuse them, or pass them on.")
    ] = None


class SidecarSpec(IstioResource):
    """What sidecars know."""

    workload_selector: Annotated[
        SidecarSelector | None, Field(description="Pods that it is for; all of the namespace where it is left out.")
    ] = None
    egress: tuple[Egress, ...] = ()
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
