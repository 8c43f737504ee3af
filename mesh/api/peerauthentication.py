"""PeerAuthentication (Istio's, ``security.istio.io``): what the pods of a mesh, namespace or selector take.

All fields are implemented. Precedence is Istio's: a port over its workload, a workload over its namespace, a namespace
over the mesh; ``UNSET`` means what the next wider one says, and ``PERMISSIVE`` where none says anything.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from mesh.api.istio import IstioResource
from mesh.api.security import WorkloadSelector  # noqa: TC001 - pydantic reads it at run time

__all__ = ["MutualTls", "PeerAuthenticationSpec"]

_LAST_PORT: Final = 65535


class MutualTls(IstioResource):
    """What is taken."""

    mode: Annotated[
        Literal["UNSET", "DISABLE", "PERMISSIVE", "STRICT"],
        Field(
            description="STRICT takes mutual TLS only, PERMISSIVE that and plaintext, DISABLE plaintext only; UNSET means "
            "what the next wider PeerAuthentication says."
        ),
    ] = "UNSET"


class PeerAuthenticationSpec(IstioResource):
    """Desired treatment of callers."""

    selector: Annotated[
        WorkloadSelector | None,
        Field(description="Pods; without it all of the namespace, or of the mesh where that is the root namespace."),
    ] = None
    mtls: Annotated[MutualTls | None, Field(description="For all ports.")] = None
    port_level_mtls: Annotated[
        dict[str, MutualTls],
        Field(description="By container port, over mtls. It needs a selector, as with Istio."),
    ] = Field(default_factory=dict)

    @field_validator("port_level_mtls")
    @classmethod
    def _ports(cls, value: dict[str, MutualTls]) -> dict[str, MutualTls]:
        for port in value:
            if not (port.isascii() and port.isdigit() and 1 <= int(port) <= _LAST_PORT):
                msg = f"{port!r} is no container port: write a number from 1 to {_LAST_PORT}"
                raise ValueError(msg)
        return value
