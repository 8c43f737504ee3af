"""What goes over a discovery stream, as plain values and on the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from envoy.service.discovery.v3 import discovery_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.xds.resources import Resource

__all__ = ["Request", "Response", "build_of", "decode", "encode"]


@dataclass(frozen=True, slots=True)
class Request:
    """A proxy's subscription, acknowledgement or refusal.

    Attributes:
        type_url: The resource type that it is about.
        subscribe: Names that it wants from now on; ``*`` means all.
        unsubscribe: Names that it no longer wants.
        held: Name and version of what it holds already, on the first request of a type.
        nonce: Of the response that it answers; empty for a spontaneous request.
        error: Why it refuses that response; None when it accepts it.
    """

    type_url: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """Resources for a proxy.

    Attributes:
        type_url: Their type.
        nonce: What the answer will name.
        resources: New and changed ones.
        removed: Names of those that are gone.
    """

    type_url: str
    nonce: str
    resources: tuple[Resource, ...]
    removed: tuple[str, ...] = ()


_RESOURCES_TAG: Final = bytes([discovery_pb2.DeltaDiscoveryResponse.RESOURCES_FIELD_NUMBER << 3 | 2])


def decode(wire: bytes) -> tuple[Request, str]:
    """Return a request and the id of the node that sent it (only on the first of a stream; else empty)."""
    message = discovery_pb2.DeltaDiscoveryRequest.FromString(wire)
    request = Request(
        type_url=message.type_url,
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        held=dict(message.initial_resource_versions),
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
    )
    return request, message.node.id


def build_of(wire: bytes) -> str:
    """Return the version of the Envoy that sent a stream's first request, such as ``1.40.0``; empty where it says none."""
    node = discovery_pb2.DeltaDiscoveryRequest.FromString(wire).node
    version = node.user_agent_build_version.version
    if not node.HasField("user_agent_build_version"):
        return str(node.user_agent_version)
    return f"{version.major_number}.{version.minor_number}.{version.patch}"


def encode(response: Response) -> bytes:
    """Return a response on the wire.

    Resources were serialised when they were made; a repeated field is its elements one after the other, so they are
    only copied here, however many proxies get them.
    """
    head = discovery_pb2.DeltaDiscoveryResponse(
        type_url=response.type_url, nonce=response.nonce, removed_resources=response.removed
    )
    parts = [head.SerializeToString()]
    for resource in response.resources:
        parts += (_RESOURCES_TAG, _varint(len(resource.wire)), resource.wire)
    return b"".join(parts)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >> 7:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
