"""Gateway, GatewayClass and ReferenceGrant of the Gateway API, as far as our ingress proxies carry them out.

``mesh.api.istio.unimplemented`` names every other field that is set.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from mesh.api.httproute import GATEWAY_API_GROUP
from mesh.api.istio import IstioResource
from mesh.api.wire import Port  # noqa: TC001 - pydantic reads it at run time

__all__ = [
    "CONTROLLER",
    "GATEWAY_NAME_LABEL",
    "GatewayClassSpec",
    "LabelSelector",
    "Listener",
    "ReferenceGrantSpec",
    "RouteKind",
    "SecretRef",
    "StandardGatewaySpec",
]

CONTROLLER: Final = "mesh.coalmine.dev/controller"
"""Our name among the implementations of the Gateway API."""
GATEWAY_NAME_LABEL: Final = "gateway.networking.k8s.io/gateway-name"
"""On pods: the Gateway of their namespace that they serve."""
_HOSTNAME: Final = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_Name = Annotated[str, Field(min_length=1, max_length=253)]


class Requirement(IstioResource):
    """One condition on labels."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()


class LabelSelector(IstioResource):
    """Conditions on labels, all of which must hold."""

    match_labels: dict[str, str] = Field(default_factory=dict)
    match_expressions: tuple[Requirement, ...] = ()


class RouteNamespaces(IstioResource):
    """Where routes may be; ``Same`` is the Gateway's namespace."""

    from_: Annotated[Literal["Same", "All", "Selector", "None"], Field(alias="from")] = "Same"
    selector: LabelSelector = LabelSelector()


class RouteKind(IstioResource):
    """A kind of route."""

    group: str = GATEWAY_API_GROUP
    kind: str


class AllowedRoutes(IstioResource):
    """Which routes may be attached."""

    namespaces: RouteNamespaces = RouteNamespaces()
    kinds: tuple[RouteKind, ...] = ()


class SecretRef(IstioResource):
    """A Secret with a certificate."""

    group: str = ""
    kind: str = "Secret"
    name: _Name
    namespace: str = ""


class ListenerTls(IstioResource):
    """How TLS is spoken with callers."""

    mode: Literal["Terminate", "Passthrough"] = "Terminate"
    certificate_refs: tuple[SecretRef, ...] = ()


class Listener(IstioResource):
    """A port with a host; an empty hostname takes every one."""

    name: _Name
    hostname: Annotated[str, Field(pattern=f"{_HOSTNAME}|^$", max_length=253)] = ""
    port: Port
    protocol: str
    tls: ListenerTls | None = None
    allowed_routes: AllowedRoutes = AllowedRoutes()


class GatewayAddress(IstioResource):
    """Where the Gateway is reached: the name of a Service whose pods serve it."""

    type: str = "IPAddress"
    value: str = ""


class StandardGatewaySpec(IstioResource):
    """Desired ports of an ingress proxy."""

    gateway_class_name: _Name
    listeners: Annotated[tuple[Listener, ...], Field(min_length=1, max_length=64)]
    addresses: tuple[GatewayAddress, ...] = ()


class GatewayClassSpec(IstioResource):
    """Who implements Gateways of a class."""

    controller_name: str
    description: str = ""


class GrantFrom(IstioResource):
    """Who may refer."""

    group: str
    kind: str
    namespace: str


class GrantTo(IstioResource):
    """To what; an empty name is any."""

    group: str
    kind: str
    name: str = ""


class ReferenceGrantSpec(IstioResource):
    """References into the grant's namespace that are allowed."""

    from_: Annotated[tuple[GrantFrom, ...], Field(alias="from")] = ()
    to: tuple[GrantTo, ...] = ()
