"""DestinationRule (Istio's): subsets of a host, and how its clusters are treated.

``mesh.api.istio.unimplemented`` names everything that is set and not here: of a traffic policy ``tunnel``,
``proxyProtocol`` and ``loadBalancer.localityLbSetting``, of ``tls`` what concerns Secrets and revocation lists.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from mesh.api.connectionpool import ConnectionPool  # noqa: TC001 - pydantic reads it at run time
from mesh.api.istio import IstioResource
from mesh.api.loadbalancer import LoadBalancer  # noqa: TC001 - as above
from mesh.api.wire import PortSelector, PositiveTime  # noqa: TC001 - as above

__all__ = [
    "FULL_EJECTION_ANNOTATION",
    "ClientTls",
    "DestinationRuleSpec",
    "MatchLabels",
    "OutlierDetection",
    "PortPolicy",
    "Sections",
    "Subset",
    "TrafficPolicy",
]

FULL_EJECTION_ANNOTATION: Final = "mesh.coalmine.dev/allow-full-ejection"
"""On a DestinationRule: ``"true"`` lets its maxEjectionPercent be more than 50."""

_PATH = r"^/[^\x00]*$"
_COUNT = Annotated[int | None, Field(ge=0, le=2**32 - 1)]


class OutlierDetection(IstioResource):
    """When an endpoint is taken out; fields left out keep the mesh's safe defaults."""

    consecutive_5xx_errors: Annotated[int | None, Field(ge=0, le=2**32 - 1, alias="consecutive5xxErrors")] = None
    consecutive_gateway_errors: _COUNT = None
    split_external_local_origin_errors: bool | None = None
    consecutive_local_origin_failures: _COUNT = None
    interval: PositiveTime | None = None
    base_ejection_time: PositiveTime | None = None
    max_ejection_percent: Annotated[int | None, Field(ge=0, le=100)] = None
    min_health_percent: Annotated[int | None, Field(ge=0, le=100)] = None


class ClientTls(IstioResource):
    """How connections to the destination are secured. Files are the proxy's own, in the pod of the caller."""

    mode: Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"] = "DISABLE"
    client_certificate: Annotated[str | None, Field(pattern=_PATH)] = None
    private_key: Annotated[str | None, Field(pattern=_PATH)] = None
    ca_certificates: Annotated[str | None, Field(pattern=_PATH)] = None
    subject_alt_names: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    sni: Annotated[str | None, Field(max_length=255)] = None
    insecure_skip_verify: bool | None = None

    @model_validator(mode="after")
    def _complete(self) -> ClientTls:
        unknown = self.model_extra or {}
        pair = (self.client_certificate, self.private_key)
        if self.mode == "MUTUAL" and not all(pair) and "credentialName" not in unknown:
            raise ValueError("tls.mode is MUTUAL: write clientCertificate and privateKey")
        return self


class Sections(IstioResource):
    """The parts of a traffic policy; one that is more special takes the place of a part as a whole."""

    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTls | None = None


class PortPolicy(Sections):
    """How one port is treated; parts that are left out are the mesh's defaults, not those of the whole host."""

    port: PortSelector


class TrafficPolicy(Sections):
    """How a destination is treated."""

    port_level_settings: tuple[PortPolicy, ...] = ()


class Subset(IstioResource):
    """Pods of the host with these labels as well."""

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[^|\s]+$")]
    labels: dict[str, str] = Field(default_factory=dict)
    traffic_policy: TrafficPolicy | None = None


class MatchLabels(IstioResource):
    """Pods with all these labels."""

    match_labels: dict[str, str] = Field(default_factory=dict)


class DestinationRuleSpec(IstioResource):
    """Desired treatment of a host."""

    host: Annotated[str, Field(min_length=1, description="A Service, a ServiceEntry's host, or a wildcard.")]
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: Annotated[
        tuple[str, ...],
        Field(description="Namespaces of the callers that it is for: names, . for its own, * for all (the default)."),
    ] = ()
    workload_selector: Annotated[
        MatchLabels | None, Field(description="Callers of its own namespace that it is for; all where it is left out.")
    ] = None

    def visible(self, own: str, caller: str) -> bool:
        """Say whether it is for callers in a namespace.

        Args:
            own: Its own namespace.
            caller: The callers' namespace.
        """
        return not self.export_to or bool({"*", caller} & {own if e == "." else e for e in self.export_to})
