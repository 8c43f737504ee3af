"""TLS between sidecars, and the pieces that other TLS is made of.

Every sidecar has two secrets, under Istio's names: ``default``, its own certificate, and ``ROOTCA``, the roots that it
trusts. A caller offers the ALPN ``istio``, by which the other sidecar tells the mesh's own TLS from an application's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import struct_pb2, wrappers_pb2

from mesh.ir.identity import TRUST_DOMAIN
from mesh.xds.messages import ads, to_any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mesh.ir.identity import Identity, MtlsMode
    from mesh.ir.traffic import ClusterKey

__all__ = [
    "CONNECTION_SECONDS",
    "LEAF",
    "ROOTS",
    "Chain",
    "Client",
    "auto_mtls",
    "endpoint_metadata",
    "filter_chains",
    "inspector",
    "leaf_secret",
    "mesh_socket",
    "plain_socket",
    "roots_secret",
    "server_socket",
    "tls_socket",
]

LEAF: Final = "default"
ROOTS: Final = "ROOTCA"
CONNECTION_SECONDS: Final = 3600
"""How long a connection under mutual TLS is used: certificates are checked when it begins, and never again."""
_ALPN: Final = "istio"
_TLS: Final = "envoy.transport_sockets.tls"
_RAW: Final = "envoy.transport_sockets.raw_buffer"
_MATCH: Final = "envoy.transport_socket_match"
_MODE: Final = "tlsMode"
_MESH: Final = "istio"
_San = common_pb2.SubjectAltNameMatcher


@dataclass(frozen=True, slots=True)
class Client:
    """TLS that a caller originates, to what is not in the mesh or by a certificate of its own.

    Attributes:
        sni: Server name to ask for; empty asks for none.
        names: DNS names or SPIFFE ids, one of which the server must have; empty takes any.
        ca: File with the roots to trust; empty trusts those of the operating system.
        certificate: File with the caller's own certificate; empty shows none.
        key: File with its key.
        verify: Whether the server's certificate is checked at all.
    """

    sni: str = ""
    names: tuple[str, ...] = ()
    ca: str = ""
    certificate: str = ""
    key: str = ""
    verify: bool = True


@dataclass(frozen=True, slots=True)
class Chain:
    """What a connection of one kind meets.

    Attributes:
        name: ``mtls``, ``tls`` (an application's own) or ``plaintext``.
        match: Which connections.
        socket: How they are read; None for plaintext.
    """

    name: str
    match: listener_components_pb2.FilterChainMatch | None = None
    socket: base_pb2.TransportSocket | None = None


def plain_socket() -> base_pb2.TransportSocket:
    """Return a socket without TLS."""
    return base_pb2.TransportSocket(name=_RAW, typed_config=to_any(raw_buffer_pb2.RawBuffer()))


def mesh_socket(key: ClusterKey, identities: Iterable[Identity], sni: str = "") -> base_pb2.TransportSocket:
    """Return the mesh's mutual TLS to a destination (``ISTIO_MUTUAL``).

    Args:
        key: The destination.
        identities: Whom its pods may prove to be.
        sni: Server name; by default Istio's for the destination.
    """
    context = tls_pb2.UpstreamTlsContext(
        sni=sni or _sni(key), common_tls_context=_mesh_context([_uri(exact=i.uri) for i in identities])
    )
    context.common_tls_context.alpn_protocols.append(_ALPN)
    return base_pb2.TransportSocket(name=_TLS, typed_config=to_any(context))


def server_socket() -> base_pb2.TransportSocket:
    """Return the mesh's mutual TLS in front of a pod's port: callers must be of the mesh."""
    context = tls_pb2.DownstreamTlsContext(
        common_tls_context=_mesh_context([_uri(prefix=f"spiffe://{TRUST_DOMAIN}/")]),
        require_client_certificate=wrappers_pb2.BoolValue(value=True),
    )
    # It takes up none of the protocols that the caller offers: with one that Envoy does not know it would read every request
    # as HTTP/1.1, gRPC among them.
    return base_pb2.TransportSocket(name=_TLS, typed_config=to_any(context))


def tls_socket(client: Client) -> base_pb2.TransportSocket:
    """Return TLS that a caller originates (``SIMPLE`` and ``MUTUAL``)."""
    checked = common_pb2.CertificateValidationContext()
    for name in client.names:
        kinds = (_San.URI,) if "://" in name else (_San.DNS, _San.IP_ADDRESS)
        checked.match_typed_subject_alt_names.extend(
            _San(san_type=kind, matcher=string_pb2.StringMatcher(exact=name)) for kind in kinds
        )
    if client.ca:
        checked.trusted_ca.filename = client.ca
    elif client.verify:
        checked.system_root_certs.SetInParent()
    common = tls_pb2.CommonTlsContext()
    if client.verify:
        common.validation_context.CopyFrom(checked)
    if client.certificate:
        own = common.tls_certificates.add()
        own.certificate_chain.filename = client.certificate
        own.private_key.filename = client.key
    context = tls_pb2.UpstreamTlsContext(sni=client.sni, common_tls_context=common)
    return base_pb2.TransportSocket(name=_TLS, typed_config=to_any(context))


def auto_mtls(
    key: ClusterKey, identities: Sequence[Identity], sni: str = ""
) -> list[cluster_pb2.Cluster.TransportSocketMatch]:
    """Return how each endpoint is reached: mutual TLS where it has an identity, plaintext where it has none."""
    if not identities:
        return []
    match = struct_pb2.Struct(fields={_MODE: struct_pb2.Value(string_value=_MESH)})
    return [
        cluster_pb2.Cluster.TransportSocketMatch(
            name="tlsMode-istio", match=match, transport_socket=mesh_socket(key, identities, sni)
        ),
        cluster_pb2.Cluster.TransportSocketMatch(
            name="tlsMode-disabled", match=struct_pb2.Struct(), transport_socket=plain_socket()
        ),
    ]


def endpoint_metadata(base: base_pb2.Metadata, identity: Identity | None) -> base_pb2.Metadata:
    """Return an endpoint's metadata with what ``auto_mtls`` chooses by."""
    if identity is not None:
        base.filter_metadata[_MATCH].fields[_MODE].string_value = _MESH
    return base


def filter_chains(
    mode: MtlsMode, *, own_tls: bool, make: Callable[[Chain], listener_components_pb2.FilterChain]
) -> list[listener_components_pb2.FilterChain]:
    """Return the filter chains of a port.

    Args:
        mode: What it takes.
        own_tls: The application may speak TLS of its own there, which ``PERMISSIVE`` passes through.
        make: Makes a chain with its filters; name, match and socket are set here.
    """
    chains = []
    if mode != "DISABLE":
        ours = listener_components_pb2.FilterChainMatch(transport_protocol="tls")
        if mode == "PERMISSIVE":
            ours.application_protocols.append(_ALPN)
        chains.append(Chain("mtls", ours, server_socket()))
        if mode == "PERMISSIVE" and own_tls:
            chains.append(Chain("tls", listener_components_pb2.FilterChainMatch(transport_protocol="tls")))
    if mode == "PERMISSIVE":
        raw = listener_components_pb2.FilterChainMatch(transport_protocol="raw_buffer")
        chains.append(Chain("plaintext", raw))
    elif mode == "DISABLE":
        chains.append(Chain("plaintext"))
    found = []
    for chain in chains:
        made = make(chain)
        made.name = chain.name
        if chain.match is not None:
            made.filter_chain_match.CopyFrom(chain.match)
        if chain.socket is not None:
            made.transport_socket.CopyFrom(chain.socket)
        found.append(made)
    return found


def inspector() -> listener_components_pb2.ListenerFilter:
    """Return the listener filter that tells TLS from plaintext."""
    return listener_components_pb2.ListenerFilter(
        name="envoy.filters.listener.tls_inspector", typed_config=to_any(tls_inspector_pb2.TlsInspector())
    )


def leaf_secret(chain: bytes, key: bytes) -> secret_pb2.Secret:
    """Return a sidecar's own certificate."""
    return secret_pb2.Secret(
        name=LEAF,
        tls_certificate=common_pb2.TlsCertificate(
            certificate_chain=base_pb2.DataSource(inline_bytes=chain),
            private_key=base_pb2.DataSource(inline_bytes=key),
        ),
    )


def roots_secret(roots: bytes) -> secret_pb2.Secret:
    """Return the roots that a sidecar trusts."""
    return secret_pb2.Secret(
        name=ROOTS,
        validation_context=common_pb2.CertificateValidationContext(trusted_ca=base_pb2.DataSource(inline_bytes=roots)),
    )


def _mesh_context(names: list[Any]) -> tls_pb2.CommonTlsContext:
    return tls_pb2.CommonTlsContext(
        tls_params=common_pb2.TlsParameters(
            tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2,
            tls_maximum_protocol_version=common_pb2.TlsParameters.TLSv1_3,
        ),
        tls_certificate_sds_secret_configs=[secret_pb2.SdsSecretConfig(name=LEAF, sds_config=ads())],
        combined_validation_context=tls_pb2.CommonTlsContext.CombinedCertificateValidationContext(
            default_validation_context=common_pb2.CertificateValidationContext(match_typed_subject_alt_names=names),
            validation_context_sds_secret_config=secret_pb2.SdsSecretConfig(name=ROOTS, sds_config=ads()),
        ),
    )


def _uri(**matcher: str) -> Any:
    return _San(san_type=_San.URI, matcher=string_pb2.StringMatcher(**matcher))


def _sni(key: ClusterKey) -> str:
    return f"outbound_.{key.port}_.{key.subset}_.{key.service}.{key.namespace}.svc.cluster.local"
