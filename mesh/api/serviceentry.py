"""ServiceEntry (Istio's): hosts that are no Service of the cluster.

``mesh.api.istio.unimplemented`` names everything that is set and not here, ``workloadSelector`` first of all.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mesh.api.istio import IstioResource
from mesh.api.wire import Port  # noqa: TC001 - pydantic reads it at run time

__all__ = ["EntryPort", "ServiceEntrySpec", "WorkloadEntry"]

_HOST = r"^(\*|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?)$"
_NAME = r"^([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?|[0-9A-Fa-f:.]+)$"
_WEIGHT = 1_000_000

Host = Annotated[str, Field(pattern=_HOST, max_length=253)]
PortName = Annotated[str, Field(min_length=1, max_length=256)]


class EntryPort(IstioResource):
    """A port of the hosts."""

    number: Port
    name: PortName
    protocol: Annotated[str, Field(max_length=64, description="HTTP, HTTP2, GRPC, or TCP and others.")] = "TCP"
    target_port: Annotated[Port | None, Field(description="The port of the endpoints, where it is another.")] = None


class WorkloadEntry(IstioResource):
    """An endpoint."""

    address: Annotated[
        str, Field(pattern=_NAME, max_length=253, description="An IP address; with DNS, a name as well.")
    ]
    ports: Annotated[dict[str, Port], Field(description="Its port by the name of the ServiceEntry's port.")] = Field(
        default_factory=dict
    )
    labels: dict[str, str] = Field(default_factory=dict)
    weight: Annotated[int, Field(ge=0, le=_WEIGHT)] = 0


class ServiceEntrySpec(IstioResource):
    """Hosts, and how they are reached."""

    hosts: Annotated[tuple[Host, ...], Field(min_length=1, max_length=256)]
    addresses: Annotated[tuple[str, ...], Field(max_length=256, description="IP addresses that mean the hosts.")] = ()
    ports: Annotated[tuple[EntryPort, ...], Field(max_length=256)] = ()
    location: Literal["MESH_EXTERNAL", "MESH_INTERNAL"] = "MESH_EXTERNAL"
    resolution: Annotated[
        Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN"],
        Field(description="NONE looks each request's own host up."),
    ] = "NONE"
    endpoints: Annotated[tuple[WorkloadEntry, ...], Field(max_length=4096)] = ()
    export_to: Annotated[
        tuple[str, ...],
        Field(description="Namespaces of the callers that it is for: names, . for its own, * for all (the default)."),
    ] = ()
    subject_alt_names: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...],
        Field(description="Names that the server's certificate may have, where a DestinationRule originates TLS."),
    ] = ()

    @model_validator(mode="after")
    def _fits_together(self) -> ServiceEntrySpec:
        if "*" in self.hosts:
            raise ValueError('spec.hosts: "*" is every host: write a domain, such as *.example.com')
        self._check_endpoints()
        for kind, values in (("number", [p.number for p in self.ports]), ("name", [p.name for p in self.ports])):
            if len(set(values)) < len(values):
                raise ValueError(f"spec.ports: a {kind} is there twice: give each port its own")
        return self

    def _check_endpoints(self) -> None:
        wildcard = next((h for h in self.hosts if h.startswith("*")), "")
        if self.resolution == "NONE" and self.endpoints:
            raise ValueError("spec.endpoints: resolution NONE has none: remove them, or write resolution STATIC or DNS")
        if self.resolution == "STATIC":
            if not self.endpoints and "workloadSelector" not in (self.model_extra or {}):
                raise ValueError("spec.endpoints: resolution STATIC needs some: write their addresses")
            for index, entry in enumerate(self.endpoints):
                if not _is_ip(entry.address):
                    where = f"spec.endpoints[{index}].address"
                    raise ValueError(f"{where}: {entry.address} is no IP address: write one, or resolution DNS")
        if self.resolution.startswith("DNS") and wildcard and not self.endpoints:
            raise ValueError(f"spec.hosts: {wildcard} cannot be looked up: write endpoints, or resolution NONE")
        if self.resolution == "DNS_ROUND_ROBIN" and len(self.endpoints) > 1:
            raise ValueError("spec.endpoints: resolution DNS_ROUND_ROBIN has one at most: write resolution DNS")

    def visible(self, own: str, caller: str) -> bool:
        """Say whether it is for callers in a namespace.

        Args:
            own: Its own namespace.
            caller: The callers' namespace.
        """
        return not self.export_to or bool({"*", caller} & {own if e == "." else e for e in self.export_to})


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
