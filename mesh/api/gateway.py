"""Gateway (Istio's): which ports an ingress proxy opens, for which hosts, and with which certificates.

``mesh.api.istio.unimplemented`` names every other field that is set.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from mesh.api.istio import IstioResource
from mesh.api.wire import Port  # noqa: TC001 - pydantic reads it at run time

__all__ = ["GatewayPort", "GatewayServer", "GatewaySpec", "ServerTls", "split_host"]

HOST = r"^([a-z0-9.*]([-a-z0-9]*[a-z0-9])?/)?(\*|(\*\.)?[a-zA-Z0-9]([-a-zA-Z0-9._]*[a-zA-Z0-9])?)$"
Version = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]


class GatewayPort(IstioResource):
    """A port that callers use."""

    number: Port
    name: Annotated[str, Field(description="For people.")] = ""
    protocol: Annotated[str, Field(description="HTTP, HTTP2, GRPC, HTTPS, TLS or TCP.")]

    @field_validator("protocol")
    @classmethod
    def _known(cls, value: str) -> str:
        upper = value.upper().replace("GRPC-WEB", "GRPC")
        if upper not in {"HTTP", "HTTP2", "GRPC", "HTTPS", "TLS", "TCP"}:
            raise ValueError(f"{value[:40]!r} is not implemented: write HTTP, HTTP2, GRPC, HTTPS, TLS or TCP")
        return upper

    @property
    def kind(self) -> Literal["http", "https", "tls", "tcp"]:
        """What the proxy does with its connections."""
        if self.protocol in {"HTTP", "HTTP2", "GRPC"}:
            return "http"
        return "https" if self.protocol == "HTTPS" else "tls" if self.protocol == "TLS" else "tcp"


class ServerTls(IstioResource):
    """How TLS is spoken with callers."""

    https_redirect: Annotated[bool, Field(description="Answer plain HTTP with 301 to https.")] = False
    mode: Annotated[
        Literal["PASSTHROUGH", "SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"],
        Field(description="SIMPLE shows a certificate; MUTUAL asks for the caller's; PASSTHROUGH leaves TLS as it is."),
    ] = "SIMPLE"
    credential_name: Annotated[
        str, Field(description="A kubernetes.io/tls Secret in the namespace of the gateway's pods.")
    ] = ""
    min_protocol_version: Version = "TLS_AUTO"
    max_protocol_version: Version = "TLS_AUTO"

    @property
    def files(self) -> bool:
        """Whether it names files or other places of certificates, none of which is implemented."""
        return bool(
            {"serverCertificate", "privateKey", "credentialNames", "tlsCertificates"} & set(self.model_extra or {})
        )

    @model_validator(mode="after")
    def _usable(self) -> ServerTls:
        order = ("TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")
        low, high = self.min_protocol_version, self.max_protocol_version
        if low in order and high in order and order.index(low) > order.index(high):
            raise ValueError(f"minProtocolVersion {low} is above maxProtocolVersion {high}: swap them")
        if "/" in self.credential_name:
            raise ValueError(
                "credentialName names a namespace: only Secrets of the gateway's own namespace are used; write the name"
            )
        return self


class GatewayServer(IstioResource):
    """A port with the hosts that are served there."""

    port: GatewayPort
    name: Annotated[str, Field(description="For people.")] = ""
    hosts: Annotated[
        tuple[Annotated[str, Field(pattern=HOST, max_length=320)], ...],
        Field(
            min_length=1,
            description="api.example.com, *.example.com or *; before it a namespace and a slash, for VirtualServices of "
            "that namespace only (. is the Gateway's own).",
        ),
    ]
    tls: ServerTls | None = None

    @model_validator(mode="after")
    def _consistent(self) -> GatewayServer:
        tls, kind = self.tls, self.port.kind
        if kind in {"https", "tls"} and (tls is None or tls.https_redirect):
            where = "tls.httpsRedirect" if tls else "tls"
            raise ValueError(f"{where}: a port of protocol {self.port.protocol} needs tls with a mode and no redirect")
        if kind in {"https", "tls"} and tls and tls.mode != "PASSTHROUGH" and not (tls.credential_name or tls.files):
            raise ValueError(f"tls.credentialName is missing: mode {tls.mode} needs a Secret with a certificate")
        return self


class GatewaySpec(IstioResource):
    """Desired ports of an ingress proxy."""

    servers: Annotated[tuple[GatewayServer, ...], Field(min_length=1, max_length=256)]
    selector: Annotated[
        dict[str, str],
        Field(description="Labels of the gateway's pods, in any namespace, such as istio: ingressgateway."),
    ] = Field(default_factory=dict)


def split_host(host: str, own: str) -> tuple[str, str]:
    """Return a server's host as the namespace that its VirtualServices must be in (``*`` for any) and the name.

    Args:
        host: As written.
        own: The Gateway's namespace.
    """
    namespace, slash, name = host.rpartition("/")
    if not slash:
        return "*", name.lower()
    return (own if namespace == "." else namespace), name.lower()
