"""PeerAuthentication (Istio's, ``security.istio.io``): what the pods of a mesh, namespace or selector take.

All fields are implemented. Precedence is Istio's: a port over its workload, a workload over its namespace, a namespace
over the mesh; ``UNSET`` means what the next wider one says, and ``PERMISSIVE`` where none says anything.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints

from mesh.api.istio import IstioResource

__all__ = [
    "SECURITY_GROUP",
    "SECURITY_VERSIONS",
    "MutualTls",
    "PeerAuthenticationSpec",
    "WorkloadSelector",
]

SECURITY_GROUP: Final = "security.istio.io"
SECURITY_VERSIONS: Final = ("v1", "v1beta1")
"""In the order of preference."""
_LAST_PORT: Final = 65535


def _port(text: str) -> str:
    if not 1 <= int(text) <= _LAST_PORT:
        msg = f"{text!r} is not a port: write a number from 1 to {_LAST_PORT}"
        raise ValueError(msg)
    return text


Port = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,5}$"), AfterValidator(_port)]


class WorkloadSelector(IstioResource):
    """Which pods of the resource's namespace it is about."""

    match_labels: Annotated[dict[str, str], Field(description="All of these labels; without any, all pods.")] = Field(
        default_factory=dict
    )


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
        dict[Port, MutualTls],
        Field(description="By container port, over mtls. It needs a selector, as with Istio."),
    ] = Field(default_factory=dict)
