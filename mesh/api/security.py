"""What the resources of ``security.istio.io`` share: group, versions, and whom a resource is for."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from mesh.api.istio import IstioResource

__all__ = ["SECURITY_GROUP", "SECURITY_VERSIONS", "TargetReference", "WorkloadSelector"]

SECURITY_GROUP: Final = "security.istio.io"
SECURITY_VERSIONS: Final = ("v1", "v1beta1")
"""In the order of preference."""


class WorkloadSelector(IstioResource):
    """Pods with all these labels; none chooses every pod."""

    match_labels: dict[str, str] = Field(default_factory=dict)


class TargetReference(IstioResource):
    """An object of the same namespace whose pods the resource is for. Implemented for a Service."""

    group: str = ""
    kind: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]

    @property
    def is_service(self) -> bool:
        """Whether it names a Kubernetes Service."""
        return (self.group or "core", self.kind) == ("core", "Service")
